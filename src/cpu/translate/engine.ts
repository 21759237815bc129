/** Translated code of one processor: which regions there are, when more are made, when they go. */

import type { Address } from '../../memory/address.ts';
import { GuestFault } from '../../memory/fault.ts';
import { type GuestMemory, PAGE_SIZE } from '../../memory/space.ts';
import type { Block, BlockCache, Entry, Translations } from '../blocks.ts';
import type { Engine } from '../engines.ts';
import type { InterpreterExports } from '../interpreter.ts';
import { Reg } from '../ir.ts';
import { REGISTERS, STALE } from '../state.ts';
import { type Callee, ModuleBuilder } from '../wasm/encoder.ts';
import { GraphBuilder, type RegionGraph } from './graph.ts';
import { JumpTargets } from './jumps.ts';
import type { RegionCalls } from './local-gen.ts';
import { FIRST_SLOT, REGION_SIGNATURE, RUNTIME } from './protocol.ts';
import { regionFunction } from './region.ts';
import type { PlainMap } from './region-gen.ts';
import type { Pinned } from './tables.ts';

/** Entries of a block before the region that begins there is translated. */
const THRESHOLD: Readonly<Record<Engine, number>> = { interpreter: 0, wasm: 2, auto: 1000 };
/** Code that keeps changing is translated this often at most. */
const MAX_CHANGES = 8;
/** Accesses that are not plain ones by one instruction, before its region is made again to deal with them itself. */
const OFTEN = 1000;
/** Instructions for each of those accesses, when they do not matter. */
const SELDOM = 10_000;
/** Entries without a window, before a region is made again to do without. */
const FEW = 50;
/** What a block counts again that is inside a region but no entry of it. */
const WHEN_INSIDE = 50_000;
/** What an address counts again when its translation was dropped. */
const AFTER_CHANGE = 20_000;
/** Accesses that a region was not made for, before it is made again; regions that were, before no more of that kind are made. */
const MAX_STRAYS = 3;
const MANY_STRAYING = 4;
/** Bytes of code that it costs too much to make again. */
const LARGE = 2048;
const GENERAL = 16;
const FIRST_TABLE = 16;
/** A block that has been entered this part of the threshold goes into a module that is being made anyway. */
const WARM_PART = 8;
/** Regions in one module. */
const MAX_AT_ONCE = 16;
/**
 * Modules made for one table, and places in all copies of it. V8 keeps a module as long as the table it was made for, whatever
 * is left in it: some 70 KB and a copy of the table (24 bytes a place); and every change of the table goes to all of them.
 */
const MAX_MODULES = 500;
const MAX_PLACES = 2 ** 22;

/** The code cannot be fetched, or there is no room for operations or on the stack. */
const isRefusal = (error: unknown): boolean => error instanceof GuestFault || error instanceof RangeError;

/** How a module of translated code calls what the interpreter has put into the table. */
function runtimeCalls(builder: ModuleBuilder): RegionCalls {
  const at = (name: keyof typeof RUNTIME): Callee => {
    const { slot, ...signature } = RUNTIME[name];
    return { slot, type: builder.addType(signature) };
  };
  return {
    miss: at('missOf'),
    slowStore: at('slowStore'),
    window: at('windowOf'),
    commit: at('commitOf'),
    helper: at('helper'),
    flagsOf: at('flagsOf'),
    carryOf: at('carryOf'),
    condOf: at('condOf'),
    wide: at('wideOf'),
    flags: -1,
    carry: -1,
    cond: -1,
    mulhu: -1,
  };
}

const newTable = (): WebAssembly.Table => new WebAssembly.Table({ element: 'anyfunc', initial: FIRST_TABLE });

/** The translation of the code that begins at one address. */
class Region {
  readonly entry: Address;
  readonly slot: number;
  blocks: readonly Block[] = [];
  /** Addresses that it can be entered at, its own first; undefined where there is no code. */
  entries: readonly (Address | undefined)[] = [];
  /** Starts of all blocks that were translated. */
  nodes: ReadonlySet<Address> = new Set();
  /** Functions that are called and had hardly run when it was made: small ones are worth a copy once they are hot. */
  cold: ReadonlySet<Address> = new Set();
  /** Pages of tables that it reads without a look at the page tables. */
  readonly pinned = new Set<Address>();
  /** It is small enough for a copy itself. */
  copies = false;
  /** Instructions that make calls for accesses that are not plain ones. */
  readonly calling = new Set<Address>();
  /** Accesses to elsewhere than the direct map that were not expected. */
  strays = 0;
  live = true;

  constructor(entry: Address, slot: number) {
    this.entry = entry;
    this.slot = slot;
  }
}

export class TranslationEngine implements Translations {
  readonly threshold: number;
  /** Functions of translated code; place 0 and all free ones do nothing. */
  table: WebAssembly.Table;
  /** Regions translated since the start, and the modules they came in. */
  translated = 0;
  modules = 0;
  readonly #cache: BlockCache;
  readonly #data: DataView;
  readonly #memory: GuestMemory;
  readonly #bits: 32 | 64;
  #absent!: CallableFunction;
  /** The place in the table that calls of an address go through, translated or not. */
  readonly #slots = new Map<Address, number>();
  readonly #regions = new Map<Address, Region>();
  readonly #entries = new Map<Address, Entry>();
  /** In how many regions a block is, by its start. */
  readonly #covered = new Map<Address, number>();
  /** How often the stack of a region, by entry, was not in one piece. */
  readonly #scattered = new Map<Address, number>();
  /** Accesses by instruction that translated code left to the interpreter, since some instruction count. */
  readonly #misses = new Map<Address, { count: number; since: number }>();
  /** Those that did so too often. */
  readonly #slow = new Set<Address>();
  /** Regions, by entry, that were made for the direct map alone and reached elsewhere. */
  readonly #straying = new Set<Address>();
  readonly #jumps = new JumpTargets();
  /** Blocks of regions that were hot without being an entry. */
  readonly #insiders = new Set<Address>();
  readonly #changes = new Map<Address, number>();
  #used: number = FIRST_SLOT;
  /** Modules made for this table. */
  #tenants = 0;

  constructor(engine: Engine, cache: BlockCache, memory: GuestMemory, bits: 32 | 64) {
    this.#bits = bits;
    this.threshold = THRESHOLD[engine];
    this.table = newTable();
    this.#cache = cache;
    this.#memory = memory;
    this.#data = new DataView(memory.wasm.buffer);
    memory.onPlainChange(() => this.#dropAll());
    memory.onUnpin((page) => this.#unpinned(page));
  }

  /** Before anything runs; the interpreter has put its functions into the table. */
  connect({ absent }: InterpreterExports): void {
    this.#absent = absent;
    this.#clear(0, 1);
    this.#clear(FIRST_SLOT, FIRST_TABLE);
  }

  /**
   * True when so much was made for the table that there is another now, with which the interpreter is to be connected, and
   * nothing translated; what is still hot comes again.
   */
  renewed(): boolean {
    if (this.#tenants < MAX_MODULES && this.#tenants * this.table.length <= MAX_PLACES) return false;
    this.#releaseAll();
    this.#slots.clear();
    this.#used = FIRST_SLOT;
    this.#tenants = 0;
    this.table = newTable();
    return true;
  }

  get any(): boolean {
    return this.#regions.size > 0;
  }

  slotAt(pc: Address): number {
    return this.#regions.get(pc)?.slot ?? 0;
  }

  entryAt(pc: Address): Entry | undefined {
    return this.#entries.get(pc);
  }

  /** Everything that was translated goes, as the operations it refers to have. */
  flushed(): void {
    this.#releaseAll();
    this.#slots.clear();
    this.#insiders.clear();
    this.#jumps.clear();
    this.#misses.clear();
    this.#slow.clear();
    this.#straying.clear();
    this.#scattered.clear();
    this.#clear(FIRST_SLOT, this.#used);
    this.#used = FIRST_SLOT;
  }

  dropped(owner: object, gone: boolean): void {
    if (!(owner instanceof Region) || !owner.live) return;
    // Code that went as a whole, with its module, says nothing of what comes to its place.
    if (gone) {
      this.#changes.delete(owner.entry);
      const starts = owner.blocks.map(({ pc }) => pc);
      this.#jumps.forget(Math.min(...starts), Math.max(...starts) + PAGE_SIZE);
    } else this.#changes.set(owner.entry, (this.#changes.get(owner.entry) ?? 0) + 1);
    this.#release(owner);
  }

  /** The block at `pc` has been entered often: translates what begins there if that is any use. */
  hot(pc: Address): void {
    if (!this.#entries.has(pc) && this.#isInside(pc)) {
      this.#cache.redirect(pc, undefined, WHEN_INSIDE);
      return;
    }
    if (!this.#entries.has(pc) && this.#isWanted(pc)) {
      try {
        this.#translate(pc);
        this.#remakeCallers(pc);
      } catch (error) {
        // No room for operations or on the stack, or the code is gone: it is interpreted as before.
        if (!isRefusal(error)) throw error;
      }
    }
    this.#cache.redirect(pc, this.entryAt(pc), 0);
  }

  /** What calls the function that has become hot may do better with a copy of it. */
  #remakeCallers(pc: Address): void {
    if (this.#regions.get(pc)?.copies !== true) return;
    for (const region of [...this.#regions.values()])
      if (region.cold.has(pc) && this.#jumps.again(region.entry)) this.#release(region, 1);
  }

  /** The indirect jump or call at `pc`, of translated code where there is an `owner`, has led to an address that was not known to it. */
  jumped(owner: object | undefined, pc: Address, target: Address, calls: boolean): void {
    const entry = owner instanceof Region && owner.live ? owner.entry : undefined;
    const again = calls ? this.#jumps.noteCall(pc, target, entry) : this.#jumps.note(pc, target, entry);
    if (again && owner instanceof Region) this.#release(owner, 1);
  }

  /** An instruction that belongs to `owner` has made an access that was not a plain one. */
  missed(owner: object, pc: Address, retired: number): void {
    if (!this.#slow.has(pc)) {
      const known = this.#misses.get(pc) ?? { count: 0, since: retired };
      this.#misses.set(pc, known);
      if (++known.count < OFTEN) return;
      this.#misses.delete(pc);
      // Seldom enough: two pages that get into each other's way for a while, say.
      if (retired - known.since > OFTEN * SELDOM) return;
      this.#slow.add(pc);
    }
    if (owner instanceof Region && owner.live && !owner.calling.has(pc)) this.#release(owner, 1);
  }

  /** Code of `owner` was made for the direct map alone, and has reached elsewhere. */
  strayed(owner: object): void {
    if (!(owner instanceof Region) || !owner.live || ++owner.strays < MAX_STRAYS) return;
    this.#straying.add(owner.entry);
    this.#release(owner, 1);
  }

  /** Is the region to be made for accesses to anywhere? So are all where several have turned out to need it. */
  #isWary({ entry, blocks }: Region): boolean {
    if (this.#straying.has(entry) || this.#straying.size >= MANY_STRAYING) return true;
    return blocks.reduce((sum, { length }) => sum + length, 0) > LARGE;
  }

  /**
   * A region has the block already, and is entered again at its next loop: the way there is interpreted, which is
   * cheaper than to translate all of it once more. True once for an address; what is entered ever so often comes again.
   */
  #isInside(pc: Address): boolean {
    if (this.#insiders.has(pc) || !this.#covered.has(pc)) return false;
    this.#insiders.add(pc);
    return true;
  }

  /** The window could not be opened for the region in that place of the table. */
  withoutWindow(slot: number): void {
    for (const region of this.#regions.values()) {
      if (region.slot !== slot) continue;
      const count = (this.#scattered.get(region.entry) ?? 0) + 1;
      this.#scattered.set(region.entry, count);
      if (count === FEW) this.#release(region, 1);
      return;
    }
  }

  #changed(pc: Address): boolean {
    return (this.#changes.get(pc) ?? 0) >= MAX_CHANGES;
  }

  #isWanted(pc: Address): boolean {
    return !this.#changed(pc) && !this.#memory.userMode && this.#cache.hostAt(pc) === undefined;
  }

  /** The region at `pc`, and in the same module those that are on the way to be as hot. */
  #translate(pc: Address): void {
    const made = [this.#describe(pc)];
    const covered = (at: Address): boolean => made.some(({ graph }) => graph.nodes.has(at));
    try {
      for (const warm of this.#cache.warm(Math.ceil(this.threshold / WARM_PART))) {
        if (made.length >= MAX_AT_ONCE) break;
        if (!covered(warm) && !this.#covered.has(warm) && this.#isWanted(warm))
          made.push(this.#describe(warm));
      }
    } catch (error) {
      // What is there will do.
      if (!isRefusal(error)) throw error;
    }
    try {
      this.#install(made);
    } catch (error) {
      for (const { region } of made) this.#cache.disown(region.blocks);
      throw error;
    }
  }

  #describe(pc: Address): { region: Region; graph: RegionGraph } {
    const region = new Region(pc, this.#slotFor(pc));
    const known = (at: Address): Iterable<Address> => this.#jumps.leadTo(at);
    const graph = new GraphBuilder(this.#cache, this.#data, region, known).build(pc);
    region.blocks = graph.blocks;
    region.nodes = new Set(graph.nodes.keys());
    region.cold = graph.cold;
    region.copies = graph.copies;
    return { region, graph };
  }

  /** Makes one module of the regions. */
  #install(made: readonly { region: Region; graph: RegionGraph }[]): void {
    const { buffer } = this.#memory.wasm;
    const pages = buffer.byteLength / 65536;
    const builder = new ModuleBuilder({ min: 1, max: Math.max(pages, 65536) });
    builder.importTable();
    const type = builder.addType(REGION_SIGNATURE);
    const context = {
      calls: runtimeCalls(builder),
      type,
      data: this.#data,
      bits: this.#bits,
      plain: this.#plainMap(),
      slotOf: (at: Address) => this.#slotFor(at),
    };
    const isOutside = (va: Address): boolean => this.#isOutside(va);
    const registersOutside = this.#registersOutside();
    made.forEach(({ region, graph }, n) => {
      const isSlow = (at: Address): boolean => {
        const slow = this.#slow.has(at);
        if (slow) region.calling.add(at);
        return slow;
      };
      const windowed = (this.#scattered.get(region.entry) ?? 0) < FEW;
      const learns = this.#jumps.learns(region.entry);
      const wary = this.#isWary(region);
      // Execution is where the first of them begins; of the others only the stack is known.
      const outside = registersOutside & (n === 0 ? -1 : 1 << Reg.RSP);
      const pin = (va: Address, most: number) => this.#pin(region, va, most);
      const self = builder.nextFunction;
      const more = { self, isSlow, pin, windowed, learns, wary, isOutside, outside };
      const { spec, entries } = regionFunction(graph, { ...context, ...more });
      region.entries = entries;
      builder.place(region.slot, builder.addFunction(spec));
    });
    const module = new WebAssembly.Module(builder.finish());
    new WebAssembly.Instance(module, { env: { memory: this.#memory.wasm, table: this.table } });
    this.modules++;
    this.#tenants++;
    for (const { region } of made) {
      this.#regions.set(region.entry, region);
      for (const pc of region.nodes) this.#covered.set(pc, (this.#covered.get(pc) ?? 0) + 1);
      this.translated++;
      this.#cache.relook(region.entry, region.slot);
      region.entries.forEach((pc, number) => {
        if (pc === undefined) return;
        // A function's own entry is the better one: it holds the code before its loops too.
        if (number > 0 && this.#entries.has(pc)) return;
        const entry = { slot: region.slot, number };
        this.#entries.set(pc, entry);
        this.#cache.redirect(pc, entry, 0);
      });
    }
  }

  /** What is in the direct map is reached as easily without. */
  #pin({ pinned }: Region, va: Address, most: number): Pinned | undefined {
    return this.#isOutside(va) ? this.#memory.pin(va, most, (page) => pinned.add(page)) : undefined;
  }

  /** A page that translated code reads by its place in linear memory is gone. */
  #unpinned(page: Address): void {
    for (const region of [...this.#regions.values()]) if (region.pinned.has(page)) this.#release(region);
  }

  #isOutside(va: Address): boolean {
    const { plainMap: base, frames } = this.#memory;
    const isPlain = base !== undefined && va >= base && va < base + frames.total * PAGE_SIZE;
    return !isPlain && this.#memory.permOf(va) !== undefined;
  }

  /** General registers that hold an address outside of the direct map now. */
  #registersOutside(): number {
    let set = 0;
    for (let n = 0; n < GENERAL; n++) {
      const at = REGISTERS + n * 8;
      const value = this.#data.getInt32(at + 4, true) * 2 ** 32 + this.#data.getUint32(at, true);
      if (this.#isOutside(value)) set |= 1 << n;
    }
    return set;
  }

  #plainMap(): PlainMap | undefined {
    const { plainMap: base, frames, ramBase, frameFlags } = this.#memory;
    if (base === undefined) return undefined;
    return { base, bytes: frames.total * PAGE_SIZE, ramBase, frameFlags };
  }

  /** The way that memory is reached has changed: what was translated for the old one goes. */
  #dropAll(): void {
    this.#releaseAll();
    this.#data.setInt32(STALE, 1, true);
  }

  #releaseAll(): void {
    for (const region of [...this.#regions.values()]) this.#release(region);
  }

  #release(region: Region, count = AFTER_CHANGE): void {
    region.live = false;
    // If it is running, nobody will tell it when its code changes: it leaves at the first write that may do that.
    this.#data.setInt32(STALE, 1, true);
    this.#regions.delete(region.entry);
    for (const pc of region.nodes) {
      const others = (this.#covered.get(pc) ?? 1) - 1;
      if (others > 0) this.#covered.set(pc, others);
      else this.#covered.delete(pc);
    }
    this.#clear(region.slot, region.slot + 1);
    this.#cache.disown(region.blocks);
    this.#cache.relook(region.entry, 0);
    for (const pc of region.entries) {
      if (pc === undefined || this.#entries.get(pc)?.slot !== region.slot) continue;
      this.#entries.delete(pc);
      this.#cache.redirect(pc, undefined, this.#changed(region.entry) ? 0 : count);
    }
  }

  #slotFor(pc: Address): number {
    let slot = this.#slots.get(pc);
    if (slot === undefined) {
      slot = this.#used++;
      this.#slots.set(pc, slot);
      if (slot >= this.table.length) {
        const { length } = this.table;
        this.table.grow(length);
        this.#clear(length, this.table.length);
      }
    }
    return slot;
  }

  #clear(from: number, to: number): void {
    for (let slot = from; slot < to; slot++) this.table.set(slot, this.#absent);
  }
}
