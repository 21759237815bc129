/** `lo`, the one device that every kernel has (drivers/net/loopback.c); made when networks are first asked for. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { sysDirectory } from '../sysfs.ts';
import { allocateDevice } from './device.ts';
import { addFeatures } from './features.ts';
import { IFF } from './flags.ts';
import { initNet } from './namespace.ts';
import { registerDevice } from './register.ts';

/** ARPHRD_LOOPBACK */
const TYPE = 772;
const MTU = 65536;
const HEADER = 14;

function* setup(k: Linux, device: Address): Steps<void> {
  const operations = k.heap.allocateZeroed(k.sizeof('net_device_ops'));
  k.write('net_device_ops.ndo_start_xmit', operations, k.addressOf('loopback_xmit'));
  k.write('net_device.netdev_ops', device, operations);
  for (const [field, value] of [
    ['net_device.mtu', MTU],
    ['net_device.hard_header_len', HEADER],
    ['net_device.min_header_len', HEADER],
    ['net_device.addr_len', 6],
    ['net_device.type', TYPE],
    ['net_device.flags', IFF.LOOPBACK],
    ['net_device.needs_free_netdev', 1],
  ] as const)
    k.write(field, device, value);
  addFeatures(k, device, 'net_device.features', [
    'NETIF_F_SG_BIT',
    'NETIF_F_HW_CSUM_BIT',
    'NETIF_F_RXCSUM_BIT',
    'NETIF_F_HIGHDMA_BIT',
    'NETIF_F_LOOPBACK_BIT',
  ]);
}

function* make(k: Linux): Steps<void> {
  const spec = {
    privateBytes: 0,
    name: 'lo',
    nameAssignType: 1,
    transmitQueues: 1,
    receiveQueues: 1,
    caller: 0,
  };
  const device = yield* allocateDevice(k, { ...spec, setup: (at) => setup(k, at) });
  yield* registerDevice(k, device);
  k.write('net.loopback_dev', initNet(k), device);
  // What is there is the kernel's own, not of whoever asked first.
  for (const node of sysDirectory(k, 'devices/virtual/net').descendants()) node.lasting = true;
  for (const node of sysDirectory(k, 'class/net').descendants()) node.lasting = true;
}

const made = perKernel(() => ({ done: false }));

/** Nothing in it waits or calls machine code, since nobody listens yet and the device is the kernel's own. */
export function ensureLoopback(k: Linux): void {
  const state = k.state(made);
  if (state.done) return;
  state.done = true;
  if (k.heap.lasting(() => make(k).next().done) !== true)
    throw new Error('the loopback device was not made at once');
}
