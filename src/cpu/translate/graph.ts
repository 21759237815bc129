/**
 * The flow graph of a region: the code that direct branches lead to from one address, in blocks that end where another
 * begins. Only code on pages that have been executed is looked at.
 */
import type { Address } from '../../memory/address.ts';
import { GuestFault } from '../../memory/fault.ts';
import type { Block, BlockCache } from '../blocks.ts';
import { opcode } from '../ops/table.ts';
import { OP, OP_BYTES } from '../state.ts';

/** One block of a region. A block goes on past branches that are not taken. */
export interface Node {
  /** Not a number where there is no code. */
  readonly pc: Address;
  readonly block: Block;
  /** First byte after its last operation. */
  readonly opsEnd: number;
  /** Where the branches of its operations lead. */
  readonly targets: ReadonlyMap<number, Address>;
  /** Address after a call that ends the block. */
  readonly returnsTo: Address | undefined;
  /** It ends with a jump to an address that is worked out. */
  readonly jumps: boolean;
  /** Nodes that execution goes on at, in the order of the branches; the one it falls into is last. */
  readonly next: Node[];
  /** The nodes of its function, by address: where direct branches lead. */
  readonly scope: ReadonlyMap<Address, Node>;
  /** Copies of small functions that its call can go on in, each by its first node. */
  readonly callees: Node[];
  /** All that its call is known to lead to is among them. */
  knowsCallees: boolean;
  /** Of the copy of a function: where its caller goes on. */
  readonly back: Node | undefined;
}

/** What is being made of one function: the region's own, or a copy of one that it calls. */
interface Scope {
  readonly leaders: Set<Address>;
  readonly found: Map<Address, Node>;
  readonly back: Node | undefined;
}

export interface RegionGraph {
  readonly entry: Node;
  /** By address. */
  readonly nodes: ReadonlyMap<Address, Node>;
  /** All blocks described on the way; the cache tells the owner when one changes. */
  readonly blocks: readonly Block[];
  /** Functions that it calls, and that have hardly run. */
  readonly cold: ReadonlySet<Address>;
  /** Callers of it may have copies. */
  readonly copies: boolean;
  /**
   * A node without code between all indirect jumps and all they are known to lead to. One for the region: compilers repeat
   * the jump of a switch at the end of its cases, and loops of such jumps have one header in this way.
   */
  readonly switches: Node | undefined;
}

/** Larger functions are translated in part: what does not fit is a way out, and hot parts of it a region of their own. */
const MAX_NODES = 400;
export const MAX_BYTES = 16384;

/** A function is copied to where it is called if it is as small as that, in bytes, and has no loops. */
const MAX_COPY = 144;
/** Bytes of all copies in a region, and how deep they call each other. */
const MAX_COPIES = 768;
const MAX_COPY_DEPTH = 2;
/** Copies for one call by way of a pointer. */
export const MAX_CALLEES = 4;
const MAX_COPY_NODES = 10;
/** Code that has run less often is not copied. */
const LEAST_ENTERED = 8;

const CALL = opcode('call');
const CALL_REGISTER = opcode('call.r');
export const JUMP_REGISTER = opcode('jmp.r');
const LEAVE = opcode('leave');
const RETURNS: ReadonlySet<number> = new Set([opcode('ret'), opcode('ret.i')]);

export class GraphBuilder {
  readonly #cache: BlockCache;
  readonly #data: DataView;
  readonly #owner: object;
  readonly #own: Scope = { leaders: new Set(), found: new Map(), back: undefined };
  readonly #blocks: Block[] = [];
  readonly #jumpsTo: (pc: Address) => Iterable<Address>;
  #bytes = 0;
  #copied = 0;
  /** Functions that were looked at and are not copied. */
  readonly #refused = new Set<Address>();
  readonly #cold = new Set<Address>();

  /** @param jumpsTo where the indirect jump or call at an address is known to have led */
  constructor(cache: BlockCache, data: DataView, owner: object, jumpsTo: (pc: Address) => Iterable<Address>) {
    this.#cache = cache;
    this.#data = data;
    this.#owner = owner;
    this.#jumpsTo = jumpsTo;
  }

  /** @throws GuestFault when nothing can be fetched at `entry`, RangeError without room for operations */
  build(entry: Address): RegionGraph {
    const { found } = this.#own;
    try {
      this.#follow(entry, this.#own);
      this.#split(this.#own);
      this.#connect(found);
      for (const node of found.values()) this.#copyCallees(node, 0);
    } catch (error) {
      this.#cache.disown(this.#blocks);
      throw error;
    }
    return {
      entry: found.get(entry)!,
      nodes: found,
      blocks: this.#blocks,
      cold: this.#cold,
      copies:
        sizeOf([...found.values()]) <= MAX_COPY && [...found.values()].every((node) => this.#isPlain(node)),
      switches: this.#switches(),
    };
  }

  #connect(found: ReadonlyMap<Address, Node>): void {
    for (const node of found.values()) {
      for (const target of goesOnAt(node, this.#data)) {
        const next = found.get(target);
        if (next !== undefined) node.next.push(next);
      }
    }
  }

  // ---- copies of small functions ----

  /** Lets the call at the end of a node go on in copies of what it calls, where those are small and often called. */
  #copyCallees(node: Node, depth: number): void {
    const { returnsTo, opsEnd, scope } = node;
    const back = returnsTo === undefined ? undefined : scope.get(returnsTo);
    if (back === undefined || depth >= MAX_COPY_DEPTH) return;
    const last = opsEnd - OP_BYTES;
    const direct = node.targets.get(last);
    const targets = direct === undefined ? this.#leadsTo(node) : [direct];
    if (targets.length > MAX_CALLEES) return;
    for (const target of targets) {
      const copy = target === returnsTo ? undefined : this.#copy(target, back, depth);
      if (copy !== undefined) node.callees.push(copy);
    }
    node.knowsCallees = node.callees.length === targets.length;
    if (node.callees.length === 0) return;
    // What comes back does so by way of the copy.
    if (direct !== undefined) node.next.pop();
    node.next.push(...node.callees);
  }

  #copy(pc: Address, back: Node, depth: number): Node | undefined {
    if (this.#copied >= MAX_COPIES || this.#refused.has(pc)) return undefined;
    const entered = this.#cache.entered(pc, MAX_COPY);
    if (entered >= 0 && entered < Math.min(this.#cache.translations.threshold, LEAST_ENTERED)) {
      this.#cold.add(pc);
      return undefined;
    }
    if (entered < 0 || !this.#cache.hasRun(pc)) return undefined;
    const scope: Scope = { leaders: new Set(), found: new Map(), back };
    const before = this.#blocks.length;
    const bytes = this.#bytes;
    const described = this.#tryDescribe(pc, scope);
    const nodes = [...scope.found.values()];
    const size = sizeOf(nodes);
    this.#bytes = bytes;
    if (!described || size > MAX_COPY || !nodes.every((node) => this.#isPlain(node))) {
      this.#cache.disown(this.#blocks.splice(before));
      this.#refused.add(pc);
      return undefined;
    }
    this.#copied += size;
    this.#connect(scope.found);
    for (const node of nodes) if (this.#returns(node)) node.next.push(back);
    for (const node of nodes) this.#copyCallees(node, depth + 1);
    return scope.found.get(pc);
  }

  /** False where there is no room for a copy: its caller does without. */
  #tryDescribe(pc: Address, scope: Scope): boolean {
    try {
      this.#follow(pc, scope);
      this.#split(scope);
      return true;
    } catch (error) {
      if (error instanceof GuestFault || error instanceof RangeError) return false;
      throw error;
    }
  }

  #returns({ opsEnd }: Node): boolean {
    return RETURNS.has(this.#data.getUint16(opsEnd - OP_BYTES, true));
  }

  /** Nothing in it goes back, or moves the stack pointer by other than constants as frames do. */
  #isPlain(node: Node): boolean {
    if (node.jumps || goesOnAt(node, this.#data).some((target) => target <= node.pc)) return false;
    for (let op = node.block.start; op < node.opsEnd; op += OP_BYTES)
      if (this.#data.getUint16(op, true) === LEAVE) return false;
    return true;
  }

  // ---- indirect jumps ----

  #switches(): Node | undefined {
    const jumping = [...this.#own.found.values()].filter(({ jumps }) => jumps);
    const targets = new Set(jumping.flatMap((node) => this.#jumpTargets(node)));
    const next = [...targets].flatMap((pc) => this.#own.found.get(pc) ?? []);
    if (next.length === 0) return undefined;
    // It stands for the last operation of a node that jumps.
    const node: Node = { ...jumping[0], pc: Number.NaN, targets: new Map(), jumps: false, next };
    for (const each of jumping) each.next.push(node);
    return node;
  }

  #jumpTargets(node: Node): Address[] {
    return node.jumps ? this.#leadsTo(node) : [];
  }

  /** Where the jump or call at the end of a node is known to have led. */
  #leadsTo({ pc, opsEnd }: Node): Address[] {
    return [...this.#jumpsTo(pc + this.#data.getUint16(opsEnd - OP_BYTES + OP.PC, true))];
  }

  // ---- blocks ----

  #follow(entry: Address, scope: Scope): void {
    const work = [entry];
    scope.leaders.add(entry);
    for (let pc = work.pop(); pc !== undefined; pc = work.pop()) {
      try {
        const node = this.#describe(pc, scope);
        for (const target of goesOnAt(node, this.#data)) if (this.#isWanted(target, scope)) work.push(target);
        for (const target of this.#jumpTargets(node)) if (this.#isWanted(target, scope)) work.push(target);
      } catch (error) {
        if (pc === entry || !(error instanceof GuestFault)) throw error;
        // Nothing can be fetched there: the interpreter finds out when execution gets that far.
        scope.leaders.delete(pc);
      }
    }
  }

  #describe(pc: Address, scope: Scope): Node {
    const stops = (at: Address): boolean => at !== pc && scope.leaders.has(at);
    const node = nodeOf(this.#cache.describe(pc, stops, this.#owner), this.#data, scope);
    this.#blocks.push(node.block);
    scope.found.set(pc, node);
    this.#bytes += node.block.length;
    return node;
  }

  /** Makes the target a node of its own, if it may be one and is not yet. */
  #isWanted(target: Address, { leaders, back }: Scope): boolean {
    if (leaders.has(target) || leaders.size >= MAX_NODES || this.#bytes > MAX_BYTES) return false;
    // More than that is not copied.
    if (back !== undefined && leaders.size >= MAX_COPY_NODES) return false;
    if (this.#cache.hostAt(target) !== undefined || !this.#cache.hasRun(target)) return false;
    leaders.add(target);
    return true;
  }

  /** Blocks that were described before a leader inside them was known are described again, up to it. */
  #split(scope: Scope): void {
    const leaders = [...scope.leaders].sort((a, b) => a - b);
    for (const node of [...scope.found.values()].sort((a, b) => a.pc - b.pc)) {
      const { pc, length } = node.block;
      let low = 0;
      let high = leaders.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (leaders[middle] <= pc) low = middle + 1;
        else high = middle;
      }
      if (low < leaders.length && leaders[low] < pc + length) this.#describe(pc, scope);
    }
  }
}

const sizeOf = (nodes: readonly Node[]): number => nodes.reduce((sum, { block }) => sum + block.length, 0);

function nodeOf(block: Block, data: DataView, { found, back }: Scope): Node {
  const { exits, opsEnd } = block;
  const last = opsEnd - OP_BYTES;
  const code = data.getUint16(last, true);
  const calls = code === CALL || code === CALL_REGISTER;
  return {
    pc: block.pc,
    block,
    opsEnd,
    targets: new Map(exits.map(({ op, pc }) => [op, pc])),
    returnsTo: calls ? block.pc + block.length : undefined,
    jumps: code === JUMP_REGISTER,
    next: [],
    scope: found,
    callees: [],
    knowsCallees: false,
    back,
  };
}

/** Targets of branches but not of calls, and the address after a call. */
function goesOnAt(node: Node, data: DataView): Address[] {
  const targets: Address[] = [];
  for (const [op, pc] of node.targets) if (data.getUint16(op + OP.CODE, true) !== CALL) targets.push(pc);
  if (node.returnsTo !== undefined) targets.push(node.returnsTo);
  return targets;
}
