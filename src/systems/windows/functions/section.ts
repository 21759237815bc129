/** Sections and views of them: the page file's, files of the volume, driver images, and physical memory. */

import { FormatError } from '../../../bytes/errors.ts';
import { readPe } from '../../../formats/pe/read.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { type Address, PAGE_SIZE, Perm } from '../../../memory/space.ts';
import type { KernelObject } from '../objects.ts';
import { volumeFile } from '../open-files.ts';
import { mapPhysical, unmapPhysical } from '../physical.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';
import { attributesPath } from './ps.ts';

type Section = { readonly kind: 'physical' } | { readonly kind: 'pages'; readonly frames: number[] };

interface View {
  readonly section: KernelObject;
  readonly pages: number;
}

const views = perKernel(() => new Map<Address, View>());
const SEC_IMAGE = 0x1000000;
const MAX_SECTION = 1 << 26;
const PHYSICAL = '\\Device\\PhysicalMemory';
const SECTION_TOO_BIG = 0xc0000040 | 0;
const INVALID_FILE_FOR_SECTION = 0xc0000020 | 0;
const NOT_MAPPED_VIEW = 0xc0000019 | 0;
const INVALID_VIEW_SIZE = 0xc000001f | 0;

const sectionOf = (object: KernelObject): Section => object.extra as Section;

/** The kernel has one section from the start: physical memory. */
function physicalSection(k: Windows): KernelObject {
  const known = k.objects.lookUp(PHYSICAL);
  if (known !== undefined) return known.object;
  const object = k.objects.create('Section', 64, { extra: { kind: 'physical' } satisfies Section });
  k.objects.insert(object, PHYSICAL);
  return object;
}

function* openSection(k: Windows, out: Address, attributes: Address): Steps<number> {
  const path = attributesPath(k, attributes);
  physicalSection(k);
  const found = k.objects.lookUp(path);
  if (found === undefined || found.rest !== '') return Status.OBJECT_NAME_NOT_FOUND;
  if (found.object.type !== 'Section') return Status.OBJECT_TYPE_MISMATCH;
  k.memory.setPtr(out, k.objects.open(found.object));
  return Status.SUCCESS;
}

/** Frames of a new section, filled with what backs it. @returns undefined when memory ends */
function makeFrames(k: Windows, bytes: number, contents: Uint8Array | undefined): number[] {
  const frames: number[] = [];
  for (let at = 0; at < bytes; at += PAGE_SIZE) {
    const pfn = k.memory.frames.allocate(0, 'section');
    frames.push(pfn);
    const page = new Uint8Array(k.memory.wasm.buffer, k.memory.frameOffset(pfn), PAGE_SIZE);
    page.fill(0);
    if (contents !== undefined) page.set(contents.subarray(at, at + PAGE_SIZE));
  }
  return frames;
}

/** The bytes that a file shows as a section: an image is laid out as it would be loaded. */
function contentsOf(k: Windows, handle: number, attributes: number): Uint8Array | number {
  const bytes = volumeFile(k, handle);
  if (bytes === undefined) return INVALID_FILE_FOR_SECTION;
  if ((attributes & SEC_IMAGE) === 0) return bytes;
  try {
    return readPe(bytes).mapped();
  } catch (error) {
    if (error instanceof FormatError) return Status.INVALID_IMAGE_FORMAT;
    throw error;
  }
}

function* createSection(
  k: Windows,
  out: Address,
  attributes: Address,
  sizeAt: Address,
  allocation: number,
  file: number,
): Steps<number> {
  const contents = file === 0 ? undefined : contentsOf(k, file, allocation);
  if (typeof contents === 'number') return contents;
  const asked = sizeAt === 0 ? 0 : Number(k.memory.u64(sizeAt));
  const bytes = asked === 0 ? (contents?.length ?? 0) : asked;
  if (bytes === 0) return Status.INVALID_PARAMETER;
  if (bytes > MAX_SECTION) return SECTION_TOO_BIG;
  const frames = makeFrames(k, bytes, contents);
  const object = k.objects.create('Section', 64, {
    extra: { kind: 'pages', frames } satisfies Section,
    destroy: () => {
      for (const pfn of frames) k.memory.frames.free(pfn, 0);
    },
  });
  const path = attributesPath(k, attributes);
  const status = path === '' ? Status.SUCCESS : k.objects.insert(object, path);
  if (status >= 0) k.memory.setPtr(out, k.objects.open(object));
  yield* k.objects.dereference(object);
  return status;
}

/** PAGE_* protections: readable always, writable for 4, 8, 0x40 and 0x80, executable from 0x10. */
const permOf = (protect: number): number => {
  const kind = protect & 0xff;
  const write = [4, 8, 0x40, 0x80].includes(kind) ? Perm.W : 0;
  return Perm.R | Perm.U | write | (kind >= 0x10 ? Perm.X : 0);
};

interface MapRequest {
  readonly section: number;
  readonly baseAt: Address;
  readonly offsetAt: Address;
  readonly sizeAt: Address;
  readonly protect: number;
}

function mapView(k: Windows, r: MapRequest): number {
  const object = k.objects.fromHandle(r.section);
  if (object === undefined) return Status.INVALID_HANDLE;
  if (object.type !== 'Section') return Status.OBJECT_TYPE_MISMATCH;
  const section = sectionOf(object);
  const offset = r.offsetAt === 0 ? 0n : k.memory.u64(r.offsetAt);
  const size = k.memory.ptr(r.sizeAt);
  if (section.kind === 'physical') {
    const start = offset & ~0xfffn;
    const at = mapPhysical(k, k.userArea, start, size + Number(offset - start), permOf(r.protect));
    if (at === 0) return Status.INVALID_PARAMETER;
    if (r.offsetAt !== 0) k.memory.setU64(r.offsetAt, start);
    return mapped(k, r, object, at, Math.ceil((size + Number(offset - start)) / PAGE_SIZE));
  }
  const first = Number(offset >> 12n);
  const pages = size === 0 ? section.frames.length - first : Math.ceil(size / PAGE_SIZE);
  if (pages <= 0 || first + pages > section.frames.length) return INVALID_VIEW_SIZE;
  const at = k.userArea.allocate(pages);
  for (let i = 0; i < pages; i++)
    k.memory.map(at + i * PAGE_SIZE, section.frames[first + i], 1, permOf(r.protect), 'view of a section');
  return mapped(k, r, object, at, pages);
}

function mapped(k: Windows, r: MapRequest, section: KernelObject, at: Address, pages: number): number {
  k.objects.reference(section);
  k.state(views).set(at, { section, pages });
  k.memory.setPtr(r.baseAt, at);
  k.memory.setPtr(r.sizeAt, pages * PAGE_SIZE);
  return Status.SUCCESS;
}

function* unmapView(k: Windows, at: Address): Steps<number> {
  const base = at - (at % PAGE_SIZE);
  const view = k.state(views).get(base);
  if (view === undefined) return NOT_MAPPED_VIEW;
  k.state(views).delete(base);
  if (!unmapPhysical(k, base)) {
    k.memory.unmap(base, view.pages);
    k.userArea.free(base);
  }
  yield* k.objects.dereference(view.section);
  return Status.SUCCESS;
}

export const sectionFunctions = kernelFunctions({
  'NTSTATUS ZwOpenSection(HANDLE *handle, ACCESS_MASK access, PVOID attributes)': (
    k,
    out,
    _access,
    attributes,
  ) => openSection(k, out, attributes),
  'NTSTATUS ZwCreateSection(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID size, ULONG protect, ULONG allocation, HANDLE file)':
    (k, out, _access, attributes, size, _protect, allocation, file) =>
      createSection(k, out, attributes, size, allocation, file),
  'NTSTATUS ZwMapViewOfSection(HANDLE section, HANDLE process, PVOID *base, ULONG_PTR zeroBits, SIZE_T commit, PVOID offset, SIZE_T *size, ULONG inherit, ULONG type, ULONG protect)':
    (k, section, _process, baseAt, _zero, _commit, offsetAt, sizeAt, _inherit, _type, protect) =>
      mapView(k, { section, baseAt, offsetAt, sizeAt, protect }),
  'NTSTATUS ZwUnmapViewOfSection(HANDLE process, PVOID base)': (k, _process, base) => unmapView(k, base),
});
