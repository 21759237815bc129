/**
 * Block transfers: buf(9S) structures in their own layout, and what specfs does between read(2) of a block device and the
 * driver's strategy(9E): whole blocks, read before they are changed in part.
 */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import { sleepOn, wakeAll } from './functions/locks.ts';
import type { Solaris } from './solaris.ts';

/** b_flags (sys/buf.h). */
export const B = { BUSY: 1, DONE: 2, ERROR: 4, PHYS: 0x20, READ: 0x40, WRITE: 0x100 } as const;
export const DEV_BSIZE = 512;
/** What one transfer of specfs is. */
const MAX_TRANSFER = 8192;

const flags = (k: Solaris, bp: Address): number => k.read('buf.b_flags', bp);
const setFlags = (k: Solaris, bp: Address, value: number): void => k.write('buf.b_flags', bp, value);

/** biodone(9F): the caller of the transfer goes on, or the function it left runs. */
export function* finishTransfer(k: Solaris, bp: Address): Steps<void> {
  setFlags(k, bp, flags(k, bp) | B.DONE);
  const iodone = k.read('buf.b_iodone', bp);
  if (iodone !== 0) {
    k.write('buf.b_iodone', bp, 0);
    yield* k.callInt(iodone, bp);
  } else wakeAll(k, bp + k.offset('buf.b_io'));
}

/** biowait(9F): gives the error. */
export function* awaitTransfer(k: Solaris, bp: Address): Steps<number> {
  while ((flags(k, bp) & B.DONE) === 0) yield* sleepOn(k, bp + k.offset('buf.b_io'), 'biowait');
  return transferError(k, bp);
}

/** geterror(9F). */
export function transferError(k: Solaris, bp: Address): number {
  return (flags(k, bp) & B.ERROR) === 0 ? 0 : k.read('buf.b_error', bp) || Errno.EIO;
}

/** bioerror(9F); 0 takes an error back. */
export function setTransferError(k: Solaris, bp: Address, error: number): void {
  const rest = flags(k, bp) & ~B.ERROR;
  setFlags(k, bp, error === 0 ? rest : rest | B.ERROR);
  k.write('buf.b_error', bp, error);
}

export interface Transfer {
  readonly dev: number;
  readonly read: boolean;
  readonly at: Address;
  readonly bytes: number;
  /** In bytes from the beginning of the device. */
  readonly offset: number;
}

export function fillBuf(k: Solaris, bp: Address, { dev, read, at, bytes, offset }: Transfer, more = 0): void {
  setFlags(k, bp, B.BUSY | (read ? B.READ : B.WRITE) | more);
  k.write('buf.b_edev', bp, dev);
  k.write('buf.b_addr', bp, at);
  k.write('buf.b_bcount', bp, bytes);
  k.write('buf.b_resid', bp, 0);
  k.write('buf.b_error', bp, 0);
  k.memory.setU64(bp + k.offset('buf.b_lblkno'), BigInt(Math.floor(offset / DEV_BSIZE)));
}

/** One transfer by the driver's strategy: bytes that were not moved, or an errno as a negative number. */
function* transfer(k: Solaris, strategy: Address, what: Transfer): Steps<number> {
  const bp = k.heap.take(k.sizeof('buf'));
  fillBuf(k, bp, what);
  yield* k.callInt(strategy, bp);
  const error = yield* awaitTransfer(k, bp);
  const left = k.read('buf.b_resid', bp);
  k.heap.free(bp);
  return error !== 0 ? -error : Math.max(0, Math.min(left, what.bytes));
}

/** Whole blocks around a stretch of a device, from where they are to where it ends; an errno when none can be read. */
function* readBlocks(k: Solaris, strategy: Address, dev: number, offset: number, bytes: number) {
  const buffer = k.heap.take(MAX_TRANSFER);
  const parts: Uint8Array[] = [];
  let error = 0;
  for (let done = 0; done < bytes; ) {
    const want = Math.min(MAX_TRANSFER, bytes - done);
    const left: number = yield* transfer(k, strategy, {
      dev,
      read: true,
      at: buffer,
      bytes: want,
      offset: offset + done,
    });
    if (left < 0) error = -left;
    else parts.push(k.memory.bytes(buffer, want - left).slice());
    if (left !== 0) break;
    done += want;
  }
  k.heap.free(buffer);
  return { error: parts.length > 0 ? 0 : error, bytes: Uint8Array.from(parts.flatMap((part) => [...part])) };
}

const blockStart = (offset: number): number => Math.floor(offset / DEV_BSIZE) * DEV_BSIZE;
const blockEnd = (offset: number): number => Math.ceil(offset / DEV_BSIZE) * DEV_BSIZE;

/** read(2) of a block device. */
export function* readBlockDevice(
  k: Solaris,
  strategy: Address,
  dev: number,
  offset: number,
  most: number,
): Steps<Uint8Array | number> {
  const from = blockStart(offset);
  const { error, bytes } = yield* readBlocks(k, strategy, dev, from, blockEnd(offset + most) - from);
  if (error !== 0) return error;
  return bytes.slice(offset - from, offset - from + most);
}

/** write(2): bytes written, or an errno as a negative number. */
export function* writeBlockDevice(
  k: Solaris,
  strategy: Address,
  dev: number,
  offset: number,
  data: Uint8Array,
): Steps<number> {
  const from = blockStart(offset);
  const old = yield* readBlocks(k, strategy, dev, from, blockEnd(offset + data.length) - from);
  if (old.error !== 0) return -old.error;
  const room = Math.max(0, old.bytes.length - (offset - from));
  const moved = Math.min(data.length, room);
  if (moved === 0) return -Errno.ENXIO;
  old.bytes.set(data.subarray(0, moved), offset - from);
  for (let done = 0; done < old.bytes.length; done += MAX_TRANSFER) {
    const part = old.bytes.subarray(done, done + MAX_TRANSFER);
    const buffer = k.heap.take(part.length);
    k.memory.write(buffer, part);
    const left = yield* transfer(k, strategy, {
      dev,
      read: false,
      at: buffer,
      bytes: part.length,
      offset: from + done,
    });
    k.heap.free(buffer);
    if (left < 0) return left;
  }
  return moved;
}
