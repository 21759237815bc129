/**
 * Packets and buffers of NDIS 5 and before (ndis.h): a packet is a descriptor with a chain of buffers, a buffer is an MDL over
 * nonpaged memory. Nothing here needs an adapter; sending a packet does.
 */
import type { Address } from '../../../memory/space.ts';
import {
  addMdlFlags,
  describeRange,
  fillFrames,
  MdlFlag,
  mdlVirtualAddress,
  releaseMdl,
  spannedPages,
} from '../mdl.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

const TAG = 0x6b50444e;
/** NDIS_PACKET_OOB_DATA, and room for the pointers of NDIS_PACKET_EXTENSION behind it. */
const OUT_OF_BAND_BYTES = 128;
const ALLOCATED_BY_NDIS = 0x80;

/** NDIS_PACKET: what is private to NDIS, four words of the miniport's, two reserved, then the protocol's own. */
const layoutOf = (word: number) => {
  const counts = 8 + 3 * word;
  return {
    head: 8,
    tail: 8 + word,
    pool: 8 + 2 * word,
    valid: counts + 8,
    protocol: 6 * word + (word === 8 ? 48 : 32),
  };
};

/** A pool: packets there may be, the protocol's bytes in each, packets there are. */
const [LIMIT, RESERVED, USED] = [0, 4, 8];

function newPool(k: Windows, status: Address, out: Address, count: number, reserved: number): void {
  const pool = k.pool.allocate('nonpaged', 64, TAG, callerOf(k), true);
  k.memory.setPtr(out, pool);
  k.memory.set32(status, pool === 0 ? Status.INSUFFICIENT_RESOURCES : Status.SUCCESS);
  if (pool === 0) return;
  k.memory.set32(pool + LIMIT, count);
  k.memory.set32(pool + RESERVED, reserved);
}

function newPacket(k: Windows, pool: Address): Address {
  if (pool === 0 || k.memory.u32(pool + USED) >= k.memory.u32(pool + LIMIT)) return 0;
  const { pool: poolAt, valid, protocol } = layoutOf(k.word);
  const reserved = Math.ceil(k.memory.u32(pool + RESERVED) / k.word) * k.word;
  const packet = k.pool.allocate('nonpaged', protocol + reserved + OUT_OF_BAND_BYTES, TAG, callerOf(k), true);
  if (packet === 0) return 0;
  k.memory.set32(pool + USED, k.memory.u32(pool + USED) + 1);
  k.memory.setPtr(packet + poolAt, pool);
  k.memory.set8(packet + valid, 1);
  k.memory.set8(packet + valid + 1, ALLOCATED_BY_NDIS);
  k.memory.set16(packet + valid + 2, protocol + reserved);
  return packet;
}

function freePacket(k: Windows, packet: Address): void {
  const pool = k.memory.ptr(packet + layoutOf(k.word).pool);
  k.memory.set32(pool + USED, k.memory.u32(pool + USED) - 1);
  k.pool.release(packet);
}

function newBuffer(k: Windows, va: Address, bytes: number): Address {
  const mdl = describeRange(k, va, bytes, callerOf(k));
  if (mdl === 0) return 0;
  fillFrames(k, mdl);
  k.write('MDL.MappedSystemVa', mdl, va);
  addMdlFlags(k, mdl, MdlFlag.SOURCE_IS_NONPAGED_POOL);
  return mdl;
}

/** Takes one buffer off a packet's chain, and the packet's counts are to be made anew. @returns it, or 0 */
function unchain(k: Windows, packet: Address, last: boolean): Address {
  const { head, tail, valid } = layoutOf(k.word);
  const first = k.memory.ptr(packet + head);
  if (first === 0) return 0;
  k.memory.set8(packet + valid, 0);
  let [before, one] = [0, first];
  while (last && k.read('MDL.Next', one) !== 0) [before, one] = [one, k.read('MDL.Next', one)];
  const next = k.read('MDL.Next', one);
  if (before === 0) k.memory.setPtr(packet + head, next);
  else k.write('MDL.Next', before, next);
  if (next === 0) k.memory.setPtr(packet + tail, before);
  k.write('MDL.Next', one, 0);
  return one;
}

const answer = (k: Windows, status: Address, out: Address, value: Address): void => {
  k.memory.setPtr(out, value);
  k.memory.set32(status, value === 0 ? Status.INSUFFICIENT_RESOURCES : Status.SUCCESS);
};

function query(k: Windows, buffer: Address, va: Address, bytes: Address): void {
  if (va !== 0) k.memory.setPtr(va, mdlVirtualAddress(k, buffer));
  k.memory.set32(bytes, k.read('MDL.ByteCount', buffer));
}

export const ndisPacketFunctions = kernelFunctions({
  'void NdisAllocatePacketPool(LONG *status, PVOID *pool, ULONG count, ULONG reserved)': (
    k,
    status,
    out,
    count,
    reserved,
  ) => newPool(k, status, out, count, reserved),
  'void NdisAllocatePacketPoolEx(LONG *status, PVOID *pool, ULONG count, ULONG more, ULONG reserved)': (
    k,
    status,
    out,
    count,
    more,
    reserved,
  ) => newPool(k, status, out, count + more, reserved),
  'void NdisFreePacketPool(PVOID pool)': (k, pool) => {
    k.pool.release(pool);
  },
  'ULONG NdisPacketPoolUsage(PVOID pool)': (k, pool) => k.memory.u32(pool + USED),
  'void NdisAllocatePacket(LONG *status, PVOID *packet, PVOID pool)': (k, status, out, pool) =>
    answer(k, status, out, newPacket(k, pool)),
  'void NdisFreePacket(PVOID packet)': (k, packet) => freePacket(k, packet),
  'void NdisUnchainBufferAtFront(PVOID packet, PVOID *buffer)': (k, packet, out) =>
    k.memory.setPtr(out, unchain(k, packet, false)),
  'void NdisUnchainBufferAtBack(PVOID packet, PVOID *buffer)': (k, packet, out) =>
    k.memory.setPtr(out, unchain(k, packet, true)),

  'void NdisAllocateBufferPool(LONG *status, PVOID *pool, ULONG count)': (k, status, out, count) =>
    newPool(k, status, out, count, 0),
  'void NdisFreeBufferPool(PVOID pool)': (k, pool) => {
    k.pool.release(pool);
  },
  'void NdisAllocateBuffer(LONG *status, PVOID *buffer, PVOID pool, PVOID va, ULONG bytes)': (
    k,
    status,
    out,
    _pool,
    va,
    bytes,
  ) => answer(k, status, out, newBuffer(k, va, bytes)),
  'void NdisFreeBuffer(PVOID buffer)': (k, buffer) => releaseMdl(k, buffer),
  'PVOID NdisAllocateMdl(PVOID handle, PVOID va, ULONG bytes)': (k, _handle, va, bytes) =>
    newBuffer(k, va, bytes),
  'void NdisFreeMdl(PVOID mdl)': (k, mdl) => releaseMdl(k, mdl),
  'void NdisQueryBuffer(PVOID buffer, PVOID *va, ULONG *bytes)': (k, buffer, va, bytes) =>
    query(k, buffer, va, bytes),
  'void NdisQueryBufferSafe(PVOID buffer, PVOID *va, ULONG *bytes, ULONG priority)': (k, buffer, va, bytes) =>
    query(k, buffer, va, bytes),
  'void NdisQueryBufferOffset(PVOID buffer, ULONG *offset, ULONG *bytes)': (k, buffer, offset, bytes) => {
    k.memory.set32(offset, k.read('MDL.ByteOffset', buffer));
    k.memory.set32(bytes, k.read('MDL.ByteCount', buffer));
  },
  'void NdisAdjustBufferLength(PVOID buffer, ULONG bytes)': (k, buffer, bytes) =>
    k.write('MDL.ByteCount', buffer, bytes),
  'ULONG NdisBufferLength(PVOID buffer)': (k, buffer) => k.read('MDL.ByteCount', buffer),
  'PVOID NdisBufferVirtualAddress(PVOID buffer)': (k, buffer) => mdlVirtualAddress(k, buffer),
  'ULONG NDIS_BUFFER_TO_SPAN_PAGES(PVOID buffer)': (k, buffer) =>
    Math.max(1, spannedPages(mdlVirtualAddress(k, buffer), k.read('MDL.ByteCount', buffer))),
});
