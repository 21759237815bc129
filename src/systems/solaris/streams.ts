/**
 * STREAMS (common/io/streams.c, os/streamio.c): queues and messages in guest memory in their own layout, a stream head
 * of ours at the top, and modules pushed between it and the driver.
 */
import { joinBytes } from '../../bytes/join.ts';
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import { sleepOn, wakeAll } from './functions/locks.ts';
import type { Solaris } from './solaris.ts';
import { autoload } from './syscalls.ts';

/** q_flag and message types (sys/stream.h). */
export const Q = { ENAB: 1, FULL: 8, READR: 0x10, USE: 0x20, NOENB: 0x40 } as const;
export const M = { DATA: 0, IOCTL: 0x0e, IOCACK: 0x81, IOCNAK: 0x82, ERROR: 0x8a, HANGUP: 0x8b } as const;

export interface Strmod {
  readonly fmodsw: Address;
  /** Streams it is pushed on. */
  used: number;
}

const strmods = perKernel(() => new Map<string, Strmod>());
export const strmodsOf = (k: Solaris): Map<string, Strmod> => k.state(strmods);

/** False when the name is taken. */
export function registerStrmod(k: Solaris, name: string, fmodsw: Address): boolean {
  const all = k.state(strmods);
  if (all.has(name)) return false;
  all.set(name, { fmodsw, used: 0 });
  return true;
}

export function unregisterStrmod(k: Solaris, name: string): void {
  k.state(strmods).delete(name);
}

export interface Stream {
  /** Read queue of the head; its write queue follows. */
  readonly head: Address;
  readonly driver: Address;
  /** Names of the modules, the topmost first. */
  readonly pushed: { readonly name: string; readonly pair: Address }[];
  dev: number;
}

// -- queues -------------------------------------------------------------------------------------------------

export const isReader = (k: Solaris, q: Address): boolean => (k.read('queue.q_flag', q) & Q.READR) !== 0;
export const readSide = (k: Solaris, q: Address): Address => (isReader(k, q) ? q : q - k.sizeof('queue'));
export const writeSide = (k: Solaris, q: Address): Address => (isReader(k, q) ? q + k.sizeof('queue') : q);
export const otherSide = (k: Solaris, q: Address): Address =>
  isReader(k, q) ? writeSide(k, q) : readSide(k, q);

function makePair(k: Solaris, readInit: Address, writeInit: Address): Address {
  const size = k.sizeof('queue');
  const pair = k.heap.take(2 * size);
  for (const [q, init, flag] of [
    [pair, readInit, Q.READR],
    [pair + size, writeInit, 0],
  ] as const) {
    k.write('queue.q_qinfo', q, init);
    k.write('queue.q_flag', q, Q.USE | flag);
    const info = init === 0 ? 0 : k.read('qinit.qi_minfo', init);
    if (info === 0) continue;
    for (const field of ['minpsz', 'maxpsz', 'hiwat', 'lowat'])
      k.write(`queue.q_${field}`, q, k.read(`module_info.mi_${field}`, info));
  }
  return pair;
}

function freePair(k: Solaris, pair: Address): void {
  for (const q of [pair, pair + k.sizeof('queue')])
    for (let mp = takeMessage(k, q); mp !== 0; mp = takeMessage(k, q)) freeMessage(k, mp);
  k.heap.free(pair);
}

/** The head's own qinit: what comes up to it is kept for readers. */
const headInit = perKernel<Address, Solaris>((k) => {
  const at = k.heap.take(k.sizeof('qinit'));
  k.write('qinit.qi_putp', at, k.functionGates.address('strrput') ?? 0);
  return at;
});

function* openPair(k: Solaris, pair: Address, dev: Address, oflag: number, sflag: number): Steps<number> {
  const open = k.read('qinit.qi_qopen', k.read('queue.q_qinfo', pair));
  return open === 0 ? 0 : yield* k.callInt(open, pair, dev, oflag, sflag, k.threads.currentCredential);
}

function* closePair(k: Solaris, pair: Address, flag: number): Steps<void> {
  const close = k.read('qinit.qi_qclose', k.read('queue.q_qinfo', pair));
  if (close !== 0) yield* k.callInt(close, pair, flag, k.threads.currentCredential);
  freePair(k, pair);
}

/** Opens a STREAMS driver; gives the stream or an errno. */
export function* openStream(
  k: Solaris,
  streamtab: Address,
  dev: number,
  flag: number,
): Steps<Stream | number> {
  const size = k.sizeof('queue');
  const init = k.state(headInit);
  const head = makePair(k, init, init);
  const driver = makePair(
    k,
    k.read('streamtab.st_rdinit', streamtab),
    k.read('streamtab.st_wrinit', streamtab),
  );
  k.write('queue.q_next', head + size, driver + size);
  k.write('queue.q_next', driver, head);
  const at = k.heap.take(k.word);
  k.memory.setPtr(at, dev);
  const status = yield* openPair(k, driver, at, flag, 0);
  const chosen = k.memory.ptr(at);
  k.heap.free(at);
  if (status === 0) return { head, driver, pushed: [], dev: chosen };
  freePair(k, driver);
  freePair(k, head);
  return status;
}

/** I_PUSH: gives an errno. */
export function* pushModule(k: Solaris, stream: Stream, name: string): Steps<number> {
  let found = k.state(strmods).get(name);
  if (found === undefined && (yield* autoload(k, `strmod/${name}`))) found = k.state(strmods).get(name);
  if (found === undefined) return Errno.EINVAL;
  const size = k.sizeof('queue');
  const tab = k.read('fmodsw.f_str', found.fmodsw);
  const pair = makePair(k, k.read('streamtab.st_rdinit', tab), k.read('streamtab.st_wrinit', tab));
  const below = stream.pushed[0]?.pair ?? stream.driver;
  k.write('queue.q_next', pair + size, below + size);
  k.write('queue.q_next', pair, stream.head);
  const at = k.heap.take(k.word);
  k.memory.setPtr(at, stream.dev);
  const status = yield* openPair(k, pair, at, 0, 1);
  k.heap.free(at);
  if (status !== 0) {
    freePair(k, pair);
    return status;
  }
  k.write('queue.q_next', below, pair);
  k.write('queue.q_next', stream.head + size, pair + size);
  stream.pushed.unshift({ name, pair });
  found.used++;
  return 0;
}

/** I_POP: gives an errno. */
export function* popModule(k: Solaris, stream: Stream): Steps<number> {
  const top = stream.pushed.shift();
  if (top === undefined) return Errno.EINVAL;
  const size = k.sizeof('queue');
  const below = stream.pushed[0]?.pair ?? stream.driver;
  k.write('queue.q_next', below, stream.head);
  k.write('queue.q_next', stream.head + size, below + size);
  yield* closePair(k, top.pair, 0);
  const module = k.state(strmods).get(top.name);
  if (module !== undefined) module.used--;
  return 0;
}

export function* closeStream(k: Solaris, stream: Stream, flag: number): Steps<void> {
  while (stream.pushed.length > 0) yield* popModule(k, stream);
  yield* closePair(k, stream.driver, flag);
  freePair(k, stream.head);
}

/** Calls the put procedure of the next queue. A stream that ends here takes no more. */
export function* putNext(k: Solaris, q: Address, message: Address): Steps<void> {
  yield* put(k, k.read('queue.q_next', q), message);
}

/** put(9F). */
export function* put(k: Solaris, q: Address, message: Address): Steps<void> {
  const procedure = q === 0 ? 0 : k.read('qinit.qi_putp', k.read('queue.q_qinfo', q));
  if (procedure === 0) freeMessage(k, message);
  else yield* k.call(procedure, q, message);
}

/** Where messages stand among each other: those of high priority first, then by band, the highest first. */
const HIGH_PRIORITY = 256;
const QPCTL = 0x80;
/** A queue with more messages is one that goes round in a circle. */
const MAX_QUEUED = 100_000;
const rank = (k: Solaris, message: Address): number =>
  messageType(k, message) >= QPCTL ? HIGH_PRIORITY : k.read('msgb.b_band', message);

/**
 * putq(9F): behind the messages of its own band and of higher ones, or with `first` (putbq) before those of its band; the
 * service procedure is to run. One of high priority makes it run even where noenable(9F) was called.
 */
export function putMessage(k: Solaris, q: Address, message: Address, first = false): void {
  const own = rank(k, message);
  let before = 0;
  let after = k.read('queue.q_first', q);
  for (
    let passed = 0;
    after !== 0 && passed < MAX_QUEUED && (first ? rank(k, after) > own : rank(k, after) >= own);
    passed++
  ) {
    before = after;
    after = k.read('msgb.b_next', after);
  }
  k.write('msgb.b_prev', message, before);
  k.write('msgb.b_next', message, after);
  if (before === 0) k.write('queue.q_first', q, message);
  else k.write('msgb.b_next', before, message);
  if (after === 0) k.write('queue.q_last', q, message);
  else k.write('msgb.b_prev', after, message);
  k.write('queue.q_count', q, k.read('queue.q_count', q) + messageSize(k, message));
  const asleep = (k.read('queue.q_flag', q) & Q.NOENB) !== 0;
  if (!first && (!asleep || own === HIGH_PRIORITY)) enable(k, q);
}

/** getq(9F): the first message, or 0. */
export function takeMessage(k: Solaris, q: Address): Address {
  const message = k.read('queue.q_first', q);
  if (message === 0) return 0;
  const next = k.read('msgb.b_next', message);
  k.write('queue.q_first', q, next);
  if (next === 0) k.write('queue.q_last', q, 0);
  else k.write('msgb.b_prev', next, 0);
  k.write('msgb.b_next', message, 0);
  k.write('queue.q_count', q, Math.max(0, k.read('queue.q_count', q) - messageSize(k, message)));
  return message;
}

/** qenable(9F): the service procedure runs soon, in a thread of the system. */
export function enable(k: Solaris, q: Address): void {
  const service = k.read('qinit.qi_srvp', k.read('queue.q_qinfo', q));
  const flags = k.read('queue.q_flag', q);
  if (service === 0 || (flags & Q.ENAB) !== 0) return;
  k.write('queue.q_flag', q, flags | Q.ENAB);
  k.spawnThread('streams service', serve(k, q, service));
}

function* serve(k: Solaris, q: Address, service: Address): Steps<void> {
  // The queue may be gone: its stream was closed before its turn came.
  if (k.heap.get(readSide(k, q)) === undefined) return;
  k.write('queue.q_flag', q, k.read('queue.q_flag', q) & ~Q.ENAB);
  yield* k.call(service, q);
}

// -- messages -----------------------------------------------------------------------------------------------

/** A message of one block with room for `bytes`; 0 when there is no memory. */
export function allocateMessage(
  k: Solaris,
  bytes: number,
  type: number = M.DATA,
  caller: Address = 0,
): Address {
  if (!(bytes >= 0 && bytes < 2 ** 24)) return 0;
  const base = k.heap.allocate(Math.max(bytes, 1), caller);
  const data = k.heap.allocate(k.sizeof('datab'), caller);
  const message = k.heap.allocate(k.sizeof('msgb'), caller);
  if (base === 0 || data === 0 || message === 0) {
    for (const at of [base, data, message]) k.heap.free(at);
    return 0;
  }
  k.write('datab.db_base', data, base);
  k.write('datab.db_lim', data, base + bytes);
  k.write('datab.db_ref', data, 1);
  k.write('datab.db_type', data, type);
  k.write('msgb.b_rptr', message, base);
  k.write('msgb.b_wptr', message, base);
  k.write('msgb.b_datap', message, data);
  return message;
}

/** freeb(9F): one block; its data go with the last reference. */
export function freeBlock(k: Solaris, message: Address): void {
  const data = k.read('msgb.b_datap', message);
  const count = k.read('datab.db_ref', data);
  if (count <= 1) {
    k.heap.free(k.read('datab.db_base', data));
    k.heap.free(data);
  } else k.write('datab.db_ref', data, count - 1);
  k.heap.free(message);
}

export function freeMessage(k: Solaris, message: Address): void {
  for (let at = message; at !== 0; ) {
    const next = k.read('msgb.b_cont', at);
    freeBlock(k, at);
    at = next;
  }
}

export const blockSize = (k: Solaris, message: Address): number =>
  Math.max(0, k.read('msgb.b_wptr', message) - k.read('msgb.b_rptr', message));

export const messageType = (k: Solaris, message: Address): number =>
  k.read('datab.db_type', k.read('msgb.b_datap', message));

/** Blocks of a message, in order; no message has more than a few thousand. */
export function blocks(k: Solaris, message: Address): Address[] {
  const found: Address[] = [];
  for (let at = message; at !== 0 && found.length < 10_000; at = k.read('msgb.b_cont', at)) found.push(at);
  return found;
}

export const messageSize = (k: Solaris, message: Address): number =>
  blocks(k, message).reduce((sum, at) => sum + blockSize(k, at), 0);

export function messageBytes(k: Solaris, message: Address): Uint8Array {
  const parts = blocks(k, message).map((at) => k.memory.bytes(k.read('msgb.b_rptr', at), blockSize(k, at)));
  return joinBytes(parts);
}

export function messageOf(k: Solaris, bytes: Uint8Array, type: number = M.DATA): Address {
  const message = allocateMessage(k, bytes.length, type);
  if (message === 0) return 0;
  const base = k.read('msgb.b_rptr', message);
  k.memory.write(base, bytes);
  k.write('msgb.b_wptr', message, base + bytes.length);
  return message;
}

// -- the stream head ----------------------------------------------------------------------------------------

/** write(2) on a stream. */
export function* writeStream(k: Solaris, stream: Stream, bytes: Uint8Array): Steps<number> {
  const message = messageOf(k, bytes);
  if (message === 0) return Errno.EAGAIN;
  yield* putNext(k, writeSide(k, stream.head), message);
  return 0;
}

/** read(2) on a stream: waits for data; what does not fit stays. */
export function* readStream(k: Solaris, stream: Stream, most: number): Steps<Uint8Array | number> {
  const { head } = stream;
  for (;;) {
    const message = takeMessage(k, head);
    if (message === 0) {
      yield* sleepOn(k, head, 'a message on the stream');
      continue;
    }
    const type = messageType(k, message);
    const bytes = messageBytes(k, message);
    freeMessage(k, message);
    if (type === M.HANGUP) return new Uint8Array(0);
    if (type === M.ERROR) return bytes[0] ?? Errno.EIO;
    if (type !== M.DATA) continue;
    if (bytes.length > most) {
      const rest = messageOf(k, bytes.subarray(most));
      if (rest !== 0) putMessage(k, head, rest, true);
    }
    return bytes.subarray(0, most);
  }
}

/** An ioctl that goes down the stream as M_IOCTL, transparent; gives what M_IOCACK brings, or an errno. */
export function* ioctlStream(
  k: Solaris,
  stream: Stream,
  command: number,
  argument: number,
): Steps<{ rval: number } | { errno: number }> {
  const size = k.sizeof('iocblk');
  const message = allocateMessage(k, size, M.IOCTL);
  const data = messageOf(k, new Uint8Array(k.word));
  const block = k.read('msgb.b_rptr', message);
  k.write('msgb.b_wptr', message, block + size);
  k.write('msgb.b_cont', message, data);
  k.memory.setPtr(k.read('msgb.b_rptr', data), argument);
  k.write('iocblk.ioc_cmd', block, command);
  k.write('iocblk.ioc_cr', block, k.threads.currentCredential);
  // TRANSPARENT
  k.memory.setPtr(block + k.offset('iocblk.ioc_count'), -1);
  yield* putNext(k, writeSide(k, stream.head), message);
  for (let tries = 0; tries < 2; tries++) {
    for (let at = k.read('queue.q_first', stream.head); at !== 0; at = k.read('msgb.b_next', at)) {
      const type = messageType(k, at);
      if (type !== M.IOCACK && type !== M.IOCNAK) continue;
      const answer = k.read('msgb.b_rptr', at);
      const errno = k.read('iocblk.ioc_error', answer);
      const rval = k.read('iocblk.ioc_rval', answer);
      removeMessage(k, stream.head, at);
      freeMessage(k, at);
      if (type === M.IOCNAK) return { errno: errno || Errno.EINVAL };
      return errno !== 0 ? { errno } : { rval };
    }
    yield* sleepOn(k, stream.head, 'an answer to the ioctl', k.time.now() + 15e9);
  }
  return { errno: Errno.ETIME };
}

/** rmvq(9F). */
export function removeMessage(k: Solaris, q: Address, message: Address): void {
  const next = k.read('msgb.b_next', message);
  const previous = k.read('msgb.b_prev', message);
  if (previous === 0) k.write('queue.q_first', q, next);
  else k.write('msgb.b_next', previous, next);
  if (next === 0) k.write('queue.q_last', q, previous);
  else k.write('msgb.b_prev', next, previous);
  k.write('msgb.b_next', message, 0);
  k.write('msgb.b_prev', message, 0);
  k.write('queue.q_count', q, Math.max(0, k.read('queue.q_count', q) - messageSize(k, message)));
}

/** What the head's put procedure does: keeps the message, and wakes readers. */
export function arrive(k: Solaris, q: Address, message: Address): void {
  putMessage(k, q, message);
  wakeAll(k, q);
}
