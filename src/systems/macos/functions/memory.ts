/** Allocation (iokit/Kernel/IOLib.cpp, bsd/kern/kern_malloc.c, libkern OSMalloc). */
import { type Address, PAGE_SIZE } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

const take = (k: Macos, bytes: number, zone = 'kalloc'): Address => k.heap.allocate(bytes, zone);
const give = (k: Macos, at: Address, bytes?: number): void => k.heap.free(at, bytes);

/** A tag of OSMalloc: its name is all that matters here. */
const TAG_BYTES = 64;

export const allocation = kernelFunctions({
  'void *IOMalloc(vm_size_t size)': (k, size) => take(k, size),
  'void *IOMallocZero(vm_size_t size)': (k, size) => take(k, size),
  'void IOFree(void *address, vm_size_t size)': give,
  'void *IOMallocAligned(vm_size_t size, vm_size_t alignment)': (k, size, alignment) =>
    k.heap.allocate(size, 'kalloc', Math.max(16, alignment)),
  'void IOFreeAligned(void *address, vm_size_t size)': give,
  'void *IOMallocPageable(vm_size_t size, vm_size_t alignment)': (k, size, alignment) =>
    k.heap.allocate(size, 'pageable', Math.max(PAGE_SIZE, alignment)),
  'void IOFreePageable(void *address, vm_size_t size)': give,
  'void *IOMallocData(vm_size_t size)': (k, size) => take(k, size),
  'void IOFreeData(void *address, vm_size_t size)': give,
  'void *_MALLOC(size_t size, int type, int flags)': (k, size) => take(k, size, 'malloc'),
  'void _FREE(void *address, int type)': (k, address) => give(k, address),
  'void *_MALLOC_ZONE(size_t size, int type, int flags)': (k, size) => take(k, size, 'malloc'),
  'void _FREE_ZONE(void *address, size_t size, int type)': give,
  'void *kalloc(vm_size_t size)': (k, size) => take(k, size),
  'void kfree(void *address, vm_size_t size)': give,
  'void *OSMalloc_Tagalloc(const char *name, uint32_t flags)': (k) => take(k, TAG_BYTES, 'OSMalloc tag'),
  'void OSMalloc_Tagfree(void *tag)': (k, tag) => give(k, tag),
  'void *OSMalloc(uint32_t size, void *tag)': (k, size) => take(k, size),
  'void *OSMalloc_nowait(uint32_t size, void *tag)': (k, size) => take(k, size),
  'void *OSMalloc_noblock(uint32_t size, void *tag)': (k, size) => take(k, size),
  'void OSFree(void *address, uint32_t size, void *tag)': (k, address, size) => give(k, address, size),
  'void *kern_os_malloc(size_t size)': (k, size) => take(k, size, 'kern_os'),
  'void kern_os_free(void *address)': (k, address) => give(k, address),
  // operator new and delete of kernel C++.
  'void *_Znwm(size_t size)': (k, size) => take(k, size, 'kern_os'),
  'void *_Znam(size_t size)': (k, size) => take(k, size, 'kern_os'),
  'void _ZdlPv(void *address)': (k, address) => give(k, address),
  'void _ZdaPv(void *address)': (k, address) => give(k, address),
  'void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room)': (k, to, from, bytes, room) => {
    if (bytes > room && room >= 0)
      throw k.panic(
        `panic(cpu 0): "__memcpy_chk object size check failed: dst ${to} len ${bytes} > ${room}"`,
      );
    k.memory.copy(to, from, bytes);
    return to;
  },
  'void *__memset_chk(void *to, int value, size_t bytes, size_t room)': (k, to, value, bytes, room) => {
    if (bytes > room && room >= 0)
      throw k.panic(
        `panic(cpu 0): "__memset_chk object size check failed: dst ${to} len ${bytes} > ${room}"`,
      );
    k.memory.fill(to, bytes, value & 0xff);
    return to;
  },
});
