/** Opening, reading, writing and closing a character device, as the special file system does (bsd/miscfs/specfs/spec_vnops.c). */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { ERRNO } from './errno.ts';
import { type DeviceNode, majorOf, switchOf } from './functions/devices.ts';
import { procOf } from './functions/process.ts';
import { withUio } from './functions/uio.ts';
import type { Macos } from './macos.ts';
import { userBuffers } from './user.ts';

const S_IFCHR = 0o020000;
const FREAD = 1;
const FWRITE = 2;

export interface Outcome {
  readonly error: number;
  readonly bytes: Uint8Array;
}

const NOTHING = new Uint8Array();

/** Address of an operation; 0 when the device has none. */
function operation(k: Macos, node: DeviceNode, name: 'open' | 'close' | 'read' | 'write' | 'ioctl'): Address {
  return k.read(`cdevsw.d_${name}`, switchOf(k, majorOf(node.device)));
}

/** May this user open the node? */
function permitted(k: Macos, { uid, gid, mode }: DeviceNode, want: number): boolean {
  if (k.process.uid === 0) return true;
  const shift = k.process.uid === uid ? 6 : k.process.uid === gid ? 3 : 0;
  const bits = ((want & FREAD) !== 0 ? 4 : 0) | ((want & FWRITE) !== 0 ? 2 : 0);
  return ((mode >> shift) & bits) === bits;
}

/** Opens, does what `use` does, and closes. */
function* opened(k: Macos, node: DeviceNode, flags: number, use: () => Steps<Outcome>): Steps<Outcome> {
  if (!permitted(k, node, flags)) return { error: ERRNO.EACCES, bytes: NOTHING };
  const open = operation(k, node, 'open');
  const close = operation(k, node, 'close');
  if (open === 0 && operation(k, node, 'read') === 0) return { error: ERRNO.ENXIO, bytes: NOTHING };
  const error = open === 0 ? 0 : yield* k.callInt(open, node.device, flags, S_IFCHR, procOf(k));
  if (error !== 0) return { error, bytes: NOTHING };
  const result = yield* use();
  if (close !== 0) yield* k.callInt(close, node.device, flags, S_IFCHR, procOf(k));
  return result;
}

/** Reads until the end or `most` bytes. */
export function* readDevice(k: Macos, node: DeviceNode, most = 65536): Steps<Outcome> {
  return yield* opened(k, node, FREAD, function* () {
    const read = operation(k, node, 'read');
    if (read === 0) return { error: ERRNO.ENODEV, bytes: NOTHING };
    const parts: number[] = [];
    for (;;) {
      const got = yield* move(k, read, node, NOTHING, Math.min(4096, most - parts.length), parts.length);
      parts.push(...got.bytes);
      if (got.error !== 0 || got.bytes.length === 0 || parts.length >= most) {
        return { error: got.error, bytes: Uint8Array.from(parts) };
      }
    }
  });
}

export function* writeDevice(k: Macos, node: DeviceNode, bytes: Uint8Array): Steps<Outcome> {
  return yield* opened(k, node, FWRITE, function* () {
    const write = operation(k, node, 'write');
    if (write === 0) return { error: ERRNO.ENODEV, bytes: NOTHING };
    return yield* move(k, write, node, bytes, bytes.length, 0);
  });
}

/** One ioctl with an argument block that the kernel has copied in; gives the block back. */
export function* controlDevice(
  k: Macos,
  node: DeviceNode,
  command: number,
  data: Uint8Array,
): Steps<Outcome> {
  return yield* opened(k, node, FREAD | FWRITE, function* () {
    const ioctl = operation(k, node, 'ioctl');
    if (ioctl === 0) return { error: ERRNO.ENOTTY, bytes: NOTHING };
    const at = k.heap.allocate(Math.max(16, data.length), 'ioctl');
    k.memory.write(at, data);
    const error = yield* k.callInt(ioctl, node.device, command, at, FREAD | FWRITE, procOf(k));
    const bytes = k.memory.bytes(at, data.length).slice();
    k.heap.free(at);
    return { error, bytes };
  });
}

/** One call of a read or write routine with a uio over a buffer of the process. */
function* move(
  k: Macos,
  routine: Address,
  node: DeviceNode,
  bytes: Uint8Array,
  room: number,
  offset: number,
): Steps<Outcome> {
  const write = bytes.length > 0;
  return yield* k.state(userBuffers).with(Math.max(1, room), function* (base) {
    if (write) k.memory.write(base, bytes);
    const { result, moved } = yield* withUio(k, { base, bytes: room, offset, write }, (uio) =>
      k.callInt(routine, node.device, uio, 0),
    );
    return { error: result, bytes: write ? NOTHING : k.memory.bytes(base, moved).slice() };
  });
}
