/** misc/mac: what GLDv3 drivers call (mac(9F), sys/mac_provider.h). */
import type { Address } from '../../../memory/space.ts';
import { createMinor, removeMinors } from '../devices.ts';
import { Errno } from '../errno.ts';
import {
  addInterface,
  interfaceAt,
  type NetworkInterface,
  type Operations,
  receiveFrames,
  removeInterface,
} from '../interfaces.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const MAC_VERSION = 1;
/** Callbacks that a driver says to have in mc_callbacks; those without a flag are always there. */
const MC = { OPEN: 8, CLOSE: 0x10 } as const;
const ETHER_BYTES = 6;
const S_IFCHR = 0x2000;
export const DDI_NT_NET = 'ddi_network';

function operationsOf(k: Solaris, callbacks: Address): Operations {
  const at = (name: string): Address => k.read(`mac_callbacks.mc_${name}`, callbacks);
  const flags = k.read('mac_callbacks.mc_callbacks', callbacks);
  return {
    open: (flags & MC.OPEN) !== 0 ? at('open') : 0,
    close: (flags & MC.CLOSE) !== 0 ? at('close') : 0,
    start: at('start'),
    stop: at('stop'),
    setAddress: at('unicst'),
    setMulticast: at('multicst'),
    send: at('tx'),
    statistic: at('getstat'),
  };
}

/** The instance of the node, unless the driver asked for another one; -1 is none of its own. */
function register(k: Solaris, from: Address, handlep: Address): number {
  const of = (name: string): number => k.read(`mac_register.m_${name}`, from);
  const callbacks = of('callbacks');
  const dip = of('dip');
  if (of('version') !== MAC_VERSION || callbacks === 0 || dip === 0) return Errno.EINVAL;
  const asked = of('instance') | 0;
  const instance = asked > 0 ? asked : k.read('dev_info.devi_instance', dip);
  const driver = k.readString('dev_info.devi_binding_name', dip);
  const source = of('src_addr');
  const one: NetworkInterface = {
    name: `${driver}${instance}`,
    dip,
    kind: 'mac',
    handle: k.heap.take(k.word),
    driver: of('driver'),
    address: source === 0 ? new Uint8Array(ETHER_BYTES) : k.memory.bytes(source, ETHER_BYTES).slice(),
    maximum: of('max_sdu'),
    operations: operationsOf(k, callbacks),
    link: 'unknown',
    started: false,
    received: [],
  };
  if (!addInterface(k, one)) {
    k.heap.free(one.handle);
    return Errno.EEXIST;
  }
  createMinor(k, dip, { name: one.name, type: DDI_NT_NET, specType: S_IFCHR, number: instance + 1 });
  k.memory.setPtr(handlep, one.handle);
  return 0;
}

function unregister(k: Solaris, handle: Address): number {
  const one = interfaceAt(k, handle);
  if (one === undefined) return Errno.EINVAL;
  if (!removeInterface(k, one)) return Errno.EBUSY;
  removeMinors(k, one.dip, one.name);
  k.heap.free(handle);
  return 0;
}

/** link_state_t (sys/net80211.h, sys/mac.h): unknown is -1, down 0, up 1. */
const LINK: Readonly<Record<number, NetworkInterface['link']>> = { 0: 'down', 1: 'up' };

export const mac = kernelFunctions({
  // The stream functions of dld, which would go into cb_str, are not there: nobody opens a link by DLPI here.
  // A module without a driver of its own only says its name.
  'void mac_init_ops(struct dev_ops *ops, const char *name)': (k, ops) => {
    if (ops !== 0 && k.read('dev_ops.devo_getinfo', ops) === 0)
      k.write('dev_ops.devo_getinfo', ops, k.functionGates.address('ddi_getinfo_1to1') ?? 0);
  },
  'void mac_fini_ops(struct dev_ops *ops)': (k, ops) => {
    if (ops !== 0 && k.read('dev_ops.devo_getinfo', ops) === k.functionGates.address('ddi_getinfo_1to1'))
      k.write('dev_ops.devo_getinfo', ops, 0);
  },
  'mac_register_t *mac_alloc(uint_t version)': (k, version) => {
    if (version !== MAC_VERSION) return 0;
    const at = k.heap.allocate(k.sizeof('mac_register'), k.convention.returnAddress(k.cpu));
    if (at !== 0) k.write('mac_register.m_version', at, version);
    return at;
  },
  'void mac_free(mac_register_t *register_)': (k, at) => k.heap.free(at),
  'int mac_register(mac_register_t *register_, struct __mac_handle **handlep)': register,
  'int mac_unregister(struct __mac_handle *handle)': unregister,
  'int mac_disable(struct __mac_handle *handle)': (k, handle) =>
    interfaceAt(k, handle)?.started === true ? Errno.EBUSY : 0,
  'void mac_rx(struct __mac_handle *handle, struct __mac_resource *resource, mblk_t *chain)': (
    k,
    handle,
    _resource,
    chain,
  ) => receiveFrames(k, interfaceAt(k, handle), chain),
  'void mac_tx_update(struct __mac_handle *handle)': () => undefined,
  'void mac_link_update(struct __mac_handle *handle, int state)': (k, handle, state) => {
    const one = interfaceAt(k, handle);
    if (one !== undefined) one.link = LINK[state] ?? 'unknown';
  },
  'void mac_unicst_update(struct __mac_handle *handle, const uint8_t *address)': (k, handle, address) => {
    interfaceAt(k, handle)?.address.set(k.memory.bytes(address, ETHER_BYTES));
  },
  'int mac_maxsdu_update(struct __mac_handle *handle, uint_t size)': (k, handle) =>
    interfaceAt(k, handle) === undefined ? Errno.EINVAL : 0,
});
