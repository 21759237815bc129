/** Driver images in memory: placing, relocating, protecting, and PsLoadedModuleList. */

import type { RuntimeFunction } from '../../formats/pe/exceptions.ts';
import { type PeExports, readExports } from '../../formats/pe/exports.ts';
import { DEFAULT_COOKIE, FILE, RELOCATION, SECTION } from '../../formats/pe/layout.ts';
import { readLoadConfig } from '../../formats/pe/loadconfig.ts';
import type { PeFile, PeSection } from '../../formats/pe/read.ts';
import { readRelocations } from '../../formats/pe/relocations.ts';
import { AreaAllocator } from '../../memory/areas.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import { Status } from './status.ts';
import { encodeUtf16, setCounted } from './strings.ts';
import { initialiseList } from './wait.ts';
import type { Windows } from './windows.ts';

export interface DriverImage {
  /** Base name: hello.sys. */
  readonly name: string;
  /** As the kernel knows it: \??\C:\hello.sys. */
  readonly path: string;
  readonly pe: PeFile;
  readonly base: Address;
  readonly pages: number;
  /** KLDR_DATA_TABLE_ENTRY. */
  readonly entry: Address;
  readonly exports: PeExports | undefined;
  /** Images that it imports from and that count it. */
  readonly imports: DriverImage[];
  /** Sorted function table, read when first needed. */
  functions?: RuntimeFunction[];
  /** Loaded for its exports: DllInitialize has run. */
  library: boolean;
  forget: () => void;
}

export class ImageRefused extends Error {
  readonly status: number;

  constructor(status: number, why: string) {
    super(why);
    this.name = 'ImageRefused';
    this.status = status;
  }
}

const pageOf = (rva: number): number => Math.floor(rva / PAGE_SIZE);
const isInit = (section: PeSection): boolean =>
  section.name.startsWith('INIT') || (section.flags & SECTION.DISCARDABLE) !== 0;
const isPaged = (section: PeSection): boolean => section.name.startsWith('PAGE') || section.name === '.edata';

export class Images {
  private readonly k: Windows;
  private readonly area: AreaAllocator;
  private readonly list: DriverImage[] = [];
  private readonly gone: { name: string; base: Address; end: Address }[] = [];
  /** PsLoadedModuleList. */
  readonly head: Address;
  private guards: { check: Address; dispatch: Address } | undefined;

  constructor(k: Windows) {
    this.k = k;
    this.area = new AreaAllocator(k.map.drivers.base, k.map.drivers.end);
    this.head = k.kernelData(16, 'PsLoadedModuleList');
    initialiseList(k, this.head);
  }

  [Symbol.iterator](): Iterator<DriverImage> {
    return this.list[Symbol.iterator]();
  }

  at(address: Address): DriverImage | undefined {
    return this.list.find(({ base, pages }) => address >= base && address < base + pages * PAGE_SIZE);
  }

  named(name: string): DriverImage | undefined {
    const wanted = name.toLowerCase();
    return this.list.find((image) => image.name.toLowerCase() === wanted);
  }

  unloadedAt(address: Address): string | undefined {
    if (this.at(address) !== undefined) return undefined;
    return this.gone.find(({ base, end }) => address >= base && address < end)?.name;
  }

  /** Copies the image to kernel memory and relocates it; all of it is writable until `protect`. @throws ImageRefused */
  place(pe: PeFile, path: string): DriverImage {
    const { k } = this;
    const bytes = pe.mapped();
    const pages = Math.ceil(bytes.length / PAGE_SIZE);
    const base = k.mapPages(this.area, pages, Perm.R | Perm.W, `driver ${path}`);
    k.memory.write(base, bytes);
    try {
      this.relocate(pe, base);
    } catch (error) {
      k.unmapPages(this.area, base, pages);
      throw error;
    }
    const name = path.slice(path.lastIndexOf('\\') + 1);
    const exports = readExports(pe);
    const entry = this.link(pe, base, pages, path, name);
    const image: DriverImage = {
      name,
      path,
      pe,
      base,
      pages,
      entry,
      exports,
      imports: [],
      library: false,
      forget: this.symbols(base, bytes.length, name, exports),
    };
    this.list.push(image);
    return image;
  }

  private relocate(pe: PeFile, base: Address): void {
    const { memory } = this.k;
    const delta = BigInt(base) - BigInt.asIntN(64, pe.header.imageBase);
    if (delta === 0n) return;
    if ((pe.header.characteristics & FILE.RELOCS_STRIPPED) !== 0)
      throw new ImageRefused(
        Status.CONFLICTING_ADDRESSES,
        'its relocations were stripped, so it cannot be moved',
      );
    for (const { rva, type } of readRelocations(pe)) {
      const at = base + rva;
      if (type === RELOCATION.DIR64) memory.setU64(at, BigInt.asUintN(64, memory.u64(at) + delta));
      else if (type === RELOCATION.HIGHLOW)
        memory.set32(at, Number(BigInt.asUintN(32, BigInt(memory.u32(at)) + delta)));
      else
        throw new ImageRefused(
          Status.INVALID_IMAGE_FORMAT,
          `relocation of type ${type} at 0x${rva.toString(16)}`,
        );
    }
  }

  /** The exports are the only names a driver has; its own name stands for the rest. */
  private symbols(base: Address, bytes: number, name: string, exports: PeExports | undefined): () => void {
    const known = (exports?.entries ?? [])
      .filter((entry) => entry.name !== undefined && entry.forwarder === undefined && entry.address < bytes)
      .map((entry) => ({ name: entry.name ?? '', address: base + entry.address }));
    return this.k.symbols.add(base, bytes, name, [
      { name: name.replace(/\.[^.]*$/, ''), address: base },
      ...known,
    ]);
  }

  private link(pe: PeFile, base: Address, pages: number, path: string, name: string): Address {
    const { k } = this;
    const strings = k.sizeof('KLDR_DATA_TABLE_ENTRY');
    const text = encodeUtf16(`${path}\0`);
    const entry = k.pool.allocate('nonpaged', strings + text.length, 0x644c6d4d, 0, true);
    if (entry === 0) throw new ImageRefused(Status.INSUFFICIENT_RESOURCES, 'no pool for its descriptor');
    k.memory.write(entry + strings, text);
    k.write('KLDR_DATA_TABLE_ENTRY.DllBase', entry, base);
    k.write(
      'KLDR_DATA_TABLE_ENTRY.EntryPoint',
      entry,
      pe.header.entryPoint === 0 ? 0 : base + pe.header.entryPoint,
    );
    k.write('KLDR_DATA_TABLE_ENTRY.SizeOfImage', entry, pages * PAGE_SIZE);
    k.write('KLDR_DATA_TABLE_ENTRY.CheckSum', entry, pe.header.checksum);
    k.write('KLDR_DATA_TABLE_ENTRY.LoadCount', entry, 1);
    const full = entry + k.offset('KLDR_DATA_TABLE_ENTRY.FullDllName');
    setCounted(k, full, path.length * 2, path.length * 2 + 2, entry + strings);
    const start = (path.length - name.length) * 2;
    const short = entry + k.offset('KLDR_DATA_TABLE_ENTRY.BaseDllName');
    setCounted(k, short, name.length * 2, name.length * 2 + 2, entry + strings + start);
    const last = k.memory.ptr(this.head + k.word);
    k.memory.setPtr(entry, this.head);
    k.memory.setPtr(entry + k.word, last);
    k.memory.setPtr(last, entry);
    k.memory.setPtr(this.head + k.word, entry);
    return entry;
  }

  loadCount(image: DriverImage): number {
    return this.k.read('KLDR_DATA_TABLE_ENTRY.LoadCount', image.entry);
  }

  addLoadCount(image: DriverImage, by: number): number {
    const count = this.loadCount(image) + by;
    this.k.write('KLDR_DATA_TABLE_ENTRY.LoadCount', image.entry, count);
    return count;
  }

  /** Cookie, guard functions and page protections: after the imports are written. */
  finish(image: DriverImage): void {
    this.cookieAndGuards(image);
    this.protect(image);
  }

  private cookieAndGuards({ pe, base }: DriverImage): void {
    const { k } = this;
    const config = readLoadConfig(pe);
    if (config === undefined) return;
    const { memory } = k;
    if (config.securityCookie !== 0) {
      const at = base + config.securityCookie;
      const is = k.word === 8 ? memory.u64(at) : BigInt(memory.u32(at));
      const standard = k.word === 8 ? DEFAULT_COOKIE.x64 : DEFAULT_COOKIE.x86;
      if (is === 0n || is === standard) {
        // The check wants the upper 16 bits of a wide cookie to be zero.
        const low = BigInt((k.random32() | 1) >>> 0);
        const random = (BigInt(k.random32() & 0xffff) << 32n) | low;
        if (k.word === 8) memory.setU64(at, random);
        else memory.set32(at, Number(random & 0xffffffffn));
      }
    }
    if (config.guardCheck !== 0) memory.setPtr(base + config.guardCheck, this.guard().check);
    if (config.guardDispatch !== 0) memory.setPtr(base + config.guardDispatch, this.guard().dispatch);
  }

  /** Control flow guard without a bitmap, as kernels without it do: `ret`, and `jmp rax`. */
  private guard(): { check: Address; dispatch: Address } {
    if (this.guards === undefined) {
      const [check, dispatch] = [this.k.takeGate(), this.k.takeGate()];
      this.k.memory.poke(check, Uint8Array.of(0xc3));
      this.k.memory.poke(dispatch, Uint8Array.of(0xff, 0xe0));
      this.guards = { check, dispatch };
    }
    return this.guards;
  }

  /** Each page gets what the sections on it need; images for NT 4 are left writable (their versions say so). */
  private protect({ pe, base, pages }: DriverImage): void {
    const { memory } = this.k;
    const { osVersion, subsystemVersion, sectionAlignment } = pe.header;
    const old = osVersion[0] < 5 || subsystemVersion[0] < 5 || sectionAlignment < PAGE_SIZE;
    const perms = new Uint8Array(pages).fill(old ? Perm.R | Perm.W | Perm.X : Perm.R);
    if (!old) {
      for (const section of pe.sections) {
        const last = pageOf(section.virtualAddress + section.virtualSize - 1);
        for (let page = pageOf(section.virtualAddress); page <= last; page++)
          perms[page] |= sectionPerm(section);
      }
    }
    perms.forEach((perm, page) => {
      memory.protect(base + page * PAGE_SIZE, 1, perm);
    });
    if (!old) this.markPaged(pe, base, perms);
  }

  private markPaged(pe: PeFile, base: Address, perms: Uint8Array): void {
    for (const section of pe.sections.filter(isPaged)) {
      const first = pageOf(section.virtualAddress);
      const count = pageOf(section.virtualAddress + section.virtualSize - 1) - first + 1;
      this.k.irql.addPaged(base + first * PAGE_SIZE, count, perms[first]);
    }
  }

  /** MmFreeDriverInitialization: sections that only the start needed. @returns bytes given back */
  freeInit({ pe, base }: DriverImage): number {
    const { memory } = this.k;
    if (pe.header.sectionAlignment < PAGE_SIZE) return 0;
    let freed = 0;
    for (const section of pe.sections.filter(isInit)) {
      const first = base + pageOf(section.virtualAddress) * PAGE_SIZE;
      const pages =
        pageOf(section.virtualAddress + section.virtualSize - 1) - pageOf(section.virtualAddress) + 1;
      for (let page = 0; page < pages; page++) {
        const at = first + page * PAGE_SIZE;
        const pfn = memory.pfnOf(at);
        memory.unmap(at, 1);
        if (pfn !== undefined) memory.frames.free(pfn, 0);
        freed += PAGE_SIZE;
      }
    }
    return freed;
  }

  /** Takes the image out of memory and out of the list. */
  remove(image: DriverImage): void {
    const { k } = this;
    const at = this.list.indexOf(image);
    if (at < 0) return;
    this.list.splice(at, 1);
    image.forget();
    for (const section of image.pe.sections.filter(isPaged))
      k.irql.forgetPaged(image.base + pageOf(section.virtualAddress) * PAGE_SIZE);
    const [next, previous] = [k.memory.ptr(image.entry), k.memory.ptr(image.entry + k.word)];
    k.memory.setPtr(previous, next);
    k.memory.setPtr(next + k.word, previous);
    k.pool.release(image.entry);
    this.gone.push({ name: image.name, base: image.base, end: image.base + image.pages * PAGE_SIZE });
    k.unmapPages(this.area, image.base, image.pages);
  }
}

function sectionPerm({ flags }: PeSection): number {
  const execute = (flags & SECTION.EXECUTE) !== 0 ? Perm.X : 0;
  const write = (flags & SECTION.WRITE) !== 0 ? Perm.W : 0;
  return Perm.R | execute | write;
}
