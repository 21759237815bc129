/** misc/gld: what drivers of the older Generic LAN Driver interface call (gld(9F), sys/gld.h). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { createMinor, removeMinors } from '../devices.ts';
import {
  addInterface,
  interfaceAt,
  type NetworkInterface,
  receiveFrames,
  removeInterface,
} from '../interfaces.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';
import { DDI_NT_NET } from './mac.ts';

const SUCCESS = 0;
const FAILURE = -1;
const S_IFCHR = 0x2000;
const GLD_VERSION = 0x200;

/** The driver has filled in the structure; a node for all its instances and one for this one come into /devices. */
function register(k: Solaris, dip: Address, nameAt: Address, info: Address): number {
  const of = (field: string): number => k.read(`gld_mac_info.gldm_${field}`, info);
  const needed = ['reset', 'start', 'stop', 'set_mac_addr', 'send'].every((field) => of(field) !== 0);
  if (!needed || of('vendor_addr') === 0 || of('addrlen') === 0) return FAILURE;
  const driver = k.memory.cstring(nameAt);
  const one: NetworkInterface = {
    name: `${driver}${of('ppa')}`,
    dip,
    kind: 'gld',
    handle: info,
    driver: info,
    address: k.memory.bytes(of('vendor_addr'), Math.min(32, of('addrlen'))).slice(),
    maximum: of('maxpkt'),
    operations: {
      open: 0,
      close: 0,
      start: of('start'),
      stop: of('stop'),
      setAddress: of('set_mac_addr'),
      setMulticast: of('set_multicast'),
      send: of('send'),
      statistic: 0,
    },
    link: 'unknown',
    started: false,
    received: [],
  };
  if (!addInterface(k, one)) return FAILURE;
  // Drivers find their structure again by the node (gld.c keeps it there).
  k.write('dev_info.devi_private', dip, info);
  const node = (name: string, number: number) =>
    createMinor(k, dip, { name, type: DDI_NT_NET, specType: S_IFCHR, number });
  node(driver, 0);
  node(one.name, of('ppa') + 1);
  return SUCCESS;
}

function unregister(k: Solaris, info: Address): number {
  const one = interfaceAt(k, info);
  if (one === undefined || !removeInterface(k, one)) return FAILURE;
  removeMinors(k, one.dip);
  return SUCCESS;
}

/** The interrupt handler that drivers register: it calls theirs. */
function* interrupt(k: Solaris, info: Address): Steps<number> {
  const handler = k.read('gld_mac_info.gldm_intr', info);
  return handler === 0 || interfaceAt(k, info) === undefined ? 0 : yield* k.callInt(handler, info);
}

export const gld = kernelFunctions({
  'gld_mac_info_t *gld_mac_alloc(dev_info_t *dip)': (k, dip) => {
    const at = k.heap.allocate(k.sizeof('gld_mac_info'), k.convention.returnAddress(k.cpu));
    if (at === 0) return 0;
    k.write('gld_mac_info.gldm_devinfo', at, dip);
    k.write('gld_mac_info.gldm_driver_version', at, GLD_VERSION);
    return at;
  },
  'void gld_mac_free(gld_mac_info_t *info)': (k, info) => k.heap.free(info),
  'int gld_register(dev_info_t *dip, char *name, gld_mac_info_t *info)': register,
  'int gld_unregister(gld_mac_info_t *info)': unregister,
  'void gld_recv(gld_mac_info_t *info, mblk_t *message)': (k, info, message) =>
    receiveFrames(k, interfaceAt(k, info), message),
  'void gld_sched(gld_mac_info_t *info)': () => undefined,
  'uint_t gld_intr(gld_mac_info_t *info)': interrupt,
  'void gld_linkstate(gld_mac_info_t *info, int state)': (k, info, state) => {
    k.write('gld_mac_info.gldm_linkstate', info, state);
    const one = interfaceAt(k, info);
    if (one !== undefined) one.link = state > 0 ? 'up' : state < 0 ? 'down' : 'unknown';
  },
});
