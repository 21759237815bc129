/** The cache of translated blocks: where they are, how they are linked, when they go. */
import { type Address, PAGE_SIZE } from '../memory/address.ts';
import { GuestFault } from '../memory/fault.ts';
import { CODE_BASE, LOOKUP_BASE, LOOKUP_ENTRIES, LOOKUP_ENTRY_SHIFT, LOOKUP_SLOT } from '../memory/layout.ts';
import type { GuestMemory } from '../memory/space.ts';
import { IrBuilder } from './builder.ts';
import { type BlockExit, setInt64 } from './emit.ts';
import type { Translator } from './ir.ts';
import { opcode } from './ops/table.ts';
import { OP, OP_BYTES } from './state.ts';

export interface Block {
  readonly pc: Address;
  /** Offset of the first operation, and of the first byte after the block's operations and stubs. */
  readonly start: number;
  readonly end: number;
  /** First operation of its instructions: after {@link start} when entries of the block are counted. */
  readonly body: number;
  /** Guest bytes; 0 for a host entry. */
  readonly length: number;
  /** The frames its bytes are in. */
  readonly frames: readonly number[];
  /** Its ways out. */
  readonly exits: readonly BlockExit[];
  /** First byte after the operations proper: stubs follow. */
  readonly opsEnd: number;
  /** Whose it is, when it was only described for a translator: nothing leads to it then. */
  readonly owner?: object;
}

/** A function in the table, and the number of the place in it to begin at. */
export interface Entry {
  readonly slot: number;
  readonly number: number;
}

/** What a translator of hot code wants of the cache. */
export interface Translations {
  /** Entries of a block before it is reported as hot; 0: entries are not counted. */
  readonly threshold: number;
  /** There is translated code. */
  readonly any: boolean;
  /** Where in the table a function is that begins at an address, 0 for nowhere. */
  slotAt(pc: Address): number;
  /** The translated code that can be entered there. */
  entryAt(pc: Address): Entry | undefined;
  /** All blocks are gone. */
  flushed(): void;
  /** An operation of a block that was described for `owner` has made an access that the TLB does not have. */
  missed(owner: object, pc: Address, retired: number): void;
  /** An operation of such a block, made for the direct map alone, has made an access to elsewhere. */
  strayed(owner: object): void;
  /** As {@link BlockCache.jumped}. */
  jumped(owner: object | undefined, pc: Address, target: Address, calls: boolean): void;
  /** Bytes of a block that was described for `owner` have changed, or are `gone` with their page. */
  dropped(owner: object, gone: boolean): void;
}

const NO_TRANSLATIONS: Translations = {
  threshold: 0,
  any: false,
  slotAt: () => 0,
  entryAt: () => undefined,
  flushed: () => {},
  missed: () => {},
  strayed: () => {},
  jumped: () => {},
  dropped: () => {},
};

/** A block goes on past branches that are not taken; longer ones would be copied too often. */
const MAX_INSTRUCTIONS = 48;
/** Room for the longest block and its stubs. */
const BLOCK_ROOM = MAX_INSTRUCTIONS * 16 * OP_BYTES;
const STEP_ROOM = 256 * OP_BYTES;
/** No block begins there in practice; if one does, the stub that empty entries name finds it. */
const EMPTY_PC = 1;

/** Blocks that are looked at whenever a module of hot code is made. */
const MAX_LOOKED_AT = 8192;

const STUB = opcode('stub');
const FORWARD = opcode('forward');
const GONE = opcode('gone');
const HOST = opcode('host');
const COUNT = opcode('count');
const ENTER = opcode('enter');
const JUMP_REGISTER = opcode('jmp.r');
const CALL_REGISTER = opcode('call.r');
const NOP = opcode('nop');

export class BlockCache {
  /** Rises whenever everything is dropped: offsets from before mean nothing then. */
  generation = 0;
  /** Blocks translated since the start. */
  translated = 0;
  readonly #memory: GuestMemory;
  readonly #translator: Translator;
  readonly #builder: IrBuilder;
  readonly #data: DataView;
  readonly #end: number;
  readonly #hosts = new Map<Address, number>();
  readonly #blocks = new Map<Address, Block>();
  readonly #byFrame = new Map<number, Set<Block>>();
  /** In the order of their offsets. */
  readonly #ordered: Block[] = [];
  #step: Block | undefined;
  /** Set by a translator before anything runs. */
  translations: Translations = NO_TRANSLATIONS;
  #at = 0;
  #fetchPage = Number.NaN;
  #fetchHost = 0;
  readonly #bytes: Uint8Array;

  constructor(memory: GuestMemory, translator: Translator) {
    this.#memory = memory;
    this.#translator = translator;
    this.#builder = new IrBuilder(memory.wasm.buffer, translator.bits);
    this.#data = new DataView(memory.wasm.buffer);
    this.#bytes = new Uint8Array(memory.wasm.buffer);
    this.#end = CODE_BASE + memory.codeBytes - STEP_ROOM;
    this.flush();
  }

  /** An operation that leaves at once. */
  readonly idle = CODE_BASE;

  /** The block at `pc`, translated now if need be. @throws GuestFault when its first bytes cannot be fetched */
  get(pc: Address): Block {
    return this.#blocks.get(pc) ?? this.#translate(pc);
  }

  /** A block of one instruction that links to nothing; good until the next call. */
  single(pc: Address): Block {
    const limits = { instructions: 1, end: this.#end + STEP_ROOM, stopsAt: () => false };
    this.#step = this.#build(pc, this.#end, limits, 'alone');
    return this.#step;
  }

  /** The block whose operations hold `op`. */
  find(op: number): Block {
    if (op >= this.#end && this.#step !== undefined) return this.#step;
    let low = 0;
    let high = this.#ordered.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#ordered[middle].start <= op) low = middle;
      else high = middle - 1;
    }
    return this.#ordered[low];
  }

  /** Guest address that execution has reached when the next operation is `op`, the first of a block or a stub. */
  pcOf(op: number): Address {
    for (;;) {
      const code = this.#data.getUint16(op, true);
      if (code === STUB) return this.#imm(op);
      if (code !== FORWARD) return this.find(op).pc;
      op = this.#data.getUint32(op + OP.TARGET, true);
    }
  }

  /** Resolves the stub at `op`. @returns offset of the operation to go on with */
  link(op: number): number {
    const pc = this.pcOf(op);
    const from = this.#branchTo(op);
    const { generation } = this;
    const block = this.get(pc);
    const free = this.#data.getUint8(from + OP.SCALE) === 1;
    if (from !== 0 && free) {
      if (generation === this.generation) this.#data.setUint32(from + OP.TARGET, block.body, true);
      return block.body;
    }
    if (generation === this.generation && op < this.#end) {
      if (from !== 0) this.#data.setUint32(from + OP.TARGET, block.start, true);
      else {
        this.#data.setUint16(op, FORWARD, true);
        this.#data.setUint16(op + OP.COUNT, 0, true);
        // Whoever came here has looked at the budget if that was due.
        this.#data.setUint8(op + OP.SCALE, 1);
        this.#data.setUint32(op + OP.TARGET, block.start, true);
      }
    }
    return block.start;
  }

  /** The branch that leads to a stub, 0 for none that can be led elsewhere. */
  #branchTo(op: number): number {
    if (this.#data.getUint16(op, true) === GONE) return 0;
    const from = this.#data.getUint32(op + OP.TARGET, true);
    const code = this.#data.getUint16(from, true);
    // A call that changed its own bytes has been dropped with them.
    return code === GONE || code === FORWARD ? 0 : from;
  }

  /** Describes the code at `pc` up to an address where it `stops`; `owner` undefined: only until the next call. */
  describe(pc: Address, stops: (pc: Address) => boolean, owner: object | undefined): Block {
    if (this.#at + BLOCK_ROOM > this.#end) throw new RangeError('no room for operations');
    const known = this.#blocks.get(pc);
    const block =
      known !== undefined && known.length > 0 && !this.#stopsInside(known, stops)
        ? this.#copyOf(known)
        : this.#described(pc, stops);
    if (owner === undefined) return block;
    const owned = { ...block, owner };
    this.#at = block.end;
    this.#ordered.push(owned);
    this.translated++;
    this.#register(owned);
    return owned;
  }

  #described(pc: Address, stops: (pc: Address) => boolean): Block {
    const limits = {
      instructions: MAX_INSTRUCTIONS,
      end: this.#at + BLOCK_ROOM,
      stopsAt: (at: Address) => this.#hosts.has(at) || stops(at),
    };
    return this.#build(pc, this.#at, limits, 'described');
  }

  #stopsInside({ pc, body, opsEnd }: Block, stops: (pc: Address) => boolean): boolean {
    let last = 0;
    for (let op = body; op < opsEnd; op += OP_BYTES) {
      const offset = this.#data.getUint16(op + OP.PC, true);
      if (offset !== last && stops(pc + offset)) return true;
      last = offset;
    }
    return false;
  }

  /** The operations of a block once more, as they were before anything was linked or counted. */
  #copyOf(block: Block): Block {
    const by = this.#at - block.body;
    this.#bytes.copyWithin(this.#at, block.body, block.opsEnd);
    const opsEnd = block.opsEnd + by;
    const last = opsEnd - OP_BYTES;
    // It counts how often it has told where it leads.
    if (this.#data.getUint16(last, true) === CALL_REGISTER) this.#data.setUint8(last + OP.D, 0);
    const exits = block.exits.map(({ op, pc }) => ({ op: op + by, pc }));
    let end = opsEnd;
    for (const { op, pc } of exits) {
      this.#writeStub(end, pc, op);
      this.#data.setUint32(op + OP.TARGET, end, true);
      end += OP_BYTES;
    }
    return { ...block, start: this.#at, body: this.#at, end, exits, opsEnd };
  }

  /** True when the code there has been executed: its frame holds blocks already. */
  hasRun(pc: Address): boolean {
    const pfn = this.#memory.pfnOf(pc);
    return pfn !== undefined && this.#byFrame.has(pfn);
  }

  /** How often the block at `pc` has been entered, as far as that was counted; negative when it is longer than that, or no code. */
  entered(pc: Address, bytes: number): number {
    const block = this.#blocks.get(pc);
    if (this.#hosts.has(pc) || (block !== undefined && block.length > bytes)) return -1;
    const { threshold } = this.translations;
    if (block === undefined) return 0;
    const counts = this.#data.getUint16(block.start, true) === COUNT;
    return counts ? threshold - this.#data.getInt32(block.start + OP.IMM32, true) : threshold;
  }

  /**
   * Addresses of blocks that were entered at least so often, but not yet often enough; the most entered first. Of very many
   * blocks the latest are looked at.
   */
  warm(entered: number): Address[] {
    const most = this.translations.threshold - entered;
    const found: { pc: Address; left: number }[] = [];
    for (const { pc, start, owner } of this.#ordered.slice(-MAX_LOOKED_AT)) {
      // Of a block that was dropped another operation is left.
      if (owner !== undefined || this.#data.getUint16(start, true) !== COUNT) continue;
      const left = this.#data.getInt32(start + OP.IMM32, true);
      if (left > 0 && left <= most) found.push({ pc, left });
    }
    return found.sort((a, b) => a.left - b.left).map(({ pc }) => pc);
  }

  /** Forgets blocks that were described for an owner. */
  disown(blocks: readonly Block[]): void {
    for (const block of blocks) for (const pfn of block.frames) this.#byFrame.get(pfn)?.delete(block);
  }

  /** Makes executions of the block at `pc`, if there is one, go to its translated code; without it they are counted. */
  redirect(pc: Address, entry: Entry | undefined, count = this.translations.threshold): void {
    const block = this.#blocks.get(pc);
    if (block === undefined || block.body === block.start) return;
    this.#writeEntry(block.start, entry, count);
  }

  /** Enters a block into the lookup cache. */
  remember(block: Block): void {
    const at = this.#lookup(block.pc);
    // What was there moves to the second place.
    this.#bytes.copyWithin(at ^ (1 << LOOKUP_ENTRY_SHIFT), at, at + (1 << LOOKUP_ENTRY_SHIFT));
    setInt64(this.#data, at, block.pc);
    this.#data.setUint32(at + 8, block.start, true);
    this.#data.setUint32(at + LOOKUP_SLOT, this.translations.slotAt(block.pc), true);
  }

  /** Corrects where the lookup cache says that the translation of an address is. */
  relook(pc: Address, slot: number): void {
    const first = this.#lookup(pc);
    for (const at of [first, first ^ (1 << LOOKUP_ENTRY_SHIFT)]) {
      if (this.#imm(at - OP.IMM) === pc) this.#data.setUint32(at + LOOKUP_SLOT, slot, true);
    }
  }

  /** The operation `op` makes an access that the TLB does not have. */
  missed(op: number, retired: number): void {
    if (!this.translations.any) return;
    const block = this.find(op);
    if (block.owner === undefined) return;
    this.translations.missed(block.owner, block.pc + this.#data.getUint16(op + OP.PC, true), retired);
  }

  /** The operation `op` of translated code has made an access to elsewhere than the direct map. */
  strayed(op: number): void {
    const { owner } = this.find(op);
    if (owner !== undefined) this.translations.strayed(owner);
  }

  /** The operation `op`, if it is an indirect jump or call, has led to an address that was not known to it. */
  jumped(op: number, target: Address): void {
    const code = this.#data.getUint16(op, true);
    if (this.translations.threshold === 0 || (code !== JUMP_REGISTER && code !== CALL_REGISTER)) return;
    const { owner, pc } = this.find(op);
    this.translations.jumped(
      owner,
      pc + this.#data.getUint16(op + OP.PC, true),
      target,
      code === CALL_REGISTER,
    );
  }

  hostAt(pc: Address): number | undefined {
    return this.#hosts.get(pc);
  }

  addHost(pc: Address, id: number): void {
    this.#hosts.set(pc, id);
    this.#dropAround(pc);
  }

  removeHost(pc: Address): void {
    if (this.#hosts.delete(pc)) this.#dropAround(pc);
  }

  /** Drops everything. Not while operations run. */
  flush(): void {
    for (const pfn of this.#byFrame.keys()) this.#memory.unmarkCode(pfn);
    this.#blocks.clear();
    this.#byFrame.clear();
    this.#ordered.length = 0;
    this.generation++;
    this.translations.flushed();
    this.#at = CODE_BASE + OP_BYTES;
    this.#writeStub(CODE_BASE, EMPTY_PC, 0);
    setInt64(this.#data, LOOKUP_BASE, EMPTY_PC);
    this.#data.setUint32(LOOKUP_BASE + 8, CODE_BASE, true);
    this.#data.setUint32(LOOKUP_BASE + LOOKUP_SLOT, 0, true);
    const size = LOOKUP_ENTRIES << LOOKUP_ENTRY_SHIFT;
    for (let done = 1 << LOOKUP_ENTRY_SHIFT; done < size; done *= 2) {
      this.#bytes.copyWithin(LOOKUP_BASE + done, LOOKUP_BASE, LOOKUP_BASE + done);
    }
  }

  /**
   * Bytes of a frame change: drops the blocks made from them. `running` is the operation that is being
   * executed, or 0: when its own block goes, execution leaves it after the current instruction.
   */
  changed(pfn: number, offset: number, length: number, running: number): void {
    const blocks = this.#byFrame.get(pfn);
    if (blocks === undefined) return;
    for (const block of [...blocks]) {
      // The part of the block in this frame: from its start, or from the top of the page it runs into.
      // One frame may be mapped twice in a row: the block's end is in it then, too.
      const runsOver = (block.pc & 4095) + block.length > PAGE_SIZE;
      const isAtTop = block.frames[0] !== pfn || (runsOver && block.frames.length === 1);
      const first = isAtTop ? 0 : block.pc & 4095;
      const last = runsOver ? PAGE_SIZE : first + block.length;
      if (offset < last && offset + length > first) {
        if (running >= block.start && running < block.end) this.#leaveAfter(running, block);
        if (block.owner !== undefined) this.translations.dropped(block.owner, length >= PAGE_SIZE);
        else this.#drop(block);
      }
    }
    if (blocks.size === 0) {
      this.#byFrame.delete(pfn);
      this.#memory.unmarkCode(pfn);
    }
  }

  #translate(pc: Address): Block {
    if (this.#at + BLOCK_ROOM > this.#end) this.flush();
    const host = this.#hosts.get(pc);
    const block = host === undefined ? this.#guestBlock(pc) : this.#hostBlock(pc, host);
    this.#at = block.end;
    this.#blocks.set(pc, block);
    this.#ordered.push(block);
    this.translated++;
    return block;
  }

  #hostBlock(pc: Address, id: number): Block {
    const at = this.#at;
    this.#writeStub(at, id, 0);
    this.#data.setUint16(at, HOST, true);
    const end = at + OP_BYTES;
    return { pc, start: at, body: at, end, length: 0, frames: [], exits: [], opsEnd: end };
  }

  #guestBlock(pc: Address): Block {
    const limits = {
      instructions: MAX_INSTRUCTIONS,
      end: this.#at + BLOCK_ROOM,
      stopsAt: (at: Address) => this.#hosts.has(at),
    };
    const block = this.#build(pc, this.#at, limits, 'linked');
    this.#register(block);
    return block;
  }

  #register(block: Block): void {
    for (const pfn of block.frames) {
      let blocks = this.#byFrame.get(pfn);
      if (blocks === undefined) {
        blocks = new Set();
        this.#byFrame.set(pfn, blocks);
        this.#memory.markCode(pfn);
      }
      blocks.add(block);
    }
  }

  #framesOf(pc: Address, length: number): number[] {
    const frames: number[] = [];
    for (const at of [pc, pc + Math.max(length - 1, 0)]) {
      const pfn = this.#memory.pfnOf(at);
      if (pfn !== undefined && !frames.includes(pfn)) frames.push(pfn);
    }
    return frames;
  }

  #build(
    pc: Address,
    at: number,
    limits: { instructions: number; end: number; stopsAt: (pc: Address) => boolean },
    kind: 'linked' | 'described' | 'alone',
  ): Block {
    const builder = this.#builder;
    const linked = kind === 'linked';
    const counted = linked && this.translations.threshold > 0;
    const body = counted ? at + OP_BYTES : at;
    if (counted) this.#writeEntry(at, this.translations.entryAt(pc), this.translations.threshold);
    builder.start(pc, body, limits);
    // Of a page that no block is kept of nobody is told what becomes of it.
    this.#fetchPage = Number.NaN;
    try {
      const fetch = kind === 'described' ? this.#fetchSeen : this.#fetch;
      this.#translator.translate(fetch, pc, builder, (va, to, from, end) => {
        // The first byte finds the page, or faults.
        to[from] = fetch(va);
        const at = this.#fetchHost + (va - this.#fetchPage);
        for (let n = from + 1; n < end; n++) to[n] = this.#bytes[at + n - from];
      });
      if (!builder.ended) builder.fallThrough();
    } catch (error) {
      // What could not be fetched faults when execution gets there.
      if (!(error instanceof GuestFault) || builder.instructions === 0) throw error;
      builder.fallThrough();
    }
    const exits = [...builder.emit.exits];
    const opsEnd = builder.emit.at;
    let end = opsEnd;
    for (const exit of exits) {
      const free = this.#data.getUint8(exit.op + OP.SCALE) === 1;
      const known = linked ? this.#blocks.get(exit.pc) : undefined;
      const target = linked && exit.pc === pc ? at : free ? known?.body : known?.start;
      if (target === undefined) this.#writeStub(end, exit.pc, exit.op);
      builder.emit.setTarget(exit.op, target ?? end);
      if (target === undefined) end += OP_BYTES;
    }
    const length = builder.next - pc;
    return { pc, start: at, body, end, length, frames: this.#framesOf(pc, length), exits, opsEnd };
  }

  /** The operation before a block's own: counts, or goes to translated code. */
  #writeEntry(at: number, entry: Entry | undefined, count: number): void {
    this.#bytes.fill(0, at, at + OP_BYTES);
    const code = entry !== undefined ? ENTER : count > 0 ? COUNT : NOP;
    this.#data.setUint16(at, code, true);
    this.#data.setInt32(at + OP.IMM32, entry?.slot ?? count, true);
    this.#data.setInt32(at + OP.DISP32, entry?.number ?? 0, true);
  }

  readonly #fetch = (va: Address): number => {
    const off = va - this.#fetchPage;
    if (off >= 0 && off < PAGE_SIZE) return this.#bytes[this.#fetchHost + off];
    const host = this.#memory.cpuAccess(va, 1, 'execute');
    this.#fetchPage = va - (va & 4095);
    this.#fetchHost = host - (va & 4095);
    return this.#bytes[host];
  };

  /** For code that was not reached yet: looking at it must not bring pages into being. */
  readonly #fetchSeen = (va: Address): number => {
    const off = va - this.#fetchPage;
    if (!(off >= 0 && off < PAGE_SIZE) && !this.hasRun(va))
      throw new GuestFault(va, 'execute', 1, 'unmapped');
    return this.#fetch(va);
  };

  #writeStub(at: number, pc: number, from: number): void {
    const data = this.#data;
    this.#bytes.fill(0, at, at + OP_BYTES);
    data.setUint16(at, STUB, true);
    setInt64(data, at + OP.IMM, pc);
    data.setUint32(at + OP.TARGET, from, true);
  }

  #imm(op: number): number {
    return this.#data.getInt32(op + OP.IMM + 4, true) * 4294967296 + this.#data.getUint32(op + OP.IMM, true);
  }

  #lookup(pc: Address): number {
    const hash = (pc ^ ((pc | 0) >>> 12)) & (LOOKUP_ENTRIES - 1);
    return LOOKUP_BASE + (hash << LOOKUP_ENTRY_SHIFT);
  }

  /**
   * Whatever leads to the block finds a stub at its start, and from there the new translation. Only the code of the operation
   * changes: it may be the one that is running, which has yet to read its operands.
   */
  #drop(block: Block): void {
    this.#blocks.delete(block.pc);
    this.#data.setUint16(block.start, GONE, true);
    this.#data.setUint16(block.body, GONE, true);
    const first = this.#lookup(block.pc);
    for (const at of [first, first ^ (1 << LOOKUP_ENTRY_SHIFT)]) {
      if (this.#data.getUint32(at + 8, true) !== block.start) continue;
      setInt64(this.#data, at, EMPTY_PC);
      this.#data.setUint32(at + 8, CODE_BASE, true);
      this.#data.setUint32(at + LOOKUP_SLOT, 0, true);
    }
    for (const pfn of block.frames) this.#byFrame.get(pfn)?.delete(block);
  }

  /** Makes the instruction after that of `op` a way out to a fresh translation. */
  #leaveAfter(op: number, block: Block): void {
    const data = this.#data;
    const offset = data.getUint16(op + OP.PC, true);
    let next = op + OP_BYTES;
    while (next < block.end && data.getUint16(next + OP.PC, true) === offset) next += OP_BYTES;
    if (next >= block.end || data.getUint16(next, true) === STUB) return;
    if (this.#at + OP_BYTES > this.#end) return;
    const stub = this.#at;
    this.#at += OP_BYTES;
    this.#writeStub(stub, block.pc + data.getUint16(next + OP.PC, true), 0);
    data.setUint16(next, opcode('goto'), true);
    data.setUint8(next + OP.SCALE, 1);
    data.setUint32(next + OP.TARGET, stub, true);
  }

  /** Kernels add entries by the thousand: only the blocks of that frame are looked at. */
  #dropAround(pc: Address): void {
    const exact = this.#blocks.get(pc);
    if (exact !== undefined) this.#drop(exact);
    const pfn = this.#memory.pfnOf(pc);
    const blocks = pfn === undefined ? undefined : this.#byFrame.get(pfn);
    if (blocks === undefined) return;
    for (const block of [...blocks]) {
      if (pc < block.pc || pc >= block.pc + block.length) continue;
      if (block.owner !== undefined) this.translations.dropped(block.owner, true);
      else this.#drop(block);
    }
  }
}
