/**
 * Direct memory access: ddi_dma_alloc_handle(9F) and what follows. No device moves anything here, but a driver sees the
 * addresses and pieces that its attributes ask for: they are the frames that are really behind its memory.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { type Address, PAGE_SIZE, Perm } from '../../../memory/space.ts';
import { accessOf, freeHandle, makeHandle } from '../hardware.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const SUCCESS = 0;
const FAILURE = -1;
/** What binding gives (sys/ddidmareq.h). */
const DMA = { MAPPED: 0, NORESOURCES: -1, NOMAPPING: -2, TOOBIG: -3, BADATTR: -8, INUSE: -9 } as const;

interface Cookie {
  readonly address: bigint;
  readonly bytes: number;
}

interface DmaHandle {
  readonly attributes: Attributes;
  /** Of the memory that is bound; undefined when none is. */
  cookies: readonly Cookie[] | undefined;
  next: number;
}

interface Attributes {
  readonly low: bigint;
  readonly high: bigint;
  readonly countMax: bigint;
  readonly align: bigint;
  readonly segment: bigint;
  readonly pieces: number;
}

const handles = perKernel(() => new Map<Address, DmaHandle>());

function attributesAt(k: Solaris, at: Address): Attributes {
  const wide = (name: string): bigint => k.memory.u64(at + k.offset(`ddi_dma_attr.dma_attr_${name}`));
  return {
    low: wide('addr_lo'),
    high: wide('addr_hi'),
    countMax: wide('count_max'),
    align: wide('align'),
    segment: wide('seg'),
    pieces: k.memory.i32(at + k.offset('ddi_dma_attr.dma_attr_sgllen')),
  };
}

function allocate(k: Solaris, at: Address, handlep: Address): number {
  const attributes = attributesAt(k, at);
  const { low, high, align } = attributes;
  if (low >= high || (align !== 0n && (align & (align - 1n)) !== 0n)) return DMA.BADATTR;
  const handle = k.heap.take(64);
  k.state(handles).set(handle, { attributes, cookies: undefined, next: 0 });
  k.memory.setPtr(handlep, handle);
  return SUCCESS;
}

/** Whole pages, so that any alignment up to a page is met. */
function allocateMemory(
  k: Solaris,
  bytes: number,
  out: { address: Address; real: Address; handle: Address },
): number {
  const pages = Math.ceil(Math.max(1, bytes) / PAGE_SIZE);
  if (!(pages > 0 && pages <= k.memory.frames.freePages)) return FAILURE;
  const at = k.mapPages(k.dataArea, pages, Perm.R | Perm.W, 'memory for transfers');
  const mapped = { base: at, pages };
  k.memory.setPtr(out.address, at);
  k.memory.setPtr(out.real, bytes);
  k.memory.setPtr(out.handle, makeHandle(k, { kind: 'memory', hardware: undefined, mapped }));
  return SUCCESS;
}

/** Stretches of memory that follow each other in frames, cut where the attributes say. */
function cookiesOf(k: Solaris, at: Address, bytes: number, limits: Attributes): Cookie[] {
  const found: { address: bigint; bytes: number }[] = [];
  for (let done = 0; done < bytes; ) {
    const here = at + done;
    // A page that nobody has touched has no frame yet.
    k.memory.u8(here);
    const frame = k.memory.pfnOf(here);
    const within = here - Math.floor(here / PAGE_SIZE) * PAGE_SIZE;
    const part = Math.min(PAGE_SIZE - within, bytes - done);
    const address = BigInt(frame ?? 0) * BigInt(PAGE_SIZE) + BigInt(within);
    const last = found.at(-1);
    const follows = last !== undefined && last.address + BigInt(last.bytes) === address;
    const fits = last !== undefined && BigInt(last.bytes + part) <= limits.countMax + 1n;
    const crosses = last !== undefined && limits.segment !== 0n && (address & limits.segment) === 0n;
    if (follows && fits && !crosses) last.bytes += part;
    else found.push({ address, bytes: part });
    done += part;
  }
  return found;
}

function bind(
  k: Solaris,
  handle: Address,
  memory: { at: Address; bytes: number },
  cookiep: Address,
  countp: Address,
): number {
  const dma = k.state(handles).get(handle);
  if (dma === undefined || memory.bytes <= 0) return DMA.NOMAPPING;
  if (dma.cookies !== undefined) return DMA.INUSE;
  const { attributes } = dma;
  const cookies = cookiesOf(k, memory.at, memory.bytes, attributes);
  if (attributes.pieces > 0 && cookies.length > attributes.pieces) return DMA.TOOBIG;
  const outside = cookies.some(({ address, bytes }) => address + BigInt(bytes) - 1n > attributes.high);
  if (outside) return DMA.NORESOURCES;
  dma.cookies = cookies;
  dma.next = 1;
  writeCookie(k, cookiep, cookies[0]);
  k.memory.set32(countp, cookies.length);
  return DMA.MAPPED;
}

function writeCookie(k: Solaris, at: Address, cookie: Cookie | undefined): void {
  if (cookie === undefined) return;
  k.memory.setU64(at, cookie.address);
  k.write('ddi_dma_cookie_t.dmac_size', at, cookie.bytes);
  k.write('ddi_dma_cookie_t.dmac_type', at, 0);
}

export const dma = kernelFunctions({
  'int ddi_dma_alloc_handle(dev_info_t *dip, ddi_dma_attr_t *attributes, void *wait, caddr_t arg, void **handlep)':
    (k, _dip, attributes, _wait, _arg, handlep) => allocate(k, attributes, handlep),
  'void ddi_dma_free_handle(void **handlep)': (k, handlep) => {
    const handle = k.memory.ptr(handlep);
    if (k.state(handles).delete(handle)) k.heap.free(handle);
    k.memory.setPtr(handlep, 0);
  },
  'int ddi_dma_mem_alloc(void *handle, size_t length, struct ddi_device_acc_attr *access, uint_t flags, void *wait, caddr_t arg, caddr_t *addressp, size_t *real, void **handlep)':
    (k, _handle, length, _access, _flags, _wait, _arg, address, real, handle) =>
      allocateMemory(k, length, { address, real, handle }),
  'void ddi_dma_mem_free(void **handlep)': (k, handlep) => {
    const handle = k.memory.ptr(handlep);
    if (accessOf(k, handle)?.kind === 'memory') freeHandle(k, handle);
    k.memory.setPtr(handlep, 0);
  },
  'int ddi_dma_addr_bind_handle(void *handle, void *as, caddr_t at, size_t length, uint_t flags, void *wait, caddr_t arg, ddi_dma_cookie_t *cookie, uint_t *count)':
    (k, handle, _as, at, bytes, _flags, _wait, _arg, cookie, count) =>
      bind(k, handle, { at, bytes }, cookie, count),
  'int ddi_dma_buf_bind_handle(void *handle, struct buf *bp, uint_t flags, void *wait, caddr_t arg, ddi_dma_cookie_t *cookie, uint_t *count)':
    (k, handle, bp, _flags, _wait, _arg, cookie, count) =>
      bind(k, handle, { at: k.read('buf.b_addr', bp), bytes: k.read('buf.b_bcount', bp) }, cookie, count),
  'void ddi_dma_nextcookie(void *handle, ddi_dma_cookie_t *cookie)': (k, handle, cookie) => {
    const found = k.state(handles).get(handle);
    if (found !== undefined) writeCookie(k, cookie, found.cookies?.[found.next++]);
  },
  'int ddi_dma_unbind_handle(void *handle)': (k, handle) => {
    const found = k.state(handles).get(handle);
    if (found?.cookies === undefined) return FAILURE;
    found.cookies = undefined;
    return SUCCESS;
  },
  'int ddi_dma_sync(void *handle, long offset, size_t length, uint_t type)': (k, handle) =>
    k.state(handles).get(handle)?.cookies === undefined ? FAILURE : SUCCESS,
  'int ddi_dma_numwin(void *handle, uint_t *count)': (k, handle, count) => {
    if (k.state(handles).get(handle)?.cookies === undefined) return FAILURE;
    k.memory.set32(count, 1);
    return SUCCESS;
  },
  'int ddi_dma_burstsizes(void *handle)': () => 0x7f,
  'int ddi_dma_set_sbus64(void *handle, ulong_t sizes)': () => FAILURE,
  'pfn_t hat_getpfnum(void *hat, caddr_t at)': (k, _hat, at) => k.memory.pfnOf(at) ?? -1,
});
