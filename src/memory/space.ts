import { text } from '../bytes/cstring.ts';
import { type Address, hexAddress, isCanonical, PAGE_SIZE, pageBase } from './address.ts';
import { type Access, EndlessAccess, GuestFault, MappingError } from './fault.ts';
import { type CodeChange, FrameFlags } from './frame-flags.ts';
import { FrameAllocator } from './frames.ts';
import * as L from './layout.ts';
import { PageTable, Perm, PTE, PTE_FRAME_SHIFT } from './pagetable.ts';
import { type FillPage, type Region, RegionList } from './regions.ts';
import { SoftTlb } from './softtlb.ts';
import { SpareMemories } from './spare.ts';
import type { MemorySpec } from './spec.ts';
import type { SimulatedTlb } from './tlb.ts';
import { Window } from './window.ts';

export { type Address, PAGE_SIZE } from './address.ts';
export { EndlessAccess, GuestFault, MappingError } from './fault.ts';
export { Perm } from './pagetable.ts';

const NEEDS: Record<Access, number> = { read: Perm.R, write: Perm.W, execute: Perm.X };
const HIGH = 4294967296;
/** Seconds of nothing but accesses; a small integer, so that counting costs next to nothing. */
const MAX_FUEL = 2 ** 30 - 1;
/** Bytes moved in one piece that cost as much as one access. */
const BYTES_PER_FUEL = 8;

/**
 * The memory of one kernel: frames, page tables and checked access. The CPU and these accessors share one
 * software TLB in linear memory, so there is a single truth about what is mapped.
 */
export class GuestMemory {
  /** One per kernel, of fixed size: its buffer never detaches. */
  readonly wasm: WebAssembly.Memory;
  readonly frames: FrameAllocator;
  /** Offset of the bytes of {@link L.FrameFlag}, one for each frame. */
  readonly frameFlags: number;
  /** Offset of frame 0 in linear memory. */
  readonly ramBase: number;
  readonly codeBytes: number;
  readonly pointerBytes: 4 | 8;
  #data: DataView;
  #all: Uint8Array;
  readonly #tlb: SoftTlb;
  readonly #table = new PageTable();
  readonly #regions = new RegionList();
  readonly #directMap: Address | undefined;
  readonly #flags: FrameFlags;
  readonly #listeners: CodeChange[] = [];
  readonly #plainListeners: (() => void)[] = [];
  readonly #unpinListeners: ((page: Address) => void)[] = [];
  /** Pages whose frames translated code knows. */
  readonly #pinned = new Set<Address>();
  /** No page of the direct map was ever unmapped or protected. */
  #plain = true;
  #observer: SimulatedTlb | undefined;
  #userMode = false;
  /** CR0.WP: whether code in kernel mode respects read-only pages. */
  writeProtect = true;
  /**
   * Accesses by TypeScript that are left before one throws {@link EndlessAccess}; whoever runs pieces of work sets
   * it before each. The guest's own accesses are bounded by the instructions that it may execute.
   */
  fuel = MAX_FUEL;
  // The last page read and the last page written: most accesses in a row fall into one page.
  #readBase = Number.NaN;
  #readHost = 0;
  #writeBase = Number.NaN;
  #writeHost = 0;
  readonly #window: Window;
  readonly #spares: SpareMemories;
  released = false;

  /** @throws RangeError for sizes outside the limits above */
  constructor(spec: MemorySpec) {
    const { ramBytes, codeCacheBytes = L.DEFAULT_CODE_BYTES, pointerBytes = 8 } = spec;
    if (!Number.isInteger(ramBytes / PAGE_SIZE) || ramBytes < PAGE_SIZE || ramBytes > L.MAX_RAM_BYTES) {
      throw new RangeError(`RAM of ${ramBytes} bytes: a multiple of 4096, at most 2 GiB, is needed`);
    }
    this.codeBytes = Math.max(L.MIN_CODE_BYTES, Math.ceil(codeCacheBytes / L.WASM_PAGE) * L.WASM_PAGE);
    this.frameFlags = L.CODE_BASE + this.codeBytes;
    this.ramBase = this.frameFlags + Math.ceil(ramBytes / PAGE_SIZE / PAGE_SIZE) * PAGE_SIZE;
    this.pointerBytes = pointerBytes;
    // One unit more, so that reading 8 bytes of a smaller operand at the end of RAM stays inside.
    const units = Math.ceil((this.ramBase + ramBytes) / L.WASM_PAGE) + 1;
    this.#spares = spec.spares ?? new SpareMemories();
    this.wasm = this.#spares.take(units);
    this.#data = new DataView(this.wasm.buffer);
    this.#all = new Uint8Array(this.wasm.buffer);
    this.#tlb = new SoftTlb(this.wasm.buffer);
    this.#window = new Window(this.#data, this.ramBase);
    const flags = new FrameFlags(this.wasm.buffer, this.frameFlags, ramBytes / PAGE_SIZE);
    this.#flags = flags;
    this.frames = new FrameAllocator(ramBytes / PAGE_SIZE, (from, to) => flags.touch(from, to));
    this.#directMap = spec.directMap;
    this.flushTlb();
    if (spec.directMap !== undefined) {
      this.map(spec.directMap, 0, this.frames.total, Perm.R | Perm.W, 'direct map', true);
    }
  }

  // ---- mapping ----

  /**
   * Maps `pages` frames from `pfn` on.
   * @param large these belong to a 2 MiB mapping (only the TLB figures ask)
   * @throws MappingError when the range is misaligned, not canonical, outside RAM or overlaps another
   */
  map(va: Address, pfn: number, pages: number, perm: number, what: string, large = false): void {
    if (pfn < 0 || pfn + pages > this.frames.total) {
      throw new MappingError(
        `${what}: frames ${pfn} to ${pfn + pages} are not in RAM (${this.frames.total} frames)`,
      );
    }
    this.#claim({ base: va, pages, perm, what });
    const flags = PTE.PRESENT | (perm & PTE.PERM) | (large ? PTE.LARGE : 0);
    this.#table.setRange(va, pages, (pfn << PTE_FRAME_SHIFT) | flags, 1 << PTE_FRAME_SHIFT);
  }

  /** Maps single frames, wherever they are, at pages in a row, and zeroes them. @throws MappingError as {@link map} */
  mapZeroed(va: Address, pfns: readonly number[], perm: number, what: string): void {
    this.#claim({ base: va, pages: pfns.length, perm, what });
    pfns.forEach((pfn, i) => {
      const host = this.frameOffset(pfn);
      this.#all.fill(0, host, host + PAGE_SIZE);
      this.#table.set(va + i * PAGE_SIZE, (pfn << PTE_FRAME_SHIFT) | PTE.PRESENT | (perm & PTE.PERM));
    });
  }

  /** Maps pages whose frames are taken, zeroed and filled at the first touch, and freed by {@link unmap}. */
  mapLazy(va: Address, pages: number, perm: number, what: string, fill: FillPage = () => {}): void {
    this.#claim({ base: va, pages, perm, what, fill });
    this.#table.setRange(va, pages, PTE.LAZY | (perm & PTE.PERM), 0);
  }

  /** Pages in the range that are not mapped are passed over. */
  unmap(va: Address, pages: number): void {
    this.#checkRange(va, pages, 'unmap');
    this.#touchDirectMap(va, pages);
    for (let page = va, i = 0; i < pages; i++, page += PAGE_SIZE) {
      const entry = this.#table.get(page);
      if (entry === 0) continue;
      if ((entry & PTE.PRESENT) !== 0) {
        const pfn = entry >>> PTE_FRAME_SHIFT;
        this.#changed(pfn, 0, PAGE_SIZE);
        if ((entry & PTE.OWNED) !== 0) this.frames.free(pfn, 0);
      }
      this.#table.set(page, 0);
      this.#forget(page);
      this.#unpin(page);
    }
    this.#regions.remove(va, va + pages * PAGE_SIZE);
  }

  /** @throws MappingError when a page in the range is not mapped; nothing has changed then */
  protect(va: Address, pages: number, perm: number): void {
    this.#checkRange(va, pages, 'protect');
    for (let i = 0; i < pages; i++) {
      if (this.#table.get(va + i * PAGE_SIZE) === 0) {
        throw new MappingError(`protect: nothing is mapped at ${hexAddress(va + i * PAGE_SIZE)}`);
      }
    }
    this.#touchDirectMap(va, pages);
    for (let page = va, i = 0; i < pages; i++, page += PAGE_SIZE) {
      const entry = this.#table.get(page);
      const losesExecute = (entry & PTE.PRESENT) !== 0 && (entry & Perm.X) !== 0 && (perm & Perm.X) === 0;
      if (losesExecute) this.#changed(entry >>> PTE_FRAME_SHIFT, 0, PAGE_SIZE);
      this.#table.set(page, (entry & ~PTE.PERM) | (perm & PTE.PERM));
      this.#forget(page);
      if ((perm & Perm.R) === 0) this.#unpin(page);
    }
    this.#regions.protect(va, va + pages * PAGE_SIZE, perm);
  }

  /** Address of a frame in the direct map. @throws MappingError when this kernel has none */
  directMap(pfn: number): Address {
    if (this.#directMap === undefined) throw new MappingError('this memory has no direct map');
    return this.#directMap + pfn * PAGE_SIZE;
  }

  /** The frame behind any mapped address; a lazy page that was never touched has none. */
  pfnOf(va: Address): number | undefined {
    const entry = this.#entry(va);
    return (entry & PTE.PRESENT) !== 0 ? entry >>> PTE_FRAME_SHIFT : undefined;
  }

  /** Permissions of the page that holds `va`, undefined when unmapped. */
  permOf(va: Address): number | undefined {
    const entry = this.#entry(va);
    return entry === 0 ? undefined : entry & PTE.PERM;
  }

  /** What is mapped at `va`. */
  regionAt(va: Address): Region | undefined {
    return this.#regions.find(va);
  }

  /** The memory map, by address. */
  areas(): Iterable<{ base: Address; pages: number; perm: number; what: string }> {
    return this.#regions.list();
  }

  // ---- access ----

  u8(va: Address): number {
    if (--this.fuel < 0) this.#exhausted();
    const off = va - this.#readBase;
    if (off >= 0 && off < PAGE_SIZE) return this.#all[this.#readHost + off];
    return this.#all[this.#reach(va, 1, 'read')];
  }

  u16(va: Address): number {
    if (--this.fuel < 0) this.#exhausted();
    const off = va - this.#readBase;
    if (off >= 0 && off <= PAGE_SIZE - 2) return this.#data.getUint16(this.#readHost + off, true);
    return this.#data.getUint16(this.#reach(va, 2, 'read'), true);
  }

  u32(va: Address): number {
    if (--this.fuel < 0) this.#exhausted();
    const off = va - this.#readBase;
    if (off >= 0 && off <= PAGE_SIZE - 4) return this.#data.getUint32(this.#readHost + off, true);
    return this.#data.getUint32(this.#reach(va, 4, 'read'), true);
  }

  i32(va: Address): number {
    return this.u32(va) | 0;
  }

  /** A pointer: 8 bytes as a signed number, or 4 bytes as an unsigned one, as the guest's addresses are. */
  ptr(va: Address): number {
    return this.pointerBytes === 8 ? this.i64(va) : this.u32(va);
  }

  /** A signed 64-bit value; rounded when it needs more than 53 bits (addresses never do). */
  i64(va: Address): number {
    if (--this.fuel < 0) this.#exhausted();
    const off = va - this.#readBase;
    const host = off >= 0 && off <= PAGE_SIZE - 8 ? this.#readHost + off : this.#reach(va, 8, 'read');
    return this.#data.getInt32(host + 4, true) * HIGH + this.#data.getUint32(host, true);
  }

  u64(va: Address): bigint {
    if (--this.fuel < 0) this.#exhausted();
    return this.#data.getBigUint64(this.#reach(va, 8, 'read'), true);
  }

  /** A word as wide as a pointer, as a signed number. */
  long(va: Address): number {
    return this.pointerBytes === 8 ? this.i64(va) : this.i32(va);
  }

  /** A word as wide as a pointer, all bits, unsigned. */
  ulong(va: Address): bigint {
    return this.pointerBytes === 8 ? this.u64(va) : BigInt(this.u32(va));
  }

  setUlong(va: Address, value: bigint): void {
    if (this.pointerBytes === 8) this.setU64(va, value);
    else this.set32(va, Number(BigInt.asIntN(32, value)));
  }

  set8(va: Address, value: number): void {
    if (--this.fuel < 0) this.#exhausted();
    const off = va - this.#writeBase;
    if (off >= 0 && off < PAGE_SIZE) this.#all[this.#writeHost + off] = value;
    else this.#all[this.#reach(va, 1, 'write')] = value;
  }

  set16(va: Address, value: number): void {
    if (--this.fuel < 0) this.#exhausted();
    const off = va - this.#writeBase;
    if (off >= 0 && off <= PAGE_SIZE - 2) {
      this.#data.setUint16(this.#writeHost + off, value, true);
      return;
    }
    const host = this.#reach(va, 2, 'write');
    this.#data.setUint16(host, value, true);
    if (host === L.BOUNCE) this.commit(va, 2);
  }

  set32(va: Address, value: number): void {
    if (--this.fuel < 0) this.#exhausted();
    const off = va - this.#writeBase;
    if (off >= 0 && off <= PAGE_SIZE - 4) {
      this.#data.setInt32(this.#writeHost + off, value, true);
      return;
    }
    const host = this.#reach(va, 4, 'write');
    this.#data.setInt32(host, value, true);
    if (host === L.BOUNCE) this.commit(va, 4);
  }

  /** A pointer or a word of its width; stored modulo 2^64 or 2^32. */
  setPtr(va: Address, value: number): void {
    if (this.pointerBytes === 8) this.setI64(va, value);
    else this.set32(va, value);
  }

  /** Any integer of up to 53 bits, signed or not; stored modulo 2^64. */
  setI64(va: Address, value: number): void {
    if (--this.fuel < 0) this.#exhausted();
    const off = va - this.#writeBase;
    const host = off >= 0 && off <= PAGE_SIZE - 8 ? this.#writeHost + off : this.#reach(va, 8, 'write');
    this.#data.setInt32(host, value, true);
    this.#data.setInt32(host + 4, Math.floor(value / HIGH), true);
    if (host === L.BOUNCE) this.commit(va, 8);
  }

  setU64(va: Address, value: bigint): void {
    if (--this.fuel < 0) this.#exhausted();
    const host = this.#reach(va, 8, 'write');
    this.#data.setBigUint64(host, BigInt.asUintN(64, value), true);
    if (host === L.BOUNCE) this.commit(va, 8);
  }

  /** A copy. @throws GuestFault at the first page that cannot be read */
  bytes(va: Address, length: number): Uint8Array {
    // An absurd length must fault, not take that much memory first.
    if (length > this.#all.length) throw new GuestFault(va + this.#all.length, 'read', length, 'unmapped');
    const out = new Uint8Array(length);
    this.#pieces(va, length, 'read', (host, n, done) => out.set(this.#all.subarray(host, host + n), done));
    return out;
  }

  write(va: Address, bytes: Uint8Array): void {
    this.#pieces(va, bytes.length, 'write', (host, n, done) =>
      this.#all.set(bytes.subarray(done, done + n), host),
    );
  }

  fill(va: Address, length: number, byte: number): void {
    this.#pieces(va, length, 'write', (host, n) => this.#all.fill(byte, host, host + n));
  }

  /** As memmove: the ranges may overlap; where the copy is over what is still to be read, from the end. */
  copy(dst: Address, src: Address, length: number): void {
    if (length <= PAGE_SIZE || (dst > src && dst < src + length)) {
      for (let end = length; end > 0; end -= L.WASM_PAGE) {
        const from = Math.max(0, end - L.WASM_PAGE);
        this.write(dst + from, this.bytes(src + from, end - from));
      }
    } else {
      this.#pieces(dst, length, 'write', (host, n, done) =>
        this.#pieces(src + done, n, 'read', (from, m, part) =>
          this.#all.copyWithin(host + part, from, from + m),
        ),
      );
    }
  }

  /** Bytes up to a 0 or `max`, as Latin-1 where they are not UTF-8. */
  cstring(va: Address, max = 65536): string {
    const length = this.scan(va, 0, max);
    return text(this.bytes(va, length), 0, length);
  }

  /** How far from `va` the first such byte is; `max` when there is none before. @throws GuestFault where it reads on */
  scan(va: Address, byte: number, max: number): number {
    for (let done = 0; done < max; ) {
      const n = Math.min(PAGE_SIZE - ((va + done) & 4095), max - done);
      const host = this.#reach(va + done, 1, 'read');
      const found = this.#all.subarray(host, host + n).indexOf(byte);
      this.#burn(found < 0 ? n : found + 1);
      if (found >= 0) return done + found;
      done += n;
    }
    return max;
  }

  /** How far from `a` and `b` the first difference is; `length` when there is none. @throws GuestFault */
  mismatch(a: Address, b: Address, length: number): number {
    for (let done = 0; done < length; ) {
      const n = Math.min(PAGE_SIZE - Math.max((a + done) & 4095, (b + done) & 4095), length - done);
      const [one, other] = [this.#reach(a + done, 1, 'read'), this.#reach(b + done, 1, 'read')];
      let i = 0;
      while (i + 4 <= n && this.#data.getInt32(one + i) === this.#data.getInt32(other + i)) i += 4;
      while (i < n && this.#all[one + i] === this.#all[other + i]) i++;
      this.#burn(i + 1);
      if (i < n) return done + i;
      done += n;
    }
    return length;
  }

  /** Offset of that byte in `wasm.buffer`; good for the rest of its page. @throws GuestFault */
  hostOffset(va: Address, access: Access): number {
    return this.#reach(va, 1, access);
  }

  /**
   * Writes whatever the page permits, as a loader or a patcher does, and drops code translated from there.
   * @throws GuestFault where nothing is mapped
   */
  poke(va: Address, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = va + done;
      const n = Math.min(PAGE_SIZE - (at & 4095), bytes.length - done);
      const pfn = this.#present(at, n, 'write') >>> PTE_FRAME_SHIFT;
      this.#changed(pfn, at & 4095, n);
      this.#all.set(bytes.subarray(done, done + n), this.frameOffset(pfn) + (at & 4095));
      done += n;
    }
  }

  /** A copy for those who look in from outside: no page forbids it. Shorter where it comes to one that is not mapped. */
  peek(va: Address, length: number): Uint8Array {
    const out = new Uint8Array(Math.min(length, this.#all.length));
    let done = 0;
    while (done < out.length) {
      const within = (va + done) & 4095;
      const page = this.#peekPage(va + done - within);
      if (page === undefined) break;
      const n = Math.min(PAGE_SIZE - within, out.length - done);
      out.set(page.subarray(within, within + n), done);
      done += n;
    }
    return out.subarray(0, done);
  }

  /** The bytes of a page, or what they would be had it been touched. */
  #peekPage(page: Address): Uint8Array | undefined {
    const entry = this.#entry(page);
    if (entry === 0) return undefined;
    if ((entry & PTE.PRESENT) !== 0) {
      const host = this.frameOffset(entry >>> PTE_FRAME_SHIFT);
      return this.#all.subarray(host, host + PAGE_SIZE);
    }
    const bytes = new Uint8Array(PAGE_SIZE);
    this.#regions.find(page)?.fill?.(page, bytes);
    return bytes;
  }

  /** Offset of a frame in `wasm.buffer`. */
  frameOffset(pfn: number): number {
    return this.ramBase + pfn * PAGE_SIZE;
  }

  // ---- for the CPU ----

  /** Called when code that was marked with {@link markCode} changes or its mapping goes. */
  onCodeChange(listener: CodeChange): void {
    this.#listeners.push(listener);
  }

  /** Code was translated from this frame: from now on writes to it are reported. */
  markCode(pfn: number): void {
    if (!this.#flags.markCode(pfn)) return;
    // Any alias may be cached as writable.
    this.#tlb.dropWritable();
    this.#writeBase = Number.NaN;
    this.#window.frameLost(pfn);
  }

  /** No translated code is left from this frame. */
  unmarkCode(pfn: number): void {
    this.#flags.unmarkCode(pfn);
  }

  /**
   * The direct map while all of it may be read and written by whoever gets that far, and nobody counts accesses: an
   * address in it is then an offset from {@link ramBase} and needs no look at the page tables, but for stores into
   * frames with {@link L.FrameFlag}.
   */
  get plainMap(): Address | undefined {
    return this.#plain && this.#observer === undefined && !this.#userMode ? this.#directMap : undefined;
  }

  /** Called when {@link plainMap} becomes another. */
  onPlainChange(listener: () => void): void {
    this.#plainListeners.push(listener);
  }

  /**
   * Where that byte is in linear memory, and how many of the `most` bytes from there on can be read in one piece: good until
   * {@link onUnpin} tells of one of the pages. Undefined where nothing can be read, or where accesses are counted.
   */
  pin(va: Address, most: number, each: (page: Address) => void): { host: number; bytes: number } | undefined {
    if (this.plainMap === undefined) return undefined;
    const first = pageBase(va);
    const end = va + most;
    const needed = PTE.PRESENT | Perm.R;
    let pages = 0;
    let pfn = 0;
    for (let page = first; page < end; page += PAGE_SIZE, pages++) {
      const entry = this.#entry(page);
      if ((entry & needed) !== needed) break;
      if (pages === 0) pfn = entry >>> PTE_FRAME_SHIFT;
      else if (entry >>> PTE_FRAME_SHIFT !== pfn + pages) break;
    }
    if (pages === 0) return undefined;
    for (let page = first, n = 0; n < pages; n++, page += PAGE_SIZE) {
      this.#pinned.add(page);
      each(page);
    }
    const within = va - first;
    return { host: this.frameOffset(pfn) + within, bytes: Math.min(most, pages * PAGE_SIZE - within) };
  }

  /** Called when a page that was pinned is unmapped or can no longer be read. */
  onUnpin(listener: (page: Address) => void): void {
    this.#unpinListeners.push(listener);
  }

  #unpin(page: Address): void {
    if (this.#pinned.delete(page)) for (const listener of this.#unpinListeners) listener(page);
  }

  /** Makes a change after which the direct map may no longer be plain, or may be again. */
  #changePlain(change: () => void): void {
    const before = this.plainMap;
    change();
    if (this.plainMap !== before) for (const listener of this.#plainListeners) listener();
  }

  #touchDirectMap(va: Address, pages: number): void {
    const base = this.#directMap;
    if (base === undefined || va + pages * PAGE_SIZE <= base || va >= base + this.frames.total * PAGE_SIZE)
      return;
    this.#changePlain(() => {
      this.#plain = false;
    });
  }

  /** Code runs at user privilege: pages without U fault for the CPU (never for these accessors). */
  set userMode(on: boolean) {
    if (on === this.#userMode) return;
    this.#changePlain(() => {
      this.#userMode = on;
    });
    this.flushTlb();
  }

  get userMode(): boolean {
    return this.#userMode;
  }
  /** Counts every data access in a simulated TLB until called with undefined; slow while on. */
  observe(tlb: SimulatedTlb | undefined): void {
    this.#changePlain(() => {
      this.#observer = tlb;
    });
    this.flushTlb();
  }

  flushTlb(): void {
    this.#tlb.clear();
    this.#window.close();
    this.#readBase = this.#writeBase = Number.NaN;
  }

  /**
   * What the CPU calls after a TLB miss: checks, fills the TLB, returns the linear offset. An access that
   * crosses a page gets the bounce buffer, filled with the present bytes; {@link commit} writes it back.
   * @throws GuestFault
   */
  cpuAccess(va: Address, size: number, access: Access): number {
    if (this.#userMode) this.#checkUser(va, size, access);
    return this.#reach(va, size, access);
  }

  /**
   * Opens the window around `bytes` bytes from `low` on, and whatever more lies beside them: until it closes, accesses
   * inside need no look at the TLB. False, with no window open, where that is not memory of one piece.
   */
  openWindow(low: Address, bytes: number): boolean {
    this.#window.close();
    if (this.#observer !== undefined || this.#userMode) return false;
    return this.#window.open(low, bytes, (page) => this.#plainFrame(page));
  }

  /** The frame behind a page that can be read and written and was touched, and holds no code. */
  #plainFrame(page: Address): number | undefined {
    const entry = this.#entry(page);
    const needed = PTE.PRESENT | Perm.R | Perm.W;
    if ((entry & needed) !== needed) return undefined;
    const pfn = entry >>> PTE_FRAME_SHIFT;
    return this.#flags.plain(pfn) ? pfn : undefined;
  }

  /** Writes the bounce buffer back after a write that crossed a page. */
  commit(va: Address, size: number): void {
    const first = PAGE_SIZE - (va & 4095);
    this.#all.copyWithin(this.#walk(va, first, 'write'), L.BOUNCE, L.BOUNCE + first);
    this.#all.copyWithin(this.#walk(va + first, size - first, 'write'), L.BOUNCE + first, L.BOUNCE + size);
  }

  /** Gives the linear memory back, zeroed as far as it was touched. Nothing on it may be used from then on. */
  release(): void {
    if (this.released) return;
    this.released = true;
    // A store over the end of the last frame reaches into the one behind it.
    const end = this.frameOffset(Math.min(this.#flags.clean + 1, this.frames.total));
    this.#all.fill(0, 0, L.CODE_BASE).fill(0, this.frameFlags, end);
    this.#data = new DataView(new ArrayBuffer(0));
    this.#all = new Uint8Array(0);
    this.#spares.give(this.wasm);
  }

  // ---- inside ----

  #claim(region: Region): void {
    const { base, pages, what } = region;
    this.#checkRange(base, pages, what);
    if (this.#regions.overlaps(base, base + pages * PAGE_SIZE)) {
      throw new MappingError(`${what}: ${pages} pages at ${hexAddress(base)} overlap a mapping that exists`);
    }
    this.#regions.insert(region);
  }

  #checkRange(va: Address, pages: number, what: string): void {
    const aligned = Number.isInteger(va / PAGE_SIZE) && Number.isInteger(pages) && pages > 0;
    if (!aligned || !isCanonical(va) || !isCanonical(va + pages * PAGE_SIZE - 1)) {
      throw new MappingError(`${what}: ${pages} pages at ${va} is not a range of whole, canonical pages`);
    }
  }

  #entry(va: Address): number {
    return isCanonical(va) ? this.#table.get(va) : 0;
  }

  /** The entry of the page, with a frame behind it. */
  #present(va: Address, size: number, access: Access): number {
    const entry = this.#entry(va);
    if (entry === 0) throw new GuestFault(va, access, size, 'unmapped');
    return (entry & PTE.PRESENT) !== 0 ? entry : this.#populate(va, entry);
  }

  #populate(va: Address, entry: number): number {
    const region = this.#regions.find(va);
    const pfn = this.frames.allocate(0, region?.what ?? 'lazy');
    const host = this.frameOffset(pfn);
    const bytes = this.#all.subarray(host, host + PAGE_SIZE).fill(0);
    const present = (pfn << PTE_FRAME_SHIFT) | (entry & PTE.PERM) | PTE.PRESENT | PTE.OWNED;
    const page = pageBase(va);
    this.#table.set(page, present);
    region?.fill?.(page, bytes);
    return present;
  }

  /** Linear offset of an access, by way of the TLB. */
  #reach(va: Address, size: number, access: Access): number {
    const page = va - (va & 4095);
    if (va + size - page > PAGE_SIZE) return this.#cross(va, size, access);
    const host = this.#tlb.find(va, page, access);
    if (host >= 0) {
      this.#remember(page, host - (va & 4095), access);
      return host;
    }
    return this.#walk(va, size, access);
  }

  #walk(va: Address, size: number, access: Access): number {
    if (!Number.isInteger(va)) throw new GuestFault(va, access, size, 'unmapped');
    const entry = this.#present(va, size, access);
    const allowed = (entry & NEEDS[access]) !== 0;
    // With CR0.WP clear, code in kernel mode writes to read-only pages (SDM volume 3, 4.6.1).
    const overridden = !allowed && access === 'write' && !this.writeProtect && !this.#userMode;
    if (!allowed && !overridden) throw new GuestFault(va, access, size, 'protection');
    const pfn = entry >>> PTE_FRAME_SHIFT;
    const within = va & 4095;
    if (access === 'write') this.#changed(pfn, within, size);
    const host = this.frameOffset(pfn) + within;
    if (this.#observer !== undefined) this.#observer.access(va, (entry & PTE.LARGE) !== 0);
    else if (!overridden && (!this.#userMode || (entry & Perm.U) !== 0))
      this.#cache(va - within, entry, host - within, access);
    return host;
  }

  /** Puts a page into the TLB with all it permits. */
  #cache(page: Address, entry: number, host: number, access: Access): void {
    const writable = (entry & Perm.W) !== 0 && this.#flags.plain(entry >>> PTE_FRAME_SHIFT);
    this.#tlb.put(page, host, (entry & Perm.R) !== 0, writable, (entry & Perm.X) !== 0);
    if (access !== 'write' || writable) this.#remember(page, host, access);
  }

  #remember(page: Address, host: number, access: Access): void {
    if (access === 'read') {
      this.#readBase = page;
      this.#readHost = host;
    } else if (access === 'write') {
      this.#writeBase = page;
      this.#writeHost = host;
    }
  }

  #forget(page: Address): void {
    this.#tlb.forget(page);
    if (this.#readBase === page) this.#readBase = Number.NaN;
    if (this.#writeBase === page) this.#writeBase = Number.NaN;
    this.#window.pageLost(page);
  }

  /** An access over a page boundary: both pages are checked before a byte is touched. */
  #cross(va: Address, size: number, access: Access): number {
    if (!(size <= 64)) throw new RangeError(`an access of ${size} bytes`);
    const first = PAGE_SIZE - (va & 4095);
    const low = this.#walk(va, first, access);
    const high = this.#walk(va + first, size - first, access);
    this.#all.copyWithin(L.BOUNCE, low, low + first);
    this.#all.copyWithin(L.BOUNCE + first, high, high + size - first);
    return L.BOUNCE;
  }

  #pieces(
    va: Address,
    length: number,
    access: Access,
    each: (host: number, n: number, done: number) => void,
  ): void {
    for (let done = 0; done < length; ) {
      this.#burn(PAGE_SIZE);
      const n = Math.min(PAGE_SIZE - ((va + done) & 4095), length - done);
      each(this.#reach(va + done, n, access), n, done);
      done += n;
    }
  }

  #burn(bytes: number): void {
    this.fuel -= bytes / BYTES_PER_FUEL;
    if (this.fuel < 0) this.#exhausted();
  }

  #exhausted(): never {
    this.fuel = 0;
    throw new EndlessAccess();
  }

  #checkUser(va: Address, size: number, access: Access): void {
    for (const at of [va, va + size - 1]) {
      const entry = this.#entry(at);
      if (entry !== 0 && (entry & Perm.U) === 0) throw new GuestFault(at, access, size, 'protection');
    }
  }

  #changed(pfn: number, offset: number, length: number): void {
    if (!this.#flags.written(pfn)) return;
    for (const listener of this.#listeners) listener(pfn, offset, length);
  }
}
