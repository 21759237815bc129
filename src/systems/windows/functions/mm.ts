/** Memory: MDLs, mappings, probing, device memory. */
import { type Address, PAGE_SIZE, Perm } from '../../../memory/space.ts';
import { bugCheck } from '../bugcheck.ts';
import { RaisedStatus } from '../exceptions.ts';
import { isKernelExport } from '../export-names.ts';
import {
  addMdlFlags,
  describeRange,
  fillFrames,
  initialiseMdl,
  MdlFlag,
  mapMdl,
  mdlVirtualAddress,
  spannedPages,
  unmapMdl,
} from '../mdl.ts';
import { isRam, mapPhysical, physicalAddress, ramRanges, unmapPhysical } from '../physical.ts';
import { secure, unsecure } from '../secured.ts';
import { Status } from '../status.ts';
import { unicodeString } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { freePool } from './pool.ts';

const PAGE_READONLY = 2;
const PAGE_READWRITE = 4;

/** ProbeForRead and ProbeForWrite: the range must lie in user space and be aligned; writing touches each page. */
function probe(k: Windows, at: Address, bytes: number, alignment: number, write: boolean): void {
  if (bytes === 0) return;
  if (alignment > 1 && at % alignment !== 0) throw new RaisedStatus(Status.DATATYPE_MISALIGNMENT);
  const end = at + bytes;
  const violation = (address: Address) =>
    new RaisedStatus(Status.ACCESS_VIOLATION, [write ? 1n : 0n, BigInt.asUintN(64, BigInt(address))]);
  if (at < 0 || bytes < 0 || end < at || end > k.map.userEnd) throw violation(at);
  if (!write) return;
  for (let page = at; page < end; page = page - (page % PAGE_SIZE) + PAGE_SIZE) {
    const perm = k.memory.permOf(page) ?? 0;
    if ((perm & Perm.W) === 0) throw violation(page);
  }
}

function isValid(k: Windows, at: Address): boolean {
  return ((k.memory.permOf(at) ?? 0) & Perm.R) !== 0;
}

const PARTIAL_COPY = 0x8000000d | 0;

function contiguous(k: Windows, bytes: number): Address {
  return k.pool.allocate('nonpaged', Math.max(PAGE_SIZE, bytes), 0x6e6f4320, callerOf(k));
}

/** Only RAM can be copied from; the copy ends where it does. */
function copyPhysical(k: Windows, target: Address, source: bigint, bytes: number, copied: Address): number {
  let done = 0;
  while (done < bytes) {
    const at = Number(source) + done;
    const step = Math.min(bytes - done, PAGE_SIZE - (at % PAGE_SIZE));
    if (!isRam(k, Math.floor(at / PAGE_SIZE))) break;
    const from = k.memory.frameOffset(Math.floor(at / PAGE_SIZE)) + (at % PAGE_SIZE);
    k.memory.write(target + done, new Uint8Array(k.memory.wasm.buffer, from, step).slice());
    done += step;
  }
  k.memory.setPtr(copied, done);
  return done === bytes ? Status.SUCCESS : Status.INVALID_PARAMETER;
}

/** Pages for an MDL that no address range stands for. 0 when memory ends. */
function pagesForMdl(k: Windows, bytes: number): Address {
  const pages = Math.ceil(bytes / PAGE_SIZE);
  if (!(pages > 0) || pages > k.memory.frames.total) return 0;
  const mdl = describeRange(k, 0, pages * PAGE_SIZE, callerOf(k));
  if (mdl === 0) return 0;
  for (let i = 0; i < pages; i++) {
    const pfn = k.memory.frames.allocate(0, 'pages for an MDL');
    new Uint8Array(k.memory.wasm.buffer, k.memory.frameOffset(pfn), PAGE_SIZE).fill(0);
    k.memory.setPtr(mdl + k.sizeof('MDL') + i * k.word, pfn);
  }
  addMdlFlags(k, mdl, MdlFlag.PAGES_LOCKED);
  return mdl;
}

function freePagesOfMdl(k: Windows, mdl: Address): void {
  unmapMdl(k, mdl);
  const pages = spannedPages(mdlVirtualAddress(k, mdl), k.read('MDL.ByteCount', mdl));
  for (let i = 0; i < pages; i++) k.memory.frames.free(k.memory.ptr(mdl + k.sizeof('MDL') + i * k.word), 0);
  k.write('MDL.ByteCount', mdl, 0);
  addMdlFlags(k, mdl, 0, MdlFlag.PAGES_LOCKED);
}

/** Only of user space, and with the access that is asked for (PAGE_READONLY, PAGE_READWRITE); 0: it cannot be. */
function secureRange(k: Windows, at: Address, bytes: number, mode: number): number {
  if (bytes <= 0 || at < 0 || at + bytes > k.map.userEnd) return 0;
  if (mode !== PAGE_READONLY && mode !== PAGE_READWRITE) return 0;
  for (let page = at - (at % PAGE_SIZE); page < at + bytes; page += PAGE_SIZE) {
    const perm = k.memory.permOf(page);
    if (perm === undefined || (mode === PAGE_READWRITE && (perm & Perm.W) === 0)) return 0;
  }
  return secure(k, at, bytes);
}

export const mmFunctions = kernelFunctions({
  'void ProbeForRead(PVOID address, SIZE_T length, ULONG alignment)': (k, at, bytes, alignment) =>
    probe(k, at, bytes, alignment, false),
  'void ProbeForWrite(PVOID address, SIZE_T length, ULONG alignment)': (k, at, bytes, alignment) =>
    probe(k, at, bytes, alignment, true),
  'BOOLEAN MmIsAddressValid(PVOID address)': (k, at) => isValid(k, at),
  'BOOLEAN MmIsNonPagedSystemAddressValid(PVOID address)': (k, at) => isValid(k, at) && !k.irql.isPaged(at),
  'PVOID MmGetSystemRoutineAddress(PVOID name)': (k, name) => {
    const wanted = unicodeString(k, name);
    const known = k.exported(wanted);
    if (known !== undefined) return known;
    // The name exists on a real system, so the driver may count on it: it gets a function that says it is missing.
    return isKernelExport(wanted) && k.missingPolicy !== 'refuse' ? k.gatesByName.missing(wanted) : 0;
  },
  'PVOID IoAllocateMdl(PVOID va, ULONG length, BOOLEAN secondary, BOOLEAN quota, PVOID irp)': (
    k,
    va,
    bytes,
    secondary,
    _q,
    irp,
  ) => {
    const mdl = describeRange(k, va, bytes, callerOf(k));
    if (mdl === 0 || irp === 0) return mdl;
    const first = k.read('IRP.MdlAddress', irp);
    if (secondary === 0 || first === 0) k.write('IRP.MdlAddress', irp, mdl);
    else {
      let last = first;
      while (k.read('MDL.Next', last) !== 0) last = k.read('MDL.Next', last);
      k.write('MDL.Next', last, mdl);
    }
    return mdl;
  },
  'void IoFreeMdl(PVOID mdl)': (k, mdl) => {
    unmapMdl(k, mdl);
    freePool(k, mdl, 0);
  },
  'void IoBuildPartialMdl(PVOID source, PVOID target, PVOID va, ULONG length)': (
    k,
    source,
    target,
    va,
    length,
  ) => {
    const start = mdlVirtualAddress(k, source);
    const bytes = length === 0 ? k.read('MDL.ByteCount', source) - (va - start) : length;
    initialiseMdl(k, target, va, bytes, k.read('MDL.Size', target));
    const skip = (k.read('MDL.StartVa', target) - k.read('MDL.StartVa', source)) / PAGE_SIZE;
    const head = k.sizeof('MDL');
    const pages = spannedPages(va, bytes);
    k.memory.copy(target + head, source + head + skip * k.word, pages * k.word);
    addMdlFlags(k, target, MdlFlag.PARTIAL);
    const flags = k.read('MDL.MdlFlags', source);
    if ((flags & (MdlFlag.MAPPED_TO_SYSTEM_VA | MdlFlag.SOURCE_IS_NONPAGED_POOL)) === 0) return;
    k.write('MDL.MappedSystemVa', target, k.read('MDL.MappedSystemVa', source) + (va - start));
    addMdlFlags(k, target, MdlFlag.SOURCE_IS_NONPAGED_POOL);
  },
  'SIZE_T MmSizeOfMdl(PVOID base, SIZE_T length)': (k, base, bytes) =>
    k.sizeof('MDL') + spannedPages(base, bytes) * k.word,
  'PVOID MmCreateMdl(PVOID mdl, PVOID base, SIZE_T length)': (k, mdl, base, bytes) => {
    if (mdl === 0) return describeRange(k, base, bytes, callerOf(k));
    initialiseMdl(k, mdl, base, bytes, k.sizeof('MDL') + spannedPages(base, bytes) * k.word);
    return mdl;
  },
  'void MmBuildMdlForNonPagedPool(PVOID mdl)': (k, mdl) => {
    fillFrames(k, mdl);
    k.write('MDL.MappedSystemVa', mdl, mdlVirtualAddress(k, mdl));
    addMdlFlags(k, mdl, MdlFlag.SOURCE_IS_NONPAGED_POOL);
  },
  'void MmProbeAndLockPages(PVOID mdl, KPROCESSOR_MODE mode, ULONG operation)': (k, mdl, mode) => {
    const va = mdlVirtualAddress(k, mdl);
    if (mode !== 0 && (va < 0 || va >= k.map.userEnd)) throw new RaisedStatus(Status.ACCESS_VIOLATION);
    if (!fillFrames(k, mdl)) throw new RaisedStatus(Status.ACCESS_VIOLATION);
    addMdlFlags(k, mdl, MdlFlag.PAGES_LOCKED);
  },
  'void MmUnlockPages(PVOID mdl)': (k, mdl) => {
    if ((k.read('MDL.MdlFlags', mdl) & MdlFlag.PAGES_LOCKED) === 0)
      bugCheck(k, 0x76, [0, 0, 0, mdl], callerOf(k));
    unmapMdl(k, mdl);
    addMdlFlags(k, mdl, 0, MdlFlag.PAGES_LOCKED);
  },
  'PVOID MmMapLockedPages(PVOID mdl, KPROCESSOR_MODE mode)': (k, mdl) => mapMdl(k, mdl),
  'PVOID MmMapLockedPagesSpecifyCache(PVOID mdl, KPROCESSOR_MODE mode, ULONG cache, PVOID base, ULONG bug, ULONG priority)':
    (k, mdl) => mapMdl(k, mdl),
  'void MmUnmapLockedPages(PVOID base, PVOID mdl)': (k, _base, mdl) => unmapMdl(k, mdl),
  'NTSTATUS MmProtectMdlSystemAddress(PVOID mdl, ULONG protect)': (k, mdl, protect) => {
    const at = k.read('MDL.MappedSystemVa', mdl);
    const base = at - (((at % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE);
    // PAGE_* constants: 1 no access, 2 read, 4 read and write, 0x10.. the same with execution.
    const bits = protect & 0xff;
    const execute = bits >= 0x10 ? Perm.X : 0;
    const kind = bits >= 0x10 ? bits >> 4 : bits;
    const perm =
      kind === 1 ? (execute === 0 ? 0 : Perm.X) : kind === 2 ? Perm.R | execute : Perm.R | Perm.W | execute;
    k.memory.protect(base, spannedPages(at, k.read('MDL.ByteCount', mdl)), perm);
    return Status.SUCCESS;
  },
  'PVOID MmMapIoSpace(u64 physical, SIZE_T bytes, ULONG cache)': (k, physical, bytes) =>
    mapPhysical(k, k.mappings, physical, bytes),
  'PVOID MmMapIoSpaceEx(u64 physical, SIZE_T bytes, ULONG protect)': (k, physical, bytes) =>
    mapPhysical(k, k.mappings, physical, bytes),
  'void MmUnmapIoSpace(PVOID base, SIZE_T bytes)': (k, base) => {
    unmapPhysical(k, base);
  },
  'u64 MmGetPhysicalAddress(PVOID address)': (k, at) => physicalAddress(k, at),
  'PVOID MmAllocateContiguousMemory(SIZE_T bytes, u64 highest)': (k, bytes) => contiguous(k, bytes),
  'PVOID MmAllocateContiguousMemorySpecifyCache(SIZE_T bytes, u64 lowest, u64 highest, u64 boundary, ULONG cache)':
    (k, bytes) => contiguous(k, bytes),
  'void MmFreeContiguousMemory(PVOID base)': (k, base) => freePool(k, base, 0),
  'void MmFreeContiguousMemorySpecifyCache(PVOID base, SIZE_T bytes, ULONG cache)': (k, base) =>
    freePool(k, base, 0),
  'PVOID MmAllocateNonCachedMemory(SIZE_T bytes)': (k, bytes) => contiguous(k, bytes),
  'void MmFreeNonCachedMemory(PVOID base, SIZE_T bytes)': (k, base) => freePool(k, base, 0),
  'PVOID MmAllocatePagesForMdl(u64 low, u64 high, u64 skip, SIZE_T bytes)': (k, _low, _high, _skip, bytes) =>
    pagesForMdl(k, bytes),
  'PVOID MmAllocatePagesForMdlEx(u64 low, u64 high, u64 skip, SIZE_T bytes, ULONG cache, ULONG flags)': (
    k,
    _low,
    _high,
    _skip,
    bytes,
  ) => pagesForMdl(k, bytes),
  'void MmFreePagesFromMdl(PVOID mdl)': (k, mdl) => freePagesOfMdl(k, mdl),
  'PVOID MmGetPhysicalMemoryRanges(void)': (k) => {
    const ranges = ramRanges(k);
    const at = k.pool.allocate('nonpaged', (ranges.length + 1) * 16, 0x68506d4d, callerOf(k), true);
    if (at === 0) return 0;
    ranges.forEach(({ base, bytes }, i) => {
      k.memory.setU64(at + i * 16, BigInt(base));
      k.memory.setU64(at + i * 16 + 8, BigInt(bytes));
    });
    return at;
  },
  'PVOID MmGetVirtualForPhysical(u64 physical)': (k, physical) => {
    for (const { base, pages } of k.memory.areas()) {
      for (let i = 0; i < pages; i++)
        if (k.memory.pfnOf(base + i * PAGE_SIZE) === Number(physical >> 12n))
          return base + i * PAGE_SIZE + Number(physical & 0xfffn);
    }
    return 0;
  },
  'PVOID MmSecureVirtualMemory(PVOID address, SIZE_T bytes, ULONG mode)': (k, at, bytes, mode) =>
    secureRange(k, at, bytes, mode),
  'void MmUnsecureVirtualMemory(PVOID handle)': (k, handle) => unsecure(k, handle),
  'NTSTATUS MmCopyVirtualMemory(PVOID from, PVOID source, PVOID to, PVOID target, SIZE_T bytes, KPROCESSOR_MODE mode, SIZE_T *copied)':
    (k, _from, source, _to, target, bytes, _mode, copied) => {
      let done = 0;
      while (done < bytes && isValid(k, source + done) && isValid(k, target + done)) done++;
      k.memory.copy(target, source, done);
      k.memory.setPtr(copied, done);
      return done === bytes ? Status.SUCCESS : PARTIAL_COPY;
    },
  'ULONG MmQuerySystemSize(void)': () => 2,
  'BOOLEAN MmIsThisAnNtAsSystem(void)': () => 0,
  'PVOID MmLockPagableDataSection(PVOID address)': (_k, at) => at,
  'void MmLockPagableSectionByHandle(PVOID handle)': () => undefined,
  'void MmUnlockPagableImageSection(PVOID handle)': () => undefined,
  'PVOID MmPageEntireDriver(PVOID address)': (k, at) => k.drivers.at(at)?.base ?? 0,
  'void MmResetDriverPaging(PVOID address)': () => undefined,
  'NTSTATUS MmAddVerifierThunks(PVOID thunks, ULONG size)': () => Status.NOT_SUPPORTED,
  'NTSTATUS MmIsVerifierEnabled(ULONG *flags)': (k, flags) => {
    k.memory.set32(flags, 0);
    return Status.NOT_SUPPORTED;
  },
  'BOOLEAN MmIsDriverVerifying(PVOID driver)': () => 0,
  'BOOLEAN MmIsDriverVerifyingByAddress(PVOID address)': () => 0,
  'NTSTATUS MmCopyMemory(PVOID target, PVOID source, SIZE_T bytes, ULONG flags, SIZE_T *copied)': (
    k,
    target,
    source,
    bytes,
    flags,
    copied,
  ) => {
    // MM_COPY_MEMORY_PHYSICAL; the source is a union passed by its 8 bytes.
    if (flags === 1) return copyPhysical(k, target, BigInt(source), bytes, copied);
    if (flags !== 2) return Status.INVALID_PARAMETER;
    let done = 0;
    while (done < bytes && isValid(k, source + done)) done++;
    k.memory.copy(target, source, done);
    k.memory.setPtr(copied, done);
    return done === bytes ? Status.SUCCESS : Status.ACCESS_VIOLATION;
  },
});
