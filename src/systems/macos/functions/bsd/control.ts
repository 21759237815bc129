/** Kernel control sockets (bsd/kern/kern_control.c): a kext offers a name, programs connect to it and exchange data and options. */
import { perKernel } from '../../../../kernel/kernel.ts';
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import { ERRNO } from '../../errno.ts';
import type { Macos } from '../../macos.ts';
import { kernelFunctions } from '../define.ts';
import { freePacket, mbufBytes, mbufWith } from './mbuf.ts';

/** CTL_FLAG_... of bsd/sys/kern_control.h */
const PRIVILEGED = 1;
const REGISTER_ID_UNIT = 2;
/** MAX_KCTL_NAME, and what a socket holds when the kext does not say (CTL_RECVSIZE). */
const NAME_BYTES = 96;
const RECEIVE_BYTES = 8 * 1024;
/** sockaddr_ctl: AF_SYSTEM, AF_SYS_CONTROL. */
const AF_SYSTEM = 32;
const AF_SYS_CONTROL = 2;

/** A program's end of a connection. */
export interface Connection {
  readonly control: Control;
  readonly unit: number;
  /** What the kext's connect routine left for this unit. */
  userdata: Address;
  readonly received: Uint8Array[];
}

export interface Control {
  readonly name: string;
  readonly id: number;
  /** With CTL_FLAG_REG_ID_UNIT, the unit that was registered. */
  readonly unit: number;
  readonly flags: number;
  readonly room: number;
  /** A copy of the routines, as the kernel keeps one: `struct kern_ctl_reg`. It is the kext's handle too. */
  readonly at: Address;
  readonly connections: Map<number, Connection>;
}

class Controls {
  readonly all = new Map<Address, Control>();
  nextId = 1;
}

export const controls = perKernel<Controls, Macos>(() => new Controls());

export const findControl = (k: Macos, name: string): Control | undefined =>
  [...k.state(controls).all.values()].find((one) => one.name === name);

function register(k: Macos, given: Address, handle: Address): number {
  if (given === 0 || k.read('kern_ctl_reg.ctl_connect', given) === 0) return ERRNO.EINVAL;
  const name = guestText(k, given, NAME_BYTES);
  if (name.length >= NAME_BYTES || name.length === 0) return ERRNO.EINVAL;
  const state = k.state(controls);
  const flags = k.read('kern_ctl_reg.ctl_flags', given);
  const own = (flags & REGISTER_ID_UNIT) !== 0;
  const [id, unit] = own
    ? [k.read('kern_ctl_reg.ctl_id', given), k.read('kern_ctl_reg.ctl_unit', given)]
    : [state.nextId, 0];
  for (const one of state.all.values())
    if (own ? one.id === id && one.unit === unit : one.name === name) return ERRNO.EEXIST;
  const size = k.sizeof('struct kern_ctl_reg');
  const at = k.heap.allocate(size, 'kern_control');
  k.memory.copy(at, given, size);
  if (!own) {
    state.nextId++;
    k.write('kern_ctl_reg.ctl_id', given, id);
    k.write('kern_ctl_reg.ctl_unit', given, 0xffffffff);
  }
  const room = k.read('kern_ctl_reg.ctl_recvsize', given) || RECEIVE_BYTES;
  state.all.set(at, { name, id, unit, flags, room, at, connections: new Map() });
  k.memory.setPtr(handle, at);
  return 0;
}

function deregister(k: Macos, handle: Address): number {
  const state = k.state(controls);
  const control = state.all.get(handle);
  if (control === undefined) return ERRNO.EINVAL;
  if (control.connections.size > 0) return ERRNO.EBUSY;
  state.all.delete(handle);
  k.heap.free(handle);
  return 0;
}

const connectionOf = (k: Macos, handle: Address, unit: number): Connection | undefined =>
  k.state(controls).all.get(handle)?.connections.get(unit);

const waiting = ({ received }: Connection): number => received.reduce((sum, one) => sum + one.length, 0);

function enqueue(k: Macos, handle: Address, unit: number, bytes: Uint8Array): number {
  const connection = connectionOf(k, handle, unit);
  if (connection === undefined) return ERRNO.EINVAL;
  if (waiting(connection) + bytes.length > connection.control.room) return ENOBUFS;
  connection.received.push(bytes);
  return 0;
}
const ENOBUFS = 55;
const ENOTCONN = 57;

export const kernelControls = kernelFunctions({
  'errno_t ctl_register(struct kern_ctl_reg *given, void **handle)': register,
  'errno_t ctl_deregister(void *handle)': deregister,
  'errno_t ctl_enqueuedata(void *handle, unsigned int unit, void *data, size_t bytes, unsigned int flags)': (
    k,
    handle,
    unit,
    data,
    bytes,
  ) => enqueue(k, handle, unit, k.memory.bytes(data, bytes).slice()),
  'errno_t ctl_enqueuembuf(void *handle, unsigned int unit, void *m, unsigned int flags)': (
    k,
    handle,
    unit,
    m,
  ) => {
    const error = enqueue(k, handle, unit, mbufBytes(k, m));
    // The buffer is the kernel's once it is taken, and the caller's still when it is not.
    if (error === 0) freePacket(k, m);
    return error;
  },
  'errno_t ctl_getenqueuespace(void *handle, unsigned int unit, size_t *space)': (k, handle, unit, space) => {
    const connection = connectionOf(k, handle, unit);
    if (connection === undefined) return ERRNO.EINVAL;
    k.memory.setPtr(space, connection.control.room - waiting(connection));
    return 0;
  },
  'errno_t ctl_getenqueuereadable(void *handle, unsigned int unit, unsigned int *difference)': (
    k,
    handle,
    unit,
    difference,
  ) => {
    const connection = connectionOf(k, handle, unit);
    if (connection === undefined) return ERRNO.EINVAL;
    k.memory.set32(difference, 0);
    return 0;
  },
});

// -- what a program does --------------------------------------------------------------------------------------------------

/** connect(2) with a sockaddr_ctl; unit 0 takes the first that is free. */
export function* connectControl(k: Macos, name: string, wanted = 0): Steps<Connection | number> {
  const control = findControl(k, name);
  if (control === undefined) return ERRNO.ENOENT;
  if ((control.flags & PRIVILEGED) !== 0 && k.process.uid !== 0) return ERRNO.EPERM;
  let unit = (control.flags & REGISTER_ID_UNIT) !== 0 ? control.unit : wanted;
  if (unit === 0) for (unit = 1; control.connections.has(unit); ) unit++;
  if (control.connections.has(unit)) return ERRNO.EBUSY;
  const connection: Connection = { control, unit, userdata: 0, received: [] };
  control.connections.set(unit, connection);
  const size = k.sizeof('struct sockaddr_ctl');
  const address = k.heap.allocate(size + k.word, 'socket');
  k.memory.set8(address, size);
  k.memory.set8(address + 1, AF_SYSTEM);
  k.memory.set16(address + 2, AF_SYS_CONTROL);
  k.write('sockaddr_ctl.sc_id', address, control.id);
  k.write('sockaddr_ctl.sc_unit', address, unit);
  const routine = k.read('kern_ctl_reg.ctl_connect', control.at);
  const error = yield* k.callInt(routine, control.at, address, address + size);
  connection.userdata = k.memory.ptr(address + size);
  k.heap.free(address);
  if (error === 0) return connection;
  control.connections.delete(unit);
  return error;
}

const routineOf = (
  k: Macos,
  { control }: Connection,
  name: 'send' | 'setopt' | 'getopt' | 'disconnect',
): Address => k.read(`kern_ctl_reg.ctl_${name}`, control.at);

export function* disconnectControl(k: Macos, connection: Connection): Steps<void> {
  const { control, unit, userdata } = connection;
  const routine = routineOf(k, connection, 'disconnect');
  if (routine !== 0) yield* k.callInt(routine, control.at, unit, userdata);
  control.connections.delete(unit);
}

export function* sendControl(k: Macos, connection: Connection, bytes: Uint8Array): Steps<number> {
  const routine = routineOf(k, connection, 'send');
  if (routine === 0) return ENOTCONN;
  const { control, unit, userdata } = connection;
  return yield* k.callInt(routine, control.at, unit, userdata, mbufWith(k, bytes), 0);
}

/** setsockopt(SYSPROTO_CONTROL) */
export function* setControlOption(
  k: Macos,
  connection: Connection,
  option: number,
  bytes: Uint8Array,
): Steps<number> {
  const routine = routineOf(k, connection, 'setopt');
  if (routine === 0) return ENOTSUP;
  const { control, unit, userdata } = connection;
  const data = bytes.length === 0 ? 0 : k.heap.allocate(bytes.length, 'socket');
  if (data !== 0) k.memory.write(data, bytes);
  const error = yield* k.callInt(routine, control.at, unit, userdata, option, data, bytes.length);
  k.heap.free(data);
  return error;
}
const ENOTSUP = 45;

/** getsockopt(SYSPROTO_CONTROL): at most `room` bytes. */
export function* getControlOption(
  k: Macos,
  connection: Connection,
  option: number,
  room: number,
): Steps<{ readonly error: number; readonly bytes: Uint8Array }> {
  const nothing = new Uint8Array();
  const routine = routineOf(k, connection, 'getopt');
  if (routine === 0) return { error: ENOTSUP, bytes: nothing };
  const { control, unit, userdata } = connection;
  const data = k.heap.allocate(Math.max(1, room) + 2 * k.word, 'socket');
  const length = data + Math.ceil(Math.max(1, room) / k.word) * k.word;
  k.memory.setPtr(length, room);
  const error = yield* k.callInt(routine, control.at, unit, userdata, option, data, length);
  const given = k.memory.ptr(length);
  if (error === 0 && given > room)
    throw k.panic(
      `panic(cpu 0): "ctl_ctloutput: ctl ${control.name} returned len (${given}) > sopt_valsize (${room})\n"`,
    );
  const bytes = error === 0 ? k.memory.bytes(data, given).slice() : nothing;
  k.heap.free(data);
  return { error, bytes };
}
