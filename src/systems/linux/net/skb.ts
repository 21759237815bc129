/**
 * Packets on their way through the kernel (net/core/skbuff.c). A packet is a struct sk_buff and a block of bytes with a
 * struct skb_shared_info behind it, which several packets may share; all of that lies in guest memory.
 */
import { roundUp } from '../../../bytes/align.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { kernelBug } from '../functions/caller.ts';
import type { Linux } from '../linux.ts';
import type { SlabCache } from '../slab.ts';
import { nameOf } from './namespace.ts';

/** SMP_CACHE_BYTES */
const LINE = 64;
/** NET_SKB_PAD: room that a driver's packets keep in front. */
export const PAD = 64;
const NO_HEADER = 0xffff;
/** CHECKSUM_PARTIAL */
const PARTIAL = 3;

const heads = perKernel<SlabCache | undefined, Linux>((k) =>
  k.heap.createCache({ name: 'skbuff_head_cache', size: k.sizeof('sk_buff') }),
);

export const len = (k: Linux, skb: Address): number => k.read('sk_buff.len', skb);
export const linear = (k: Linux, skb: Address): number => len(k, skb) - k.read('sk_buff.data_len', skb);
export const head = (k: Linux, skb: Address): Address => k.read('sk_buff.head', skb);
export const data = (k: Linux, skb: Address): Address => k.read('sk_buff.data', skb);

/** `tail` and `end` are distances from `head` where pointers have 64 bits. */
const place = (k: Linux, skb: Address, field: string): Address =>
  k.word === 8 ? head(k, skb) + k.read(field, skb) : k.read(field, skb);
const setPlace = (k: Linux, skb: Address, field: string, at: Address): void =>
  k.write(field, skb, k.word === 8 ? at - head(k, skb) : at);

export const tail = (k: Linux, skb: Address): Address => place(k, skb, 'sk_buff.tail');
export const end = (k: Linux, skb: Address): Address => place(k, skb, 'sk_buff.end');
export const setTail = (k: Linux, skb: Address, at: Address): void => setPlace(k, skb, 'sk_buff.tail', at);
export const shared = end;

const sharedBytes = (k: Linux): number => roundUp(k.sizeof('skb_shared_info'), LINE);

/** Points a packet at a block of bytes, with nothing in it yet. */
function takeBlock(k: Linux, skb: Address, block: Address, bytes: number): void {
  const room = bytes - sharedBytes(k);
  k.write('sk_buff.head', skb, block);
  k.write('sk_buff.data', skb, block);
  setTail(k, skb, block);
  setPlace(k, skb, 'sk_buff.end', block + room);
  k.write('sk_buff.truesize', skb, bytes + roundUp(k.sizeof('sk_buff'), LINE));
  k.memory.fill(block + room, k.sizeof('skb_shared_info'), 0);
  k.write('skb_shared_info.dataref.counter', block + room, 1);
}

function newHead(k: Linux, caller: Address): Address {
  const cache = k.state(heads);
  const skb = cache === undefined ? 0 : k.heap.allocateFrom(cache, 0, caller);
  if (skb === 0) return 0;
  k.memory.fill(skb, k.sizeof('sk_buff'), 0);
  k.write('sk_buff.users.refs.counter', skb, 1);
  k.write('sk_buff.mac_header', skb, NO_HEADER);
  k.write('sk_buff.transport_header', skb, NO_HEADER);
  return skb;
}

/** __alloc_skb: room for `size` bytes. 0 when there is no memory. */
export function allocatePacket(k: Linux, size: number, caller: Address): Address {
  if (size < 0 || size > 0x7fff_0000) return 0;
  const bytes = roundUp(size, LINE) + sharedBytes(k);
  const block = k.heap.allocate(bytes, undefined, caller);
  if (block === 0) return 0;
  const skb = newHead(k, caller);
  if (skb === 0) {
    k.heap.free(block);
    return 0;
  }
  // All of what the allocator gave can be used, as ksize tells.
  takeBlock(k, skb, block, k.heap.sizeOf(block));
  return skb;
}

/** build_skb: around a block that the caller has; its size, or 0 when it is a whole allocation. */
export function wrapBlock(k: Linux, block: Address, size: number, caller: Address): Address {
  const skb = newHead(k, caller);
  if (skb !== 0) takeBlock(k, skb, block, size !== 0 ? size : k.heap.sizeOf(block));
  return skb;
}

/** skb_over_panic, skb_under_panic: more than there is room for. */
function panic(k: Linux, what: string, skb: Address, size: number, at: Address): never {
  const device = k.read('sk_buff.dev', skb);
  const hex = (n: number) => `0x${(n >>> 0).toString(16)}`;
  const pointer = (n: number) => BigInt.asUintN(64, BigInt(n)).toString(16).padStart(16, '0');
  const places = `head:${pointer(head(k, skb))} data:${pointer(data(k, skb))}`;
  const ends = `tail:${hex(k.read('sk_buff.tail', skb))} end:${hex(k.read('sk_buff.end', skb))}`;
  const name = device === 0 ? '<NULL>' : nameOf(k, device);
  k.printk(
    0,
    `skbuff: ${what}: text:${pointer(at)} len:${len(k, skb)} put:${size} ${places} ${ends} dev:${name}`,
  );
  return kernelBug(k, 'net/core/skbuff.c');
}

/** skb_put: room at the end; where it begins. */
export function append(k: Linux, skb: Address, size: number, caller: Address): Address {
  const at = tail(k, skb);
  setTail(k, skb, at + size);
  k.write('sk_buff.len', skb, len(k, skb) + size);
  if (at + size > end(k, skb)) panic(k, 'skb_over_panic', skb, size, caller);
  return at;
}

/** skb_push: room in front. */
export function prepend(k: Linux, skb: Address, size: number, caller: Address): Address {
  const at = data(k, skb) - size;
  k.write('sk_buff.data', skb, at);
  k.write('sk_buff.len', skb, len(k, skb) + size);
  if (at < head(k, skb)) panic(k, 'skb_under_panic', skb, size, caller);
  return at;
}

/** skb_pull: the first bytes are done with; 0 when there are not so many. */
export function advance(k: Linux, skb: Address, size: number): Address {
  if (size > len(k, skb)) return 0;
  k.write('sk_buff.len', skb, len(k, skb) - size);
  if (linear(k, skb) < 0) kernelBug(k, 'include/linux/skbuff.h');
  const at = data(k, skb) + size;
  k.write('sk_buff.data', skb, at);
  return at;
}

// -- pieces outside of the block: pages, and packets that hang on this one ----------------------------------------------

/** Where the pieces of a packet lie, in order. */
export function* pieces(k: Linux, skb: Address): Generator<{ at: Address; bytes: number }> {
  yield { at: data(k, skb), bytes: linear(k, skb) };
  const info = shared(k, skb);
  for (let i = 0; i < k.read('skb_shared_info.nr_frags', info); i++) yield fragment(k, info, i);
  let next = k.read('skb_shared_info.frag_list', info);
  for (let n = 0; next !== 0 && n < 10_000; n++) {
    yield* pieces(k, next);
    next = k.read('sk_buff.next', next);
  }
}

interface Fragment {
  readonly at: Address;
  readonly bytes: number;
  readonly page: Address;
  /** Where its length stands. */
  readonly lengthAt: Address;
}

/** Before 6.10 a fragment was a bio_vec, afterwards it names its memory in a word of its own. */
function fragment(k: Linux, info: Address, index: number): Fragment {
  const [type, page, offset, length] = k.types.has('skb_frag.netmem')
    ? ['skb_frag', 'skb_frag.netmem', 'skb_frag.offset', 'skb_frag.len']
    : ['bio_vec', 'bio_vec.bv_page', 'bio_vec.bv_offset', 'bio_vec.bv_len'];
  const at = info + k.offset('skb_shared_info.frags') + index * k.sizeof(type);
  const frame = k.heap.pages.frameOf(k.read(page, at));
  return {
    at: k.memory.directMap(frame) + k.read(offset, at),
    bytes: k.read(length, at),
    page: k.read(page, at),
    lengthAt: at + k.offset(length),
  };
}

/** skb_add_rx_frag: a piece of a page joins the packet. */
export function addFragment(
  k: Linux,
  skb: Address,
  index: number,
  page: Address,
  offset: number,
  size: number,
  truesize: number,
): void {
  const info = shared(k, skb);
  const [type, pageField, offsetField] = k.types.has('skb_frag.netmem')
    ? ['skb_frag', 'skb_frag.netmem', 'skb_frag.offset']
    : ['bio_vec', 'bio_vec.bv_page', 'bio_vec.bv_offset'];
  const at = info + k.offset('skb_shared_info.frags') + index * k.sizeof(type);
  k.write(pageField, at, page);
  k.write(offsetField, at, offset);
  k.memory.set32(fragment(k, info, index).lengthAt, size);
  k.write('skb_shared_info.nr_frags', info, index + 1);
  for (const field of ['sk_buff.len', 'sk_buff.data_len']) k.write(field, skb, k.read(field, skb) + size);
  k.write('sk_buff.truesize', skb, k.read('sk_buff.truesize', skb) + truesize);
}

/** skb_copy_bits: undefined when the packet ends before. */
export function copyOut(k: Linux, skb: Address, offset: number, length: number): Uint8Array | undefined {
  if (offset < 0 || length < 0 || offset + length > len(k, skb)) return undefined;
  const out = new Uint8Array(length);
  let skip = offset;
  let filled = 0;
  for (const { at, bytes } of pieces(k, skb)) {
    const here = Math.min(bytes - skip, length - filled);
    if (here > 0) {
      out.set(k.memory.bytes(at + skip, here), filled);
      filled += here;
    }
    skip = Math.max(0, skip - bytes);
    if (filled === length) break;
  }
  return out;
}

/** skb_store_bits: the other way. */
export function copyIn(k: Linux, skb: Address, offset: number, from: Uint8Array): boolean {
  if (offset < 0 || offset + from.length > len(k, skb)) return false;
  let skip = offset;
  let done = 0;
  for (const { at, bytes } of pieces(k, skb)) {
    const here = Math.min(bytes - skip, from.length - done);
    if (here > 0) {
      k.memory.write(at + skip, from.subarray(done, done + here));
      done += here;
    }
    skip = Math.max(0, skip - bytes);
  }
  return true;
}

// -- the end, and copies ---------------------------------------------------------------------------------------------

/** skb_release_data: the block goes with the last packet that uses it. */
function* releaseBlock(k: Linux, skb: Address): Steps<void> {
  const info = shared(k, skb);
  const own = k.read('sk_buff.nohdr', skb) !== 0 ? 0x10001 : 1;
  const users = k.read('skb_shared_info.dataref.counter', info) - own;
  k.write('skb_shared_info.dataref.counter', info, users);
  // The upper half counts those who look at the payload alone.
  if (k.read('sk_buff.cloned', skb) !== 0 && users !== 0) return;
  for (let i = 0; i < k.read('skb_shared_info.nr_frags', info); i++) putPage(k, fragment(k, info, i).page);
  let next = k.read('skb_shared_info.frag_list', info);
  while (next !== 0) {
    const after = k.read('sk_buff.next', next);
    yield* freePacket(k, next);
    next = after;
  }
  k.heap.free(head(k, skb));
}

/** skb_orphan: the socket or driver that wanted to know is told that the packet is gone. */
export function* orphan(k: Linux, skb: Address): Steps<void> {
  const destructor = k.read('sk_buff.destructor', skb);
  if (destructor !== 0) yield* k.call(destructor, skb);
  k.write('sk_buff.destructor', skb, 0);
  k.write('sk_buff.sk', skb, 0);
}

/** kfree_skb, consume_skb: with the last reference the packet goes. */
export function* freePacket(k: Linux, skb: Address): Steps<void> {
  if (skb === 0) return;
  const users = k.read('sk_buff.users.refs.counter', skb) - 1;
  k.write('sk_buff.users.refs.counter', skb, users);
  if (users > 0) return;
  yield* dismantle(k, skb);
}

/** __kfree_skb */
export function* dismantle(k: Linux, skb: Address): Steps<void> {
  yield* orphan(k, skb);
  if (head(k, skb) !== 0) yield* releaseBlock(k, skb);
  k.heap.free(skb);
}

/** skb_clone: another head for the same bytes. */
export function clonePacket(k: Linux, skb: Address, caller: Address): Address {
  const copy = newHead(k, caller);
  if (copy === 0) return 0;
  k.memory.copy(copy, skb, k.sizeof('sk_buff'));
  for (const field of [
    'sk_buff.next',
    'sk_buff.prev',
    'sk_buff.sk',
    'sk_buff.destructor',
    'sk_buff._skb_refdst',
  ])
    k.write(field, copy, 0);
  k.write('sk_buff.users.refs.counter', copy, 1);
  k.write('sk_buff.nohdr', copy, 0);
  for (const each of [skb, copy]) k.write('sk_buff.cloned', each, 1);
  const info = shared(k, skb);
  k.write('skb_shared_info.dataref.counter', info, k.read('skb_shared_info.dataref.counter', info) + 1);
  return copy;
}

/** The part of a packet that a copy takes over as it is (skb_copy_header): all but lists, owners and places. */
function copyHeader(k: Linux, to: Address, from: Address, shift: number): void {
  const kept = [
    'sk_buff.head',
    'sk_buff.data',
    'sk_buff.tail',
    'sk_buff.end',
    'sk_buff.truesize',
    'sk_buff.len',
    'sk_buff.data_len',
  ].map((field) => [field, k.read(field, to)] as const);
  k.memory.copy(to, from, k.sizeof('sk_buff'));
  for (const [field, value] of kept) k.write(field, to, value);
  for (const field of [
    'sk_buff.next',
    'sk_buff.prev',
    'sk_buff.sk',
    'sk_buff.destructor',
    'sk_buff._skb_refdst',
    'sk_buff.cloned',
    'sk_buff.nohdr',
    'sk_buff.extensions',
    'sk_buff._nfct',
  ])
    if (k.types.has(field)) k.write(field, to, 0);
  k.write('sk_buff.users.refs.counter', to, 1);
  moveHeaders(k, to, shift);
}

/** Headers are told by their distance from the block's begin (skb_headers_offset_update). */
function moveHeaders(k: Linux, skb: Address, by: number): void {
  if (k.read('sk_buff.ip_summed', skb) === PARTIAL)
    k.write('sk_buff.csum_start', skb, k.read('sk_buff.csum_start', skb) + by);
  for (const field of [
    'sk_buff.transport_header',
    'sk_buff.network_header',
    'sk_buff.inner_transport_header',
    'sk_buff.inner_network_header',
    'sk_buff.inner_mac_header',
    'sk_buff.mac_header',
  ]) {
    const value = k.read(field, skb);
    if (value !== NO_HEADER) k.write(field, skb, (value + by) & 0xffff);
  }
}

/** skb_copy_expand: bytes of its own, all in one block, with that much room in front and behind. */
export function copyPacket(k: Linux, skb: Address, front: number, behind: number, caller: Address): Address {
  const bytes = copyOut(k, skb, 0, len(k, skb));
  const copy = allocatePacket(k, front + len(k, skb) + behind, caller);
  if (copy === 0 || bytes === undefined) return 0;
  const before = data(k, skb) - head(k, skb);
  k.write('sk_buff.data', copy, head(k, copy) + front);
  setTail(k, copy, head(k, copy) + front);
  k.memory.write(append(k, copy, bytes.length, caller), bytes);
  const above = Math.min(front, before);
  k.memory.copy(data(k, copy) - above, data(k, skb) - above, above);
  copyHeader(k, copy, skb, front - before);
  for (const field of ['skb_shared_info.gso_size', 'skb_shared_info.gso_segs', 'skb_shared_info.gso_type'])
    k.write(field, shared(k, copy), k.read(field, shared(k, skb)));
  return copy;
}

/** pskb_expand_head: the packet gets a block of its own with more room; what lies in pages stays there. */
export function* growHead(
  k: Linux,
  skb: Address,
  front: number,
  behind: number,
  caller: Address,
): Steps<boolean> {
  const before = end(k, skb) - head(k, skb);
  const bytes = roundUp(before + front + behind, LINE) + sharedBytes(k);
  const block = k.heap.allocate(bytes, undefined, caller);
  if (block === 0) return false;
  const [from, tailAt, info] = [data(k, skb) - head(k, skb), tail(k, skb) - head(k, skb), shared(k, skb)];
  k.memory.copy(block + front, head(k, skb), tailAt);
  const room = k.heap.sizeOf(block) - sharedBytes(k);
  k.memory.copy(block + room, info, k.sizeof('skb_shared_info'));
  const users = k.read('skb_shared_info.dataref.counter', info);
  if (k.read('sk_buff.cloned', skb) !== 0 && users > 1) {
    if (k.read('skb_shared_info.nr_frags', info) > 0 || k.read('skb_shared_info.frag_list', info) !== 0) {
      k.heap.free(block);
      return false;
    }
    k.write('skb_shared_info.dataref.counter', info, users - 1);
  } else k.heap.free(head(k, skb));
  k.write('sk_buff.head', skb, block);
  k.write('sk_buff.data', skb, block + front + from);
  setTail(k, skb, block + front + tailAt);
  setPlace(k, skb, 'sk_buff.end', block + room);
  moveHeaders(k, skb, front);
  for (const field of ['sk_buff.cloned', 'sk_buff.hdr_len', 'sk_buff.nohdr', 'sk_buff.head_frag'])
    k.write(field, skb, 0);
  k.write('skb_shared_info.dataref.counter', shared(k, skb), 1);
  return true;
}

/** ___pskb_trim: the packet ends at `length`. Pieces behind it go; of other packets that hang on it, none is cut. */
export function* shorten(k: Linux, skb: Address, length: number): Steps<void> {
  if (length >= len(k, skb)) return;
  const info = shared(k, skb);
  const inBlock = Math.min(length, linear(k, skb));
  let left = length - inBlock;
  const count = k.read('skb_shared_info.nr_frags', info);
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const piece = fragment(k, info, i);
    if (left <= 0) putPage(k, piece.page);
    else {
      k.memory.set32(piece.lengthAt, Math.min(piece.bytes, left));
      left -= piece.bytes;
      kept++;
    }
  }
  k.write('skb_shared_info.nr_frags', info, kept);
  setTail(k, skb, data(k, skb) + inBlock);
  k.write('sk_buff.data_len', skb, length - inBlock);
  k.write('sk_buff.len', skb, length);
}

/** put_page */
function putPage(k: Linux, page: Address): void {
  const users = k.read('page._refcount.counter', page) - 1;
  k.write('page._refcount.counter', page, users);
  if (users === 0) k.heap.pages.release(page, 0);
}
