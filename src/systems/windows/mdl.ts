/** Memory descriptor lists: a range of virtual memory and the frames behind it. */
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

/** MDL.MdlFlags. */
export const MdlFlag = {
  MAPPED_TO_SYSTEM_VA: 1,
  PAGES_LOCKED: 2,
  SOURCE_IS_NONPAGED_POOL: 4,
  ALLOCATED_FIXED_SIZE: 8,
  PARTIAL: 0x10,
  PARTIAL_HAS_BEEN_MAPPED: 0x20,
} as const;
const TAG_MDL = 0x206c644d;

const pageOffset = (va: Address): number => ((va % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE;
export const spannedPages = (va: Address, bytes: number): number =>
  Math.ceil((pageOffset(va) + bytes) / PAGE_SIZE);

/** IoAllocateMdl: describes the range; the frames are filled in by whoever locks it. 0 when there is no pool. */
export function describeRange(k: Windows, va: Address, bytes: number, caller: Address): Address {
  const size = k.sizeof('MDL') + Math.max(1, spannedPages(va, bytes)) * k.word;
  const mdl = k.pool.allocate('nonpaged', size, TAG_MDL, caller, true);
  if (mdl !== 0) initialiseMdl(k, mdl, va, bytes, size);
  return mdl;
}

export function initialiseMdl(k: Windows, mdl: Address, va: Address, bytes: number, size: number): void {
  k.write('MDL.Next', mdl, 0);
  k.write('MDL.Size', mdl, size);
  k.write('MDL.MdlFlags', mdl, 0);
  k.write('MDL.StartVa', mdl, va - pageOffset(va));
  k.write('MDL.ByteOffset', mdl, pageOffset(va));
  k.write('MDL.ByteCount', mdl, bytes);
}

export const mdlVirtualAddress = (k: Windows, mdl: Address): Address =>
  k.read('MDL.StartVa', mdl) + k.read('MDL.ByteOffset', mdl);

export function addMdlFlags(k: Windows, mdl: Address, set: number, clear = 0): void {
  k.write('MDL.MdlFlags', mdl, (k.read('MDL.MdlFlags', mdl) & ~clear) | set);
}

/** Writes the frame numbers behind the list. @returns false when a page is not there */
export function fillFrames(k: Windows, mdl: Address): boolean {
  const start = k.read('MDL.StartVa', mdl);
  const pages = spannedPages(mdlVirtualAddress(k, mdl), k.read('MDL.ByteCount', mdl));
  for (let i = 0; i < pages; i++) {
    const va = start + i * PAGE_SIZE;
    const perm = k.memory.permOf(va);
    if (perm === undefined) return false;
    // A lazy page gets its frame at the first touch.
    if (k.memory.pfnOf(va) === undefined) k.memory.u8(va);
    k.memory.setPtr(mdl + k.sizeof('MDL') + i * k.word, k.memory.pfnOf(va) ?? 0);
  }
  return true;
}

/** MmMapLockedPagesSpecifyCache: the frames at an address of their own in system space. */
export function mapMdl(k: Windows, mdl: Address): Address {
  const flags = k.read('MDL.MdlFlags', mdl);
  if ((flags & (MdlFlag.MAPPED_TO_SYSTEM_VA | MdlFlag.SOURCE_IS_NONPAGED_POOL)) !== 0)
    return k.read('MDL.MappedSystemVa', mdl);
  const pages = spannedPages(mdlVirtualAddress(k, mdl), k.read('MDL.ByteCount', mdl));
  const base = k.mappings.allocate(Math.max(1, pages));
  for (let i = 0; i < pages; i++) {
    const pfn = k.memory.ptr(mdl + k.sizeof('MDL') + i * k.word);
    k.memory.map(base + i * PAGE_SIZE, pfn, 1, Perm.R | Perm.W, 'pages of an MDL');
  }
  const at = base + k.read('MDL.ByteOffset', mdl);
  k.write('MDL.MappedSystemVa', mdl, at);
  addMdlFlags(k, mdl, MdlFlag.MAPPED_TO_SYSTEM_VA);
  return at;
}

export function unmapMdl(k: Windows, mdl: Address): void {
  if ((k.read('MDL.MdlFlags', mdl) & MdlFlag.MAPPED_TO_SYSTEM_VA) === 0) return;
  const at = k.read('MDL.MappedSystemVa', mdl);
  const pages = spannedPages(mdlVirtualAddress(k, mdl), k.read('MDL.ByteCount', mdl));
  const base = at - pageOffset(at);
  k.memory.unmap(base, pages);
  k.mappings.free(base);
  addMdlFlags(k, mdl, 0, MdlFlag.MAPPED_TO_SYSTEM_VA);
}

/** An MDL over a caller's buffer, its pages locked, as the I/O manager makes for direct I/O. */
export function describeBuffer(k: Windows, va: Address, bytes: number): Address {
  const mdl = describeRange(k, va, bytes, 0);
  if (mdl === 0) return 0;
  fillFrames(k, mdl);
  addMdlFlags(k, mdl, MdlFlag.PAGES_LOCKED);
  return mdl;
}

/** Gives a locked MDL back: mapping and block. */
export function releaseMdl(k: Windows, mdl: Address): void {
  unmapMdl(k, mdl);
  k.pool.release(mdl);
}
