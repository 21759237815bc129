/** Memory of drivers that processes map: devmap(9E), devmap_umem_setup(9F), ddi_umem_alloc(9F). */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import { freeHandle, hardwareOf, mapRegisters } from './hardware.ts';
import { entry, type OpenDevice } from './opens.ts';
import type { Solaris } from './solaris.ts';

interface UserMemory {
  readonly base: Address;
  readonly pages: number;
}

/** By cookie. */
const allocated = perKernel(() => new Map<Address, UserMemory>());
/** What a driver has said of a devmap_cookie_t, while its devmap runs. */
const setUp = perKernel(
  () => new Map<Address, { readonly base: Address; readonly bytes: number; handle?: Address }>(),
);

/** ddi_umem_alloc: whole pages, zeroed. */
export function allocateUserMemory(k: Solaris, bytes: number, cookiep: Address): Address {
  const pages = Math.ceil(bytes / PAGE_SIZE);
  if (!(pages > 0 && pages < k.memory.frames.freePages)) return 0;
  const base = k.mapPages(k.dataArea, pages, Perm.R | Perm.W, 'memory for processes');
  k.memory.fill(base, pages * PAGE_SIZE, 0);
  const cookie = k.heap.take(16);
  k.state(allocated).set(cookie, { base, pages });
  k.memory.setPtr(cookiep, cookie);
  return base;
}

export function freeUserMemory(k: Solaris, cookie: Address): void {
  const found = k.state(allocated).get(cookie);
  if (found === undefined) return;
  k.unmapPages(k.dataArea, found.base, found.pages);
  k.state(allocated).delete(cookie);
  k.heap.free(cookie);
}

/** devmap_umem_setup: a stretch of such memory. */
export function setUpUserMemory(
  k: Solaris,
  handle: Address,
  cookie: Address,
  offset: number,
  bytes: number,
): number {
  const found = k.state(allocated).get(cookie);
  if (found === undefined || offset < 0 || offset + bytes > found.pages * PAGE_SIZE) return -1;
  k.state(setUp).set(handle, { base: found.base + offset, bytes });
  return 0;
}

/** devmap_devmem_setup: registers of the device. */
export function setUpRegisters(
  k: Solaris,
  handle: Address,
  dip: Address,
  number: number,
  range: { offset: number; bytes: number },
): number {
  const hardware = hardwareOf(k, dip);
  const set = hardware?.registers[number];
  if (hardware === undefined || set === undefined || set.kind !== 'memory') return -1;
  if (range.offset < 0 || range.offset + range.bytes > set.bytes) return -1;
  const mapped = mapRegisters(k, hardware, set);
  k.state(setUp).set(handle, {
    base: mapped.address + range.offset,
    bytes: range.bytes,
    handle: mapped.handle,
  });
  return 0;
}

export type MapResult =
  | { readonly errno: number }
  | { readonly base: Address; readonly bytes: number; readonly unmap: () => void };

/** mmap(2) of a device: what the driver lets a process have there. `unmap` is munmap(2). */
export function* mapDevice(k: Solaris, device: OpenDevice, offset: number, bytes: number): Steps<MapResult> {
  const devmap = entry(k, device.dev, 'cb_devmap');
  if (devmap === 0) return { errno: Errno.ENXIO };
  const handle = k.heap.take(64);
  const length = k.heap.take(k.word);
  const model = k.bits === 64 ? 0x00200000 : 0x00100000;
  const status = yield* k.callInt(devmap, device.dev, handle, BigInt(offset), bytes, length, model);
  const got = k.memory.ptr(length);
  const found = k.state(setUp).get(handle);
  k.state(setUp).delete(handle);
  k.heap.free(handle);
  k.heap.free(length);
  if (status !== 0) return { errno: status > 0 ? status : Errno.ENXIO };
  if (found === undefined) return { errno: Errno.ENXIO };
  const unmap = () => {
    if (found.handle !== undefined) freeHandle(k, found.handle);
  };
  return { base: found.base, bytes: Math.max(0, Math.min(found.bytes, got || found.bytes, bytes)), unmap };
}
