/**
 * Memory descriptors and maps (iokit/Kernel/IOMemoryDescriptor.cpp, IOBufferMemoryDescriptor.cpp). All tasks share one address
 * space here, so a map of virtual memory is the memory itself; physical memory is mapped page by page.
 */

import { perKernel } from '../../../../kernel/kernel.ts';
import type { Steps } from '../../../../kernel/steps.ts';
import { AreaAllocator } from '../../../../memory/areas.ts';
import { type Address, PAGE_SIZE, Perm } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { invoke, newObject } from '../../runtime/classes.ts';
import { release, retain } from '../../runtime/objects.ts';
import { kernelFunctions } from '../define.ts';
import { freeObject } from '../libkern/object.ts';

/** iokit/IOKit/IOReturn.h, IOMemoryDescriptor.h */
const BAD_ARGUMENT = 0xe00002c2 | 0;
const DIRECTION_MASK = 7;
/** Who the memory of a descriptor belongs to. */
const KIND = { VIRTUAL: 0, PHYSICAL: 1, OWN: 2 } as const;
/** What lies between the conventional memory and the first mebibyte is no memory: the firmware's, and windows of devices. */
const LOW_HOLE = { first: 0xa0, end: 0x100 } as const;
const TWO_52 = 2 ** 52;

const areas = perKernel<AreaAllocator, Macos>(({ map }) => new AreaAllocator(map.devices, map.devicesEnd));

interface Range {
  readonly address: number;
  readonly length: number;
  readonly direction: number;
  readonly kind: number;
}

function setRange(k: Macos, at: Address, { address, length, direction, kind }: Range): void {
  k.write('IOMemoryDescriptor.flags', at, direction & DIRECTION_MASK);
  k.write('IOMemoryDescriptor.kind', at, kind);
  k.write('IOMemoryDescriptor.length', at, length);
  k.write(kind === KIND.PHYSICAL ? 'IOMemoryDescriptor.physical' : 'IOMemoryDescriptor.address', at, address);
}

function descriptor(k: Macos, range: Range, name = 'IOGeneralMemoryDescriptor'): Address {
  if (range.length > TWO_52) return 0;
  const at = newObject(k, name);
  if (at !== 0) setRange(k, at, range);
  return at;
}

/** A buffer of its own. */
function buffer(k: Macos, capacity: number, direction: number, align: number, length = capacity): Address {
  const memory = k.heap.allocate(capacity, 'IOBufferMemoryDescriptor', Math.max(16, align));
  if (memory === 0) return 0;
  const at = descriptor(
    k,
    { address: memory, length, direction, kind: KIND.OWN },
    'IOBufferMemoryDescriptor',
  );
  if (at !== 0) k.write('IOMemoryDescriptor.capacity', at, capacity);
  return at;
}

/** Physical pages in the kernel's address space. What no memory answers for reads as ones. */
function mapPhysical(k: Macos, physical: number, length: number): Address {
  const first = Math.floor(physical / PAGE_SIZE);
  const pages = Math.max(1, Math.ceil((physical + length) / PAGE_SIZE) - first);
  const area = k.state(areas).allocate(pages);
  for (let i = 0; i < pages; i++) {
    const pfn = first + i;
    const hole = pfn >= LOW_HOLE.first && pfn < LOW_HOLE.end;
    if (!hole && pfn < k.memory.frames.total)
      k.memory.map(area + i * PAGE_SIZE, pfn, 1, Perm.R | Perm.W, 'device memory');
    else
      k.memory.mapLazy(
        area + i * PAGE_SIZE,
        1,
        Perm.R | Perm.W,
        'device memory',
        (_page, bytes) => void bytes.fill(0xff),
      );
  }
  return area + (physical % PAGE_SIZE);
}

/** Where the memory of a descriptor can be reached. */
function reach(k: Macos, at: Address): Address {
  const known = k.read('IOMemoryDescriptor.address', at);
  if (known !== 0 || k.read('IOMemoryDescriptor.kind', at) !== KIND.PHYSICAL) return known;
  const mapped = mapPhysical(
    k,
    k.read('IOMemoryDescriptor.physical', at),
    k.read('IOMemoryDescriptor.length', at),
  );
  k.write('IOMemoryDescriptor.address', at, mapped);
  return mapped;
}

const lengthOf = (k: Macos, at: Address): number => k.read('IOMemoryDescriptor.length', at);

/** The physical address behind a place in a descriptor, and how far memory goes on behind it without a gap. */
function segment(k: Macos, at: Address, offset: number): { address: number; length: number } {
  const left = lengthOf(k, at) - offset;
  if (left <= 0) return { address: 0, length: 0 };
  if (k.read('IOMemoryDescriptor.kind', at) === KIND.PHYSICAL)
    return { address: k.read('IOMemoryDescriptor.physical', at) + offset, length: left };
  const place = reach(k, at) + offset;
  k.memory.u8(place);
  const inPage = ((place % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE;
  const frame = k.memory.pfnOf(place);
  return frame === undefined
    ? { address: 0, length: 0 }
    : { address: frame * PAGE_SIZE + inPage, length: Math.min(left, PAGE_SIZE - inPage) };
}

function physicalSegment(k: Macos, at: Address, offset: number, length: Address): bigint {
  const one = segment(k, at, offset);
  if (length !== 0) k.memory.setPtr(length, one.length);
  return BigInt(one.address);
}

/** Moves bytes between a descriptor and a buffer; gives how many. */
function move(k: Macos, at: Address, offset: number, other: Address, bytes: number, into: boolean): bigint {
  const count = Math.max(0, Math.min(bytes, lengthOf(k, at) - offset));
  const place = reach(k, at) + offset;
  if (count > 0) k.memory.copy(into ? place : other, into ? other : place, count);
  return BigInt(count);
}

function* mapOf(k: Macos, at: Address, offset: number, length: number): Steps<Address> {
  const base = reach(k, at);
  if (base === 0) return 0;
  const map = newObject(k, 'IOMemoryMap');
  retain(k, at);
  k.write('IOMemoryMap.memory', map, at);
  k.write('IOMemoryMap.address', map, base + offset);
  k.write('IOMemoryMap.length', map, length !== 0 ? length : lengthOf(k, at) - offset);
  return map;
}

const size = (value: bigint): number => Number(BigInt.asIntN(64, value));

export const memoryDescriptors = kernelFunctions({
  'void *_ZN18IOMemoryDescriptor11withAddressEPvyj(void *address, uint64_t length, unsigned int direction)': (
    k,
    address,
    length,
    direction,
  ) => descriptor(k, { address, length: size(length), direction, kind: KIND.VIRTUAL }),
  'void *_ZN18IOMemoryDescriptor16withAddressRangeEyyjP4task(uint64_t address, uint64_t length, unsigned int options, void *task)':
    (k, address, length, direction, task) =>
      descriptor(k, {
        address: size(address),
        length: size(length),
        direction,
        // Without a task the address is a physical one.
        kind: task === 0 ? KIND.PHYSICAL : KIND.VIRTUAL,
      }),
  'void *_ZN18IOMemoryDescriptor19withPhysicalAddressEyyj(uint64_t address, uint64_t length, unsigned int direction)':
    (k, address, length, direction) =>
      descriptor(k, { address: size(address), length: size(length), direction, kind: KIND.PHYSICAL }),
  'void *_ZN14IODeviceMemory9withRangeEyy(uint64_t start, uint64_t length)': (k, start, length) =>
    descriptor(k, { address: size(start), length: size(length), direction: 3, kind: KIND.PHYSICAL }),
  'void _ZN25IOGeneralMemoryDescriptor4freeEv(void *at)': freeObject,
  'void _ZN18IOMemoryDescriptor4freeEv(void *at)': freeObject,
  'unsigned int _ZNK18IOMemoryDescriptor12getDirectionEv(const void *at)': (k, at) =>
    k.read('IOMemoryDescriptor.flags', at) & DIRECTION_MASK,
  'uint64_t _ZNK18IOMemoryDescriptor9getLengthEv(const void *at)': (k, at) => BigInt(lengthOf(k, at)),
  'void _ZN18IOMemoryDescriptor6setTagEj(void *at, unsigned int tag)': (k, at, tag) =>
    k.write('IOMemoryDescriptor.tag', at, tag),
  'unsigned int _ZN18IOMemoryDescriptor6getTagEv(void *at)': (k, at) => k.read('IOMemoryDescriptor.tag', at),
  'uint64_t _ZN18IOMemoryDescriptor9readBytesEyPvy(void *at, uint64_t offset, void *to, uint64_t bytes)': (
    k,
    at,
    offset,
    to,
    bytes,
  ) => move(k, at, size(offset), to, size(bytes), false),
  'uint64_t _ZN18IOMemoryDescriptor10writeBytesEyPKvy(void *at, uint64_t offset, const void *from, uint64_t bytes)':
    (k, at, offset, from, bytes) => move(k, at, size(offset), from, size(bytes), true),
  // Memory of this kernel is never paged out: it is ready for a transfer at any time.
  'int _ZN25IOGeneralMemoryDescriptor7prepareEj(void *at, unsigned int direction)': () => 0,
  'int _ZN25IOGeneralMemoryDescriptor8completeEj(void *at, unsigned int direction)': () => 0,
  'uint64_t _ZN25IOGeneralMemoryDescriptor18getPhysicalSegmentEyPyj(void *at, uint64_t offset, uint64_t *length, unsigned int options)':
    (k, at, offset, length) => physicalSegment(k, at, size(offset), length),
  'uint64_t _ZN18IOMemoryDescriptor18getPhysicalAddressEv(void *at)': (k, at) =>
    BigInt(segment(k, at, 0).address),
  'void *_ZN18IOMemoryDescriptor3mapEj(void *at, unsigned int options)': (k, at) => mapOf(k, at, 0, 0),
  'void *_ZN18IOMemoryDescriptor19createMappingInTaskEP4taskyjyy(void *at, void *task, uint64_t address, unsigned int options, uint64_t offset, uint64_t length)':
    (k, at, _task, _address, _options, offset, length) => mapOf(k, at, size(offset), size(length)),
  'int _ZN18IOMemoryDescriptor16performOperationEjyy(void *at, unsigned int operation, uint64_t offset, uint64_t length)':
    () => 0,
});

export const memoryBuffers = kernelFunctions({
  'void *_ZN24IOBufferMemoryDescriptor12withCapacityEmjb(size_t capacity, unsigned int direction, bool contiguous)':
    (k, capacity, direction) => buffer(k, capacity, direction, 16),
  'void *_ZN24IOBufferMemoryDescriptor11withOptionsEjmm(unsigned int options, size_t capacity, size_t alignment)':
    (k, options, capacity, alignment) => buffer(k, capacity, options, alignment),
  'void *_ZN24IOBufferMemoryDescriptor17inTaskWithOptionsEP4taskjmm(void *task, unsigned int options, size_t capacity, size_t alignment)':
    (k, _task, options, capacity, alignment) => buffer(k, capacity, options, alignment),
  'void *_ZN24IOBufferMemoryDescriptor22inTaskWithPhysicalMaskEP4taskjyy(void *task, unsigned int options, uint64_t capacity, uint64_t mask)':
    (k, _task, options, capacity) => buffer(k, size(capacity), options, PAGE_SIZE),
  'void *_ZN24IOBufferMemoryDescriptor9withBytesEPKvmjb(const void *bytes, size_t length, unsigned int direction, bool contiguous)':
    (k, bytes, length, direction) => {
      const at = buffer(k, length, direction, 16);
      if (at !== 0) move(k, at, 0, bytes, length, true);
      return at;
    },
  'void _ZN24IOBufferMemoryDescriptor4freeEv(void *at)': function* (k, at) {
    k.heap.free(k.read('IOMemoryDescriptor.address', at));
    yield* freeObject(k, at);
  },
  'void _ZN24IOBufferMemoryDescriptor9setLengthEm(void *at, size_t length)': (k, at, length) => {
    if (length <= k.read('IOMemoryDescriptor.capacity', at)) k.write('IOMemoryDescriptor.length', at, length);
  },
  'void _ZN24IOBufferMemoryDescriptor12setDirectionEj(void *at, unsigned int direction)': (
    k,
    at,
    direction,
  ) => k.write('IOMemoryDescriptor.flags', at, direction & DIRECTION_MASK),
  'size_t _ZNK24IOBufferMemoryDescriptor11getCapacityEv(const void *at)': (k, at) =>
    k.read('IOMemoryDescriptor.capacity', at),
  'void *_ZN24IOBufferMemoryDescriptor14getBytesNoCopyEv(void *at)': (k, at) =>
    k.read('IOMemoryDescriptor.address', at),
  'void *_ZN24IOBufferMemoryDescriptor14getBytesNoCopyEmm(void *at, size_t start, size_t length)': (
    k,
    at,
    start,
    length,
  ) => (start + length <= lengthOf(k, at) ? k.read('IOMemoryDescriptor.address', at) + start : 0),
  'bool _ZN24IOBufferMemoryDescriptor11appendBytesEPKvm(void *at, const void *bytes, size_t length)': (
    k,
    at,
    bytes,
    length,
  ) => {
    const old = lengthOf(k, at);
    const count = Math.min(length, k.read('IOMemoryDescriptor.capacity', at) - old);
    k.write('IOMemoryDescriptor.length', at, old + count);
    move(k, at, old, bytes, count, true);
    return true;
  },
});

export const memoryMaps = kernelFunctions({
  'void _ZN11IOMemoryMap4freeEv(void *at)': function* (k, at) {
    yield* release(k, k.read('IOMemoryMap.memory', at));
    yield* freeObject(k, at);
  },
  'void _ZNK11IOMemoryMap13taggedReleaseEPKv(const void *at, const void *tag)': (k, at) =>
    invoke(k, at, 'OSObject', '_ZNK8OSObject7releaseEv'),
  'uint64_t _ZN11IOMemoryMap17getVirtualAddressEv(void *at)': (k, at) =>
    BigInt(k.read('IOMemoryMap.address', at)),
  'uint64_t _ZN11IOMemoryMap9getLengthEv(void *at)': (k, at) => BigInt(k.read('IOMemoryMap.length', at)),
  'void *_ZN11IOMemoryMap19getMemoryDescriptorEv(void *at)': (k, at) => k.read('IOMemoryMap.memory', at),
  'unsigned int _ZN11IOMemoryMap13getMapOptionsEv(void *at)': () => 0,
  'uint64_t _ZN11IOMemoryMap18getPhysicalAddressEv(void *at)': (k, at) =>
    BigInt(segment(k, k.read('IOMemoryMap.memory', at), 0).address),
  'uint64_t _ZN11IOMemoryMap18getPhysicalSegmentEyPyj(void *at, uint64_t offset, uint64_t *length, unsigned int options)':
    (k, at, offset, length) => physicalSegment(k, k.read('IOMemoryMap.memory', at), size(offset), length),
  'int _ZN11IOMemoryMap5unmapEv(void *at)': (k, at) => {
    if (k.read('IOMemoryMap.address', at) === 0) return BAD_ARGUMENT;
    k.write('IOMemoryMap.address', at, 0);
    return 0;
  },
});
