/** Network buffers (bsd/kern/kpi_mbuf.c): `mbuf_t` is opaque to kexts, which reach it through these functions alone. */
import type { Address } from '../../../../memory/space.ts';
import { ERRNO } from '../../errno.ts';
import type { Macos } from '../../macos.ts';
import { kernelFunctions } from '../define.ts';

/** Bytes of a plain buffer, and flags of bsd/sys/mbuf.h that matter here. */
const PLAIN_BYTES = 2048;
const PACKET = 2;
const MOST = 100_000;
/** MBUF_COPYALL */
const ALL = 1_000_000_000;

/** A buffer with room for `bytes`; a packet's first carries the packet's header. */
export function newMbuf(k: Macos, bytes: number, packet: boolean, kind = 1): Address {
  const at = k.heap.allocate(k.sizeof('struct mbuf'), 'mbuf');
  const room = Math.max(PLAIN_BYTES, bytes);
  const data = k.heap.allocate(room, 'mbuf cluster');
  if (at === 0 || data === 0) return 0;
  k.write('mbuf.start', at, data);
  k.write('mbuf.data', at, data);
  k.write('mbuf.room', at, room);
  k.write('mbuf.type', at, kind);
  k.write('mbuf.flags', at, packet ? PACKET : 0);
  return at;
}

/** A packet that holds these bytes. */
export function mbufWith(k: Macos, bytes: Uint8Array): Address {
  const at = newMbuf(k, bytes.length, true);
  k.memory.write(k.read('mbuf.data', at), bytes);
  k.write('mbuf.len', at, bytes.length);
  k.write('mbuf.pktlen', at, bytes.length);
  return at;
}

/** The buffers of one packet. */
export function chain(k: Macos, first: Address): Address[] {
  const all: Address[] = [];
  for (let at = first; at !== 0 && all.length < MOST; at = k.read('mbuf.next', at)) all.push(at);
  return all;
}

export function mbufBytes(k: Macos, first: Address): Uint8Array {
  const parts = chain(k, first).flatMap((at) => [
    ...k.memory.bytes(k.read('mbuf.data', at), Math.max(0, k.read('mbuf.len', at))),
  ]);
  return Uint8Array.from(parts);
}

/** Frees one buffer; gives the next. */
export function freeMbuf(k: Macos, at: Address): Address {
  if (at === 0) return 0;
  const next = k.read('mbuf.next', at);
  k.heap.free(k.read('mbuf.start', at));
  k.heap.free(at);
  return next;
}

export function freePacket(k: Macos, first: Address): void {
  for (const at of chain(k, first)) freeMbuf(k, at);
}

function freeList(k: Macos, first: Address): number {
  let count = 0;
  for (let at = first; at !== 0 && count < MOST; count++) {
    const next = k.read('mbuf.nextpkt', at);
    freePacket(k, at);
    at = next;
  }
  return count;
}

function give(k: Macos, to: Address, at: Address): number {
  if (at === 0) return ERRNO.ENOMEM;
  k.memory.setPtr(to, at);
  return 0;
}

/** Room for `bytes` in front of the data; a buffer of its own when there is none. */
function prepend(k: Macos, place: Address, bytes: number): number {
  const first = k.memory.ptr(place);
  const lead = k.read('mbuf.data', first) - k.read('mbuf.start', first);
  if (lead >= bytes) {
    k.write('mbuf.data', first, k.read('mbuf.data', first) - bytes);
    k.write('mbuf.len', first, k.read('mbuf.len', first) + bytes);
  } else {
    const front = newMbuf(k, bytes, true, k.read('mbuf.type', first));
    if (front === 0) return ERRNO.ENOMEM;
    for (const field of ['mbuf.pktlen', 'mbuf.rcvif', 'mbuf.header'] as const)
      k.write(field, front, k.read(field, first));
    k.write('mbuf.flags', front, k.read('mbuf.flags', first));
    k.write('mbuf.flags', first, k.read('mbuf.flags', first) & ~PACKET);
    k.write('mbuf.next', front, first);
    k.write('mbuf.len', front, bytes);
    k.memory.setPtr(place, front);
  }
  const packet = k.memory.ptr(place);
  k.write('mbuf.pktlen', packet, k.read('mbuf.pktlen', packet) + bytes);
  return 0;
}

/** The first `bytes` of a packet into its first buffer. */
function pullUp(k: Macos, place: Address, bytes: number): number {
  const first = k.memory.ptr(place);
  if (k.read('mbuf.len', first) >= bytes) return 0;
  const all = mbufBytes(k, first);
  if (all.length < bytes || bytes > k.read('mbuf.room', first)) {
    freePacket(k, first);
    k.memory.setPtr(place, 0);
    return all.length < bytes ? ERRNO.EINVAL : ERRNO.ENOMEM;
  }
  const start = k.read('mbuf.start', first);
  k.memory.write(start, all.subarray(0, bytes));
  k.write('mbuf.data', first, start);
  let needed = bytes - k.read('mbuf.len', first);
  k.write('mbuf.len', first, bytes);
  for (const at of chain(k, first).slice(1)) {
    const cut = Math.min(needed, k.read('mbuf.len', at));
    k.write('mbuf.data', at, k.read('mbuf.data', at) + cut);
    k.write('mbuf.len', at, k.read('mbuf.len', at) - cut);
    needed -= cut;
  }
  return 0;
}

function copyOut(k: Macos, first: Address, offset: number, bytes: number, to: Address): number {
  const all = mbufBytes(k, first);
  if (offset + bytes > all.length) return ERRNO.EINVAL;
  k.memory.write(to, all.subarray(offset, offset + bytes));
  return 0;
}

function copyBack(k: Macos, first: Address, offset: number, bytes: number, from: Address): number {
  let skip = offset;
  let done = 0;
  const all = chain(k, first);
  for (const [i, at] of all.entries()) {
    const last = i === all.length - 1;
    const data = k.read('mbuf.data', at);
    const end = k.read('mbuf.start', at) + k.read('mbuf.room', at);
    const length = last ? Math.min(end - data, skip + bytes - done) : k.read('mbuf.len', at);
    if (length > k.read('mbuf.len', at)) k.write('mbuf.len', at, length);
    const count = Math.max(0, Math.min(length - skip, bytes - done));
    if (count > 0) k.memory.copy(data + skip, from + done, count);
    done += count;
    skip = Math.max(0, skip - length);
  }
  const total = chain(k, first).reduce((sum, at) => sum + k.read('mbuf.len', at), 0);
  if ((k.read('mbuf.flags', first) & PACKET) !== 0) k.write('mbuf.pktlen', first, total);
  return done === bytes ? 0 : ERRNO.ENOMEM;
}

/** Takes bytes away from the front, or from the end when there are fewer than none. */
function adjust(k: Macos, first: Address, bytes: number): void {
  let left = Math.abs(bytes);
  const order = bytes >= 0 ? chain(k, first) : chain(k, first).reverse();
  for (const at of order) {
    const cut = Math.min(left, k.read('mbuf.len', at));
    if (bytes >= 0) k.write('mbuf.data', at, k.read('mbuf.data', at) + cut);
    k.write('mbuf.len', at, k.read('mbuf.len', at) - cut);
    left -= cut;
  }
  const done = Math.abs(bytes) - left;
  if ((k.read('mbuf.flags', first) & PACKET) !== 0)
    k.write('mbuf.pktlen', first, k.read('mbuf.pktlen', first) - done);
}

function copyOf(k: Macos, first: Address, offset: number, bytes: number, to: Address): number {
  const all = mbufBytes(k, first);
  const count = bytes === ALL ? all.length - offset : bytes;
  if (offset + count > all.length || count < 0) return ERRNO.EINVAL;
  return give(k, to, mbufWith(k, all.subarray(offset, offset + count)));
}

const read =
  (field: 'mbuf.data' | 'mbuf.len' | 'mbuf.next' | 'mbuf.nextpkt' | 'mbuf.start' | 'mbuf.room') =>
  (k: Macos, at: Address): number =>
    k.read(field, at);

export const mbufs = kernelFunctions({
  'void *mbuf_data(void *m)': read('mbuf.data'),
  'void *mbuf_datastart(void *m)': read('mbuf.start'),
  'size_t mbuf_len(void *m)': read('mbuf.len'),
  'size_t mbuf_maxlen(void *m)': read('mbuf.room'),
  'void *mbuf_next(void *m)': read('mbuf.next'),
  'void *mbuf_nextpkt(void *m)': read('mbuf.nextpkt'),
  'void mbuf_setlen(void *m, size_t bytes)': (k, at, bytes) => k.write('mbuf.len', at, bytes),
  'errno_t mbuf_setdata(void *m, void *data, size_t bytes)': (k, at, data, bytes) => {
    const start = k.read('mbuf.start', at);
    if (data < start || data + bytes > start + k.read('mbuf.room', at)) return ERRNO.EINVAL;
    k.write('mbuf.data', at, data);
    k.write('mbuf.len', at, bytes);
    return 0;
  },
  'errno_t mbuf_setnext(void *m, void *next)': (k, at, next) => {
    k.write('mbuf.next', at, next);
    return 0;
  },
  'void mbuf_setnextpkt(void *m, void *next)': (k, at, next) => k.write('mbuf.nextpkt', at, next),
  'unsigned int mbuf_flags(void *m)': (k, at) => k.read('mbuf.flags', at),
  'errno_t mbuf_setflags(void *m, unsigned int flags)': (k, at, flags) => {
    k.write('mbuf.flags', at, (k.read('mbuf.flags', at) & PACKET) | (flags & ~PACKET));
    return 0;
  },
  'errno_t mbuf_setflags_mask(void *m, unsigned int flags, unsigned int mask)': (k, at, flags, mask) => {
    k.write('mbuf.flags', at, (k.read('mbuf.flags', at) & ~mask) | (flags & mask));
    return 0;
  },
  'unsigned int mbuf_type(void *m)': (k, at) => k.read('mbuf.type', at),
  'errno_t mbuf_settype(void *m, unsigned int kind)': (k, at, kind) => {
    k.write('mbuf.type', at, kind);
    return 0;
  },
  'size_t mbuf_leadingspace(void *m)': (k, at) => k.read('mbuf.data', at) - k.read('mbuf.start', at),
  'size_t mbuf_trailingspace(void *m)': (k, at) =>
    k.read('mbuf.start', at) + k.read('mbuf.room', at) - k.read('mbuf.data', at) - k.read('mbuf.len', at),
  'errno_t mbuf_get(unsigned int how, unsigned int kind, void **m)': (k, _how, kind, to) =>
    give(k, to, newMbuf(k, 0, false, kind)),
  'errno_t mbuf_gethdr(unsigned int how, unsigned int kind, void **m)': (k, _how, kind, to) =>
    give(k, to, newMbuf(k, 0, true, kind)),
  'errno_t mbuf_getpacket(unsigned int how, void **m)': (k, _how, to) => give(k, to, newMbuf(k, 0, true)),
  'errno_t mbuf_allocpacket(unsigned int how, size_t bytes, unsigned int *chunks, void **m)': (
    k,
    _how,
    bytes,
    chunks,
    to,
  ) => {
    if (chunks !== 0) k.memory.set32(chunks, 1);
    return give(k, to, newMbuf(k, bytes, true));
  },
  'void *mbuf_free(void *m)': freeMbuf,
  'void mbuf_freem(void *m)': freePacket,
  'int mbuf_freem_list(void *m)': freeList,
  'errno_t mbuf_prepend(void **m, size_t bytes, unsigned int how)': prepend,
  'errno_t mbuf_pullup(void **m, size_t bytes)': pullUp,
  'errno_t mbuf_copydata(void *m, size_t offset, size_t bytes, void *to)': copyOut,
  'errno_t mbuf_copyback(void *m, size_t offset, size_t bytes, const void *from, unsigned int how)': copyBack,
  'errno_t mbuf_copym(void *m, size_t offset, size_t bytes, unsigned int how, void **to)': (
    k,
    at,
    offset,
    bytes,
    _how,
    to,
  ) => copyOf(k, at, offset, bytes, to),
  'errno_t mbuf_dup(void *m, unsigned int how, void **to)': (k, at, _how, to) => copyOf(k, at, 0, ALL, to),
  'void mbuf_adj(void *m, int bytes)': adjust,
  'size_t mbuf_pkthdr_len(void *m)': (k, at) => k.read('mbuf.pktlen', at),
  'void mbuf_pkthdr_setlen(void *m, size_t bytes)': (k, at, bytes) => k.write('mbuf.pktlen', at, bytes),
  'void mbuf_pkthdr_adjustlen(void *m, int by)': (k, at, by) =>
    k.write('mbuf.pktlen', at, k.read('mbuf.pktlen', at) + by),
  'void *mbuf_pkthdr_rcvif(void *m)': (k, at) => k.read('mbuf.rcvif', at),
  'errno_t mbuf_pkthdr_setrcvif(void *m, void *ifp)': (k, at, ifp) => {
    k.write('mbuf.rcvif', at, ifp);
    return 0;
  },
  'void *mbuf_pkthdr_header(void *m)': (k, at) => k.read('mbuf.header', at),
  'void mbuf_pkthdr_setheader(void *m, void *header)': (k, at, header) => k.write('mbuf.header', at, header),
  'errno_t mbuf_set_csum_performed(void *m, unsigned int flags, unsigned int value)': (
    k,
    at,
    flags,
    value,
  ) => {
    k.write('mbuf.csum', at, flags);
    k.write('mbuf.csumvalue', at, value);
    return 0;
  },
  'errno_t mbuf_get_csum_requested(void *m, unsigned int *flags, unsigned int *value)': (
    k,
    at,
    flags,
    value,
  ) => {
    k.memory.set32(flags, k.read('mbuf.csum', at));
    if (value !== 0) k.memory.set32(value, k.read('mbuf.csumvalue', at));
    return 0;
  },
  'errno_t mbuf_get_tso_requested(void *m, unsigned int *flags, unsigned int *value)': (
    k,
    _at,
    flags,
    value,
  ) => {
    k.memory.set32(flags, 0);
    if (value !== 0) k.memory.set32(value, 0);
    return 0;
  },
  'errno_t mbuf_set_vlan_tag(void *m, unsigned short tag)': (k, at, tag) => {
    k.write('mbuf.vlan', at, (tag & 0xffff) + 1);
    return 0;
  },
  'errno_t mbuf_get_vlan_tag(void *m, unsigned short *tag)': (k, at, tag) => {
    const known = k.read('mbuf.vlan', at);
    // A packet without a tag has none to give.
    if (known === 0) return ERRNO.ENXIO;
    k.memory.set16(tag, known - 1);
    return 0;
  },
});
