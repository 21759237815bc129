/** STREAMS functions (9F): queues, messages, and the answers to M_IOCTL. */
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import {
  allocateMessage,
  arrive,
  blockSize,
  blocks,
  enable,
  freeBlock,
  freeMessage,
  M,
  messageBytes,
  messageOf,
  messageSize,
  messageType,
  otherSide,
  put,
  putMessage,
  putNext,
  Q,
  readSide,
  removeMessage,
  takeMessage,
  writeSide,
} from '../streams.ts';
import { kernelFunctions } from './define.ts';

/** dupb(9F): a second message block for the same data. */
function duplicate(k: Solaris, message: Address): Address {
  const copy = k.heap.allocate(k.sizeof('msgb'), k.convention.returnAddress(k.cpu));
  if (copy === 0) return 0;
  k.memory.write(copy, k.memory.bytes(message, k.sizeof('msgb')));
  for (const field of ['b_next', 'b_prev', 'b_cont']) k.write(`msgb.${field}`, copy, 0);
  const data = k.read('msgb.b_datap', message);
  k.write('datab.db_ref', data, k.read('datab.db_ref', data) + 1);
  return copy;
}

function copyBlock(k: Solaris, message: Address): Address {
  return messageOf(
    k,
    k.memory.bytes(k.read('msgb.b_rptr', message), blockSize(k, message)),
    messageType(k, message),
  );
}

/** Each block on its own by `one`, linked as the original; 0 when memory runs out. */
function each(k: Solaris, message: Address, one: (k: Solaris, at: Address) => Address): Address {
  const copies: Address[] = [];
  for (const at of blocks(k, message)) {
    const copy = one(k, at);
    if (copy === 0) {
      for (const done of copies) freeBlock(k, done);
      return 0;
    }
    const last = copies.at(-1);
    if (last !== undefined) k.write('msgb.b_cont', last, copy);
    copies.push(copy);
  }
  return copies[0] ?? 0;
}

/** adjmsg(9F): trims from the front, or with a negative length from the end. */
function adjust(k: Solaris, message: Address, length: number): number {
  if (Math.abs(length) > messageSize(k, message)) return 0;
  let left = Math.abs(length);
  const list = blocks(k, message);
  for (const at of length >= 0 ? list : list.reverse()) {
    const part = Math.min(left, blockSize(k, at));
    if (length >= 0) k.write('msgb.b_rptr', at, k.read('msgb.b_rptr', at) + part);
    else k.write('msgb.b_wptr', at, k.read('msgb.b_wptr', at) - part);
    left -= part;
  }
  return 1;
}

/** pullupmsg(9F): the first `length` bytes (-1 = all) in one block. */
function pullUp(k: Solaris, message: Address, length: number): number {
  const bytes = messageBytes(k, message);
  if (length > bytes.length) return 0;
  const fresh = messageOf(k, bytes, messageType(k, message));
  if (fresh === 0) return 0;
  const rest = k.read('msgb.b_cont', message);
  const data = k.read('msgb.b_datap', message);
  for (const field of ['b_rptr', 'b_wptr', 'b_datap'])
    k.write(`msgb.${field}`, message, k.read(`msgb.${field}`, fresh));
  k.write('msgb.b_datap', fresh, data);
  k.write('msgb.b_cont', message, 0);
  freeBlock(k, fresh);
  if (rest !== 0) freeMessage(k, rest);
  return 1;
}

/** miocack and miocnak: the M_IOCTL goes back as its answer. */
function* answer(k: Solaris, q: Address, message: Address, type: number, count: number, value: number) {
  const block = k.read('msgb.b_rptr', message);
  k.write('datab.db_type', k.read('msgb.b_datap', message), type);
  k.write('iocblk.ioc_count', block, count);
  k.write(type === M.IOCACK ? 'iocblk.ioc_rval' : 'iocblk.ioc_error', block, value);
  if (type === M.IOCACK) k.write('iocblk.ioc_error', block, 0);
  yield* putNext(k, otherSide(k, q), message);
}

function flush(k: Solaris, q: Address, all: boolean, band?: number): void {
  for (let at = k.read('queue.q_first', q); at !== 0; ) {
    const next = k.read('msgb.b_next', at);
    const ofBand = band === undefined || k.read('msgb.b_band', at) === band;
    if (ofBand && (all || messageType(k, at) === M.DATA)) {
      removeMessage(k, q, at);
      freeMessage(k, at);
    }
    at = next;
  }
}

const setFlag = (k: Solaris, q: Address, flag: number, on: boolean): void => {
  const flags = k.read('queue.q_flag', q);
  k.write('queue.q_flag', q, on ? flags | flag : flags & ~flag);
};

const FLUSHALL = 1;
const room = (k: Solaris, q: Address): number => {
  const most = q === 0 ? 0 : k.read('queue.q_hiwat', q);
  return q === 0 || most === 0 || k.read('queue.q_count', q) < most ? 1 : 0;
};

export const streamCalls = kernelFunctions({
  'int strrput(queue_t *q, mblk_t *mp)': (k, q, mp) => {
    arrive(k, q, mp);
    return 0;
  },
  'void qprocson(queue_t *q)': () => undefined,
  'void qprocsoff(queue_t *q)': () => undefined,
  'void putnext(queue_t *q, mblk_t *mp)': putNext,
  'void put(queue_t *q, mblk_t *mp)': put,
  'void qreply(queue_t *q, mblk_t *mp)': (k, q, mp) => putNext(k, otherSide(k, q), mp),
  'int putq(queue_t *q, mblk_t *mp)': (k, q, mp) => {
    putMessage(k, q, mp);
    return 1;
  },
  'int putbq(queue_t *q, mblk_t *mp)': (k, q, mp) => {
    putMessage(k, q, mp, true);
    return 1;
  },
  'mblk_t *getq(queue_t *q)': takeMessage,
  'void rmvq(queue_t *q, mblk_t *mp)': removeMessage,
  'void flushq(queue_t *q, int flag)': (k, q, flag) => flush(k, q, flag === FLUSHALL),
  'void flushband(queue_t *q, unsigned char band, int flag)': (k, q, band, flag) =>
    flush(k, q, flag === FLUSHALL, band),
  'int bcanput(queue_t *q, unsigned char band)': room,
  'int canput(queue_t *q)': room,
  'int canputnext(queue_t *q)': (k, q) => room(k, k.read('queue.q_next', q)),
  'int bcanputnext(queue_t *q, unsigned char band)': (k, q) => room(k, k.read('queue.q_next', q)),
  'void qenable(queue_t *q)': enable,
  'void enableok(queue_t *q)': (k, q) => setFlag(k, q, Q.NOENB, false),
  'void noenable(queue_t *q)': (k, q) => setFlag(k, q, Q.NOENB, true),
  'int qsize(queue_t *q)': (k, q) => {
    let count = 0;
    for (let at = k.read('queue.q_first', q); at !== 0 && count < 1e6; at = k.read('msgb.b_next', at))
      count++;
    return count;
  },
  'queue_t *RD(queue_t *q)': readSide,
  'queue_t *WR(queue_t *q)': writeSide,
  'queue_t *OTHERQ(queue_t *q)': otherSide,
  'int SAMESTR(queue_t *q)': (k, q) => (k.read('queue.q_next', q) !== 0 ? 1 : 0),
  'mblk_t *allocb(size_t size, uint_t pri)': (k, size) =>
    allocateMessage(k, size, M.DATA, k.convention.returnAddress(k.cpu)),
  'mblk_t *allocb_wait(size_t size, uint_t pri, uint_t flags, int *error)': (
    k,
    size,
    _pri,
    _flags,
    error,
  ) => {
    if (error !== 0) k.memory.set32(error, 0);
    return allocateMessage(k, size, M.DATA, k.convention.returnAddress(k.cpu));
  },
  'void freeb(mblk_t *mp)': freeBlock,
  'void freemsg(mblk_t *mp)': freeMessage,
  'mblk_t *dupb(mblk_t *mp)': duplicate,
  'mblk_t *dupmsg(mblk_t *mp)': (k, mp) => each(k, mp, duplicate),
  'mblk_t *copyb(mblk_t *mp)': copyBlock,
  'mblk_t *copymsg(mblk_t *mp)': (k, mp) => each(k, mp, copyBlock),
  'void linkb(mblk_t *first, mblk_t *second)': (k, first, second) => {
    const last = blocks(k, first).at(-1);
    if (last !== undefined) k.write('msgb.b_cont', last, second);
  },
  'mblk_t *unlinkb(mblk_t *mp)': (k, mp) => {
    const rest = k.read('msgb.b_cont', mp);
    k.write('msgb.b_cont', mp, 0);
    return rest;
  },
  'size_t msgdsize(const mblk_t *mp)': (k, mp) =>
    blocks(k, mp).reduce((sum, at) => sum + (messageType(k, at) === M.DATA ? blockSize(k, at) : 0), 0),
  'size_t msgsize(mblk_t *mp)': messageSize,
  'int adjmsg(mblk_t *mp, ssize_t length)': adjust,
  'int pullupmsg(mblk_t *mp, ssize_t length)': pullUp,
  'mblk_t *msgpullup(mblk_t *mp, ssize_t length)': (k, mp, length) => {
    const bytes = messageBytes(k, mp);
    return length > bytes.length ? 0 : messageOf(k, bytes, messageType(k, mp));
  },
  'int putctl(queue_t *q, int type)': function* (k, q, type) {
    const message = allocateMessage(k, 0, type);
    if (message === 0) return 0;
    yield* put(k, q, message);
    return 1;
  },
  'int putctl1(queue_t *q, int type, int parameter)': function* (k, q, type, parameter) {
    const message = messageOf(k, Uint8Array.of(parameter & 0xff), type);
    if (message === 0) return 0;
    yield* put(k, q, message);
    return 1;
  },
  'void miocack(queue_t *q, mblk_t *mp, int count, int rval)': (k, q, mp, count, rval) =>
    answer(k, q, mp, M.IOCACK, count, rval),
  'void miocnak(queue_t *q, mblk_t *mp, int count, int error)': (k, q, mp, count, error) =>
    answer(k, q, mp, M.IOCNAK, count, error),
});
