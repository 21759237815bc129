/** Pool and lookaside lists. */
import { BugCode, bugCheck } from '../bugcheck.ts';
import { RaisedStatus } from '../exceptions.ts';
import { APC_LEVEL, DISPATCH_LEVEL } from '../irql.ts';
import type { PoolKind } from '../pool.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { popEntry } from './ex.ts';

const TAG_NONE = 0x656e6f4e;
/** POOL_TYPE: bit 0 paged; 512 = no execution; 0x10 raise on failure; 0x400 zeroed (ExAllocatePoolWithTag, WDK reference). */
const PoolType = { PAGED: 1, RAISE: 0x10 } as const;
/** POOL_FLAGS of ExAllocatePool2. */
const PoolFlag = {
  UNINITIALIZED: 2n,
  RAISE: 0x20n,
  NON_PAGED: 0x40n,
  NON_PAGED_EXECUTE: 0x80n,
  PAGED: 0x100n,
} as const;

function checkIrql(k: Windows, kind: PoolKind, bytes: number): void {
  const highest = kind === 'paged' ? APC_LEVEL : DISPATCH_LEVEL;
  // BAD_POOL_CALLER 8: allocating at an IRQL too high; 9: freeing.
  if (k.irql.current > highest)
    bugCheck(k, BugCode.BAD_POOL_CALLER, [8, k.irql.current, kind === 'paged' ? 1 : 0, bytes]);
}

function allocate(k: Windows, type: number, bytes: number, tag: number, zero = false): number {
  const kind: PoolKind = (type & PoolType.PAGED) !== 0 ? 'paged' : 'nonpaged';
  checkIrql(k, kind, bytes);
  if (tag === 0) bugCheck(k, BugCode.BAD_POOL_CALLER, [0x9b, type, bytes, callerOf(k)]);
  const at = k.pool.allocate(kind, bytes, tag, callerOf(k), zero);
  if (at === 0 && (type & PoolType.RAISE) !== 0) throw new RaisedStatus(Status.INSUFFICIENT_RESOURCES);
  return at;
}

export function freePool(k: Windows, at: number, tag: number): void {
  const block = k.pool.block(at);
  // BAD_POOL_CALLER: 7 freed already; 0x46 not pool; 0xA wrong tag.
  if (block === undefined) {
    if (k.pool.wasFreed(at)) bugCheck(k, BugCode.BAD_POOL_CALLER, [7, 0, tag, at]);
    bugCheck(k, BugCode.BAD_POOL_CALLER, [0x46, at, 0, 0]);
  }
  const highest = block.kind === 'paged' ? APC_LEVEL : DISPATCH_LEVEL;
  if (k.irql.current > highest)
    bugCheck(k, BugCode.BAD_POOL_CALLER, [9, k.irql.current, block.kind === 'paged' ? 1 : 0, at]);
  const protectedTag = (block.tag & 0x80000000) !== 0;
  if (protectedTag && tag !== 0 && (tag | 0) !== (block.tag | 0))
    bugCheck(k, BugCode.BAD_POOL_CALLER, [0xa, at, block.tag, tag]);
  k.pool.release(at);
}

/** Lookaside lists keep nothing here: each allocation comes from the pool, under the list's tag and by its own routines. */
function initialiseLookaside(
  k: Windows,
  list: number,
  allocate: number,
  free: number,
  size: number,
  tag: number,
  type: number,
): void {
  k.memory.fill(list, k.sizeof('GENERAL_LOOKASIDE'), 0);
  k.write('GENERAL_LOOKASIDE.MaximumDepth', list, 256);
  k.write('GENERAL_LOOKASIDE.Depth', list, 4);
  k.write('GENERAL_LOOKASIDE.Type', list, type);
  k.write('GENERAL_LOOKASIDE.Tag', list, tag);
  k.write('GENERAL_LOOKASIDE.Size', list, size);
  k.write(
    'GENERAL_LOOKASIDE.Allocate',
    list,
    allocate === 0 ? (k.exported('ExAllocatePoolWithTag') ?? 0) : allocate,
  );
  k.write('GENERAL_LOOKASIDE.Free', list, free === 0 ? (k.exported('ExFreePool') ?? 0) : free);
}

export const poolFunctions = kernelFunctions({
  'PVOID ExAllocatePool(ULONG PoolType, SIZE_T bytes)': (k, type, bytes) =>
    allocate(k, type, bytes, TAG_NONE),
  'PVOID ExAllocatePoolWithTag(ULONG PoolType, SIZE_T bytes, ULONG tag)': (k, type, bytes, tag) =>
    allocate(k, type, bytes, tag),
  'PVOID ExAllocatePoolWithTagPriority(ULONG PoolType, SIZE_T bytes, ULONG tag, ULONG priority)': (
    k,
    type,
    bytes,
    tag,
  ) => allocate(k, type, bytes, tag),
  'PVOID ExAllocatePoolWithQuota(ULONG PoolType, SIZE_T bytes)': (k, type, bytes) =>
    quota(k, type, bytes, TAG_NONE),
  'PVOID ExAllocatePoolWithQuotaTag(ULONG PoolType, SIZE_T bytes, ULONG tag)': (k, type, bytes, tag) =>
    quota(k, type, bytes, tag),
  'PVOID ExAllocatePoolZero(ULONG PoolType, SIZE_T bytes, ULONG tag)': (k, type, bytes, tag) =>
    allocate(k, type, bytes, tag, true),
  'PVOID ExAllocatePool2(u64 Flags, SIZE_T bytes, ULONG tag)': (k, flags, bytes, tag) => {
    const kind = (flags & PoolFlag.PAGED) !== 0n ? PoolType.PAGED : 0;
    const raise = (flags & PoolFlag.RAISE) !== 0n ? PoolType.RAISE : 0;
    return allocate(k, kind | raise, bytes, tag, (flags & PoolFlag.UNINITIALIZED) === 0n);
  },
  'PVOID ExAllocatePool3(u64 Flags, SIZE_T bytes, ULONG tag, PVOID parameters, ULONG count)': (
    k,
    flags,
    bytes,
    tag,
  ) =>
    allocate(
      k,
      (flags & PoolFlag.PAGED) !== 0n ? PoolType.PAGED : 0,
      bytes,
      tag,
      (flags & PoolFlag.UNINITIALIZED) === 0n,
    ),
  'void ExFreePool(PVOID block)': (k, at) => freePool(k, at, 0),
  'void ExFreePoolWithTag(PVOID block, ULONG tag)': (k, at, tag) => freePool(k, at, tag),
  'void ExFreePool2(PVOID block, ULONG tag, PVOID parameters, ULONG count)': (k, at, tag) =>
    freePool(k, at, tag),
  'SIZE_T ExQueryPoolBlockSize(PVOID block, BOOLEAN *quota)': (k, at, charged) => {
    k.memory.set8(charged, 0);
    return k.pool.block(at)?.bytes ?? 0;
  },
  'void ExInitializeNPagedLookasideList(PVOID list, PVOID allocate, PVOID free, ULONG flags, SIZE_T size, ULONG tag, USHORT depth)':
    (k, list, take, give, flags, size, tag) =>
      initialiseLookaside(k, list, take, give, size, tag, flags & PoolType.RAISE),
  'void ExInitializePagedLookasideList(PVOID list, PVOID allocate, PVOID free, ULONG flags, SIZE_T size, ULONG tag, USHORT depth)':
    (k, list, take, give, flags, size, tag) =>
      initialiseLookaside(k, list, take, give, size, tag, PoolType.PAGED | (flags & PoolType.RAISE)),
  'void ExDeleteNPagedLookasideList(PVOID list)': (k, list) => drain(k, list, false),
  'void ExDeletePagedLookasideList(PVOID list)': (k, list) => drain(k, list, false),
  'NTSTATUS ExInitializeLookasideListEx(PVOID list, PVOID allocate, PVOID free, ULONG type, ULONG flags, SIZE_T size, ULONG tag, USHORT depth)':
    (k, list, take, give, type, _flags, size, tag) => {
      initialiseLookaside(
        k,
        list,
        take === 0 ? (k.exported('FxLookasideAllocate') ?? 0) : take,
        give === 0 ? (k.exported('FxLookasideFree') ?? 0) : give,
        size,
        tag,
        type,
      );
      return Status.SUCCESS;
    },
  'void ExDeleteLookasideListEx(PVOID list)': (k, list) => drain(k, list, true),
  'void ExFlushLookasideListEx(PVOID list)': (k, list) => drain(k, list, true),
  /** What inline code calls through the list: the routines of an extended list are given the list itself. */
  'PVOID FxLookasideAllocate(ULONG type, SIZE_T bytes, ULONG tag, PVOID list)': (k, type, bytes, tag) =>
    allocate(k, type, bytes, tag),
  'void FxLookasideFree(PVOID entry, PVOID list)': (k, entry) => freePool(k, entry, 0),
  'PVOID ExAllocateFromNPagedLookasideList(PVOID list)': (k, list) => fromLookaside(k, list),
  'PVOID ExAllocateFromPagedLookasideList(PVOID list)': (k, list) => fromLookaside(k, list),
  'void ExFreeToNPagedLookasideList(PVOID list, PVOID entry)': (k, list, entry) =>
    toLookaside(k, list, entry),
  'void ExFreeToPagedLookasideList(PVOID list, PVOID entry)': (k, list, entry) => toLookaside(k, list, entry),
});

/** ...WithQuota raises instead of returning NULL, unless POOL_QUOTA_FAIL_INSTEAD_OF_RAISE (8). */
function quota(k: Windows, type: number, bytes: number, tag: number): number {
  return allocate(k, (type & 8) !== 0 ? type & ~8 : type | PoolType.RAISE, bytes, tag);
}

/** Entries that inline code has put into the list go back to the pool, by the list's own routine. */
function* drain(k: Windows, list: number, extended: boolean) {
  const free = k.read('GENERAL_LOOKASIDE.Free', list);
  let entry = popEntry(k, list);
  // A list counts its entries in 16 bits; one that goes round in a circle ends here, too.
  for (let n = 0; entry !== 0 && n < 0x10000; n++, entry = popEntry(k, list))
    yield* extended ? k.call(free, entry, list) : k.call(free, entry);
}

function* fromLookaside(k: Windows, list: number) {
  k.write('GENERAL_LOOKASIDE.TotalAllocates', list, k.read('GENERAL_LOOKASIDE.TotalAllocates', list) + 1);
  const type = k.read('GENERAL_LOOKASIDE.Type', list);
  const size = k.read('GENERAL_LOOKASIDE.Size', list);
  return yield* k.call(
    k.read('GENERAL_LOOKASIDE.Allocate', list),
    type,
    size,
    k.read('GENERAL_LOOKASIDE.Tag', list),
  );
}

function* toLookaside(k: Windows, list: number, entry: number) {
  k.write('GENERAL_LOOKASIDE.TotalFrees', list, k.read('GENERAL_LOOKASIDE.TotalFrees', list) + 1);
  yield* k.call(k.read('GENERAL_LOOKASIDE.Free', list), entry);
}
