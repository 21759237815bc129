/**
 * The flow graph of a region: the code that direct branches lead to from one address, in blocks that end where another
 * begins. Only code on pages that have been executed is looked at.
 */
import type { Address } from '../../memory/address.ts';
import { GuestFault } from '../../memory/fault.ts';
import type { Block, BlockCache, Description } from '../blocks.ts';
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
}

export interface RegionGraph {
  readonly entry: Node;
  /** By address. */
  readonly nodes: ReadonlyMap<Address, Node>;
  /** All blocks described on the way; the cache tells the owner when one changes. */
  readonly blocks: readonly Block[];
  readonly instructions: number;
  /**
   * A node without code between all indirect jumps and all they are known to lead to. One for the region: compilers repeat
   * the jump of a switch at the end of its cases, and loops of such jumps have one header in this way.
   */
  readonly switches: Node | undefined;
}

/** Larger functions are translated in part: what does not fit is a way out, and hot parts of it a region of their own. */
const MAX_NODES = 400;
export const MAX_BYTES = 16384;

const CALL = opcode('call');
const CALL_REGISTER = opcode('call.r');
export const JUMP_REGISTER = opcode('jmp.r');

export class GraphBuilder {
  readonly #cache: BlockCache;
  readonly #data: DataView;
  readonly #owner: object;
  readonly #leaders = new Set<Address>();
  readonly #found = new Map<Address, Node>();
  readonly #blocks: Block[] = [];
  readonly #jumpsTo: (pc: Address) => Iterable<Address>;
  #bytes = 0;

  /** @param jumpsTo where the indirect jump at an address is known to have led */
  constructor(cache: BlockCache, data: DataView, owner: object, jumpsTo: (pc: Address) => Iterable<Address>) {
    this.#cache = cache;
    this.#data = data;
    this.#owner = owner;
    this.#jumpsTo = jumpsTo;
  }

  /** @throws GuestFault when nothing can be fetched at `entry`, RangeError without room for operations */
  build(entry: Address): RegionGraph {
    try {
      this.#follow(entry);
      this.#split();
    } catch (error) {
      this.#cache.disown(this.#blocks);
      throw error;
    }
    for (const node of this.#found.values()) {
      for (const target of goesOnAt(node, this.#data)) {
        const next = this.#found.get(target);
        if (next !== undefined) node.next.push(next);
      }
    }
    return {
      entry: this.#found.get(entry)!,
      nodes: this.#found,
      blocks: this.#blocks,
      instructions: this.#bytes,
      switches: this.#switches(),
    };
  }

  #switches(): Node | undefined {
    const jumping = [...this.#found.values()].filter(({ jumps }) => jumps);
    const targets = new Set(jumping.flatMap((node) => this.#jumpTargets(node)));
    const next = [...targets].flatMap((pc) => this.#found.get(pc) ?? []);
    if (next.length === 0) return undefined;
    // It stands for the last operation of a node that jumps.
    const node: Node = { ...jumping[0], pc: Number.NaN, targets: new Map(), jumps: false, next };
    for (const each of jumping) each.next.push(node);
    return node;
  }

  #jumpTargets({ pc, opsEnd, jumps }: Node): Address[] {
    return jumps ? [...this.#jumpsTo(pc + this.#data.getUint16(opsEnd - OP_BYTES + OP.PC, true))] : [];
  }

  #follow(entry: Address): void {
    const work = [entry];
    this.#leaders.add(entry);
    for (let pc = work.pop(); pc !== undefined; pc = work.pop()) {
      try {
        const node = this.#describe(pc);
        for (const target of goesOnAt(node, this.#data)) if (this.#isWanted(target)) work.push(target);
        for (const target of this.#jumpTargets(node)) if (this.#isWanted(target)) work.push(target);
      } catch (error) {
        if (pc === entry || !(error instanceof GuestFault)) throw error;
        // Nothing can be fetched there: the interpreter finds out when execution gets that far.
        this.#leaders.delete(pc);
      }
    }
  }

  #describe(pc: Address): Node {
    const stops = (at: Address): boolean => at !== pc && this.#leaders.has(at);
    const description = this.#cache.describe(pc, stops, this.#owner);
    const node = nodeOf(description, this.#data);
    this.#blocks.push(node.block);
    this.#found.set(pc, node);
    this.#bytes += node.block.length;
    return node;
  }

  /** Makes the target a node of its own, if it may be one and is not yet. */
  #isWanted(target: Address): boolean {
    if (this.#leaders.has(target) || this.#leaders.size >= MAX_NODES || this.#bytes > MAX_BYTES) return false;
    if (this.#cache.hostAt(target) !== undefined || !this.#cache.hasRun(target)) return false;
    this.#leaders.add(target);
    return true;
  }

  /** Blocks that were described before a leader inside them was known are described again, up to it. */
  #split(): void {
    const leaders = [...this.#leaders].sort((a, b) => a - b);
    for (const node of [...this.#found.values()].sort((a, b) => a.pc - b.pc)) {
      const { pc, length } = node.block;
      let low = 0;
      let high = leaders.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (leaders[middle] <= pc) low = middle + 1;
        else high = middle;
      }
      if (low < leaders.length && leaders[low] < pc + length) this.#describe(pc);
    }
  }
}

function nodeOf({ block, exits, opsEnd }: Description, data: DataView): Node {
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
  };
}

/** Targets of branches but not of calls, and the address after a call. */
function goesOnAt(node: Node, data: DataView): Address[] {
  const targets: Address[] = [];
  for (const [op, pc] of node.targets) if (data.getUint16(op + OP.CODE, true) !== CALL) targets.push(pc);
  if (node.returnsTo !== undefined) targets.push(node.returnsTo);
  return targets;
}
