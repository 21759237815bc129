/**
 * avl_create(9F) and its kind (sys/avl.h): balanced trees through a node in each object. The tree is in guest memory: root,
 * comparison, offset of the node in the object, number of nodes; a node has two children and its parent, whose low bits
 * say what the node is to it and how the node leans (one word of pcb with 64 bits, two halves of a word with 32).
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

type Side = 0 | 1;
const other = (side: Side): Side => (side === 0 ? 1 : 0);

/** What avl_find and avl_nearest hand on: the node above the place, and the side. */
interface Place {
  readonly parent: Address;
  readonly side: Side;
}

/** One tree at its address. */
class Tree {
  readonly k: Solaris;
  readonly at: Address;

  constructor(k: Solaris, at: Address) {
    this.k = k;
    this.at = at;
  }

  get root(): Address {
    return this.k.memory.ptr(this.at);
  }

  get compare(): Address {
    return this.k.memory.ptr(this.at + this.k.word);
  }

  get offset(): number {
    return this.k.memory.ptr(this.at + 2 * this.k.word);
  }

  get count(): number {
    return this.k.memory.ptr(this.at + 3 * this.k.word);
  }

  set count(value: number) {
    this.k.memory.setPtr(this.at + 3 * this.k.word, value);
  }

  child(node: Address, side: Side): Address {
    return this.k.memory.ptr(node + side * this.k.word);
  }

  setChild(node: Address, side: Side, child: Address): void {
    this.k.memory.setPtr(node + side * this.k.word, child);
  }

  parent(node: Address): Address {
    const word = this.k.memory.ptr(node + 2 * this.k.word);
    return this.k.bits === 64 ? word - (((word % 8) + 8) % 8) : word;
  }

  side(node: Address): Side {
    const { memory, word, bits } = this.k;
    const value = bits === 64 ? memory.u8(node + 2 * word) >> 2 : memory.u16(node + 3 * word);
    return (value & 1) as Side;
  }

  /** -1 leans left, 1 leans right. */
  balance(node: Address): number {
    const { memory, word, bits } = this.k;
    if (bits === 64) return (memory.u8(node + 2 * word) & 3) - 1;
    return (memory.u16(node + 3 * word + 2) << 16) >> 16;
  }

  /** Parent, side and balance of a node at once. */
  place(node: Address, parent: Address, side: Side, balance: number): void {
    const { memory, word, bits } = this.k;
    if (bits === 64) {
      memory.setPtr(node + 2 * word, parent + side * 4 + balance + 1);
      return;
    }
    memory.setPtr(node + 2 * word, parent);
    memory.set16(node + 3 * word, side);
    memory.set16(node + 3 * word + 2, balance & 0xffff);
  }

  setBalance(node: Address, balance: number): void {
    this.place(node, this.parent(node), this.side(node), balance);
  }

  /** Hangs a node, or nothing, below another or as the root. */
  hang(parent: Address, side: Side, node: Address): void {
    if (parent === 0) this.k.memory.setPtr(this.at, node);
    else this.setChild(parent, side, node);
    if (node !== 0) this.place(node, parent, parent === 0 ? 0 : side, this.balance(node));
  }

  /** The outermost node on a side, or the next one to that side. */
  edge(node: Address, side: Side): Address {
    let at = node;
    while (at !== 0 && this.child(at, side) !== 0) at = this.child(at, side);
    return at;
  }

  step(node: Address, side: Side): Address {
    const below = this.child(node, side);
    if (below !== 0) return this.edge(below, other(side));
    let at = node;
    while (this.parent(at) !== 0 && this.side(at) === side) at = this.parent(at);
    return this.parent(at);
  }

  /** Takes a node down to the given side; its child there comes up. Gives the node that is on top now. */
  rotate(node: Address, side: Side): Address {
    const up = this.child(node, other(side));
    const [parent, own] = [this.parent(node), this.side(node)];
    const inner = this.child(up, side);
    this.setChild(node, other(side), inner);
    if (inner !== 0) this.place(inner, node, other(side), this.balance(inner));
    this.setChild(up, side, node);
    this.hang(parent, own, up);
    this.place(node, up, side, this.balance(node));
    return up;
  }

  /** A node leans by two to a side: rotations set it right. True when the subtree became lower. */
  rebalance(node: Address, heavy: Side): { top: Address; lower: boolean } {
    const sign = heavy === 1 ? 1 : -1;
    const child = this.child(node, heavy);
    const lean = this.balance(child) * sign;
    if (lean >= 0) {
      const top = this.rotate(node, other(heavy));
      this.setBalance(node, lean === 0 ? sign : 0);
      this.setBalance(top, lean === 0 ? -sign : 0);
      return { top, lower: lean !== 0 };
    }
    const middle = this.balance(this.child(child, other(heavy))) * sign;
    this.rotate(child, heavy);
    const top = this.rotate(node, other(heavy));
    this.setBalance(node, middle > 0 ? -sign : 0);
    this.setBalance(child, middle < 0 ? sign : 0);
    this.setBalance(top, 0);
    return { top, lower: true };
  }

  insert(node: Address, { parent, side }: Place): void {
    for (const one of [0, 1] as const) this.setChild(node, one, 0);
    this.place(node, parent, side, 0);
    this.hang(parent, side, node);
    this.count++;
    let [at, from] = [parent, side];
    while (at !== 0) {
      const lean = this.balance(at) + (from === 1 ? 1 : -1);
      if (Math.abs(lean) === 2) {
        this.rebalance(at, from);
        return;
      }
      this.setBalance(at, lean);
      if (lean === 0) return;
      [at, from] = [this.parent(at), this.side(at)];
    }
  }

  remove(node: Address): void {
    if (this.child(node, 0) !== 0 && this.child(node, 1) !== 0) this.swapWithNext(node);
    const below = this.child(node, 0) || this.child(node, 1);
    let [at, from] = [this.parent(node), this.side(node)];
    this.hang(at, from, below);
    this.count--;
    while (at !== 0) {
      const lean = this.balance(at) - (from === 1 ? 1 : -1);
      let top = at;
      if (Math.abs(lean) === 2) {
        const done = this.rebalance(at, lean > 0 ? 1 : 0);
        if (!done.lower) return;
        top = done.top;
      } else {
        this.setBalance(at, lean);
        if (lean !== 0) return;
      }
      [at, from] = [this.parent(top), this.side(top)];
    }
  }

  /** A node with two children changes places with the one after it, which has one at most. */
  private swapWithNext(node: Address): void {
    const next = this.step(node, 1);
    const [parent, side, lean] = [this.parent(node), this.side(node), this.balance(node)];
    const [left, right] = [this.child(node, 0), this.child(node, 1)];
    const after = this.child(next, 1);
    const [nextParent, nextSide, nextLean] = [this.parent(next), this.side(next), this.balance(next)];
    this.setBalance(next, lean);
    this.hang(parent, side, next);
    this.setChild(next, 0, left);
    this.place(left, next, 0, this.balance(left));
    const [above, where] = nextParent === node ? [next, 1 as Side] : [nextParent, nextSide];
    if (nextParent !== node) {
      this.setChild(next, 1, right);
      this.place(right, next, 1, this.balance(right));
    }
    this.place(node, above, where, nextLean);
    this.setChild(above, where, node);
    this.setChild(node, 0, 0);
    this.setChild(node, 1, after);
    if (after !== 0) this.place(after, node, 1, this.balance(after));
  }

  object(node: Address): Address {
    return node === 0 ? 0 : node - this.offset;
  }

  node(object: Address): Address {
    return object + this.offset;
  }
}

/** An avl_index_t: the node above with the side in its low bit. */
const indexOf = ({ parent, side }: Place): number => parent + side;
const placeOf = (index: number): Place => {
  const side = (((index % 2) + 2) % 2) as Side;
  return { parent: index - side, side };
};

function* find(k: Solaris, at: Address, value: Address, where: Address): Steps<Address> {
  const tree = new Tree(k, at);
  let place: Place = { parent: 0, side: 0 };
  for (let node = tree.root; node !== 0; node = tree.child(node, place.side)) {
    const order = yield* k.callInt(tree.compare, value, tree.object(node));
    if (order === 0) return tree.object(node);
    place = { parent: node, side: order < 0 ? 0 : 1 };
  }
  if (where !== 0) k.memory.setPtr(where, indexOf(place));
  return 0;
}

function* add(k: Solaris, at: Address, object: Address): Steps<void> {
  const tree = new Tree(k, at);
  let place: Place = { parent: 0, side: 0 };
  for (let node = tree.root; node !== 0; node = tree.child(node, place.side)) {
    const order = yield* k.callInt(tree.compare, object, tree.object(node));
    if (order === 0) throw panic(k, 'avl_find() succeeded inside avl_add()');
    place = { parent: node, side: order < 0 ? 0 : 1 };
  }
  tree.insert(tree.node(object), place);
}

/** Right before or behind an object: below it, or below its neighbour where there is room. */
function insertHere(k: Solaris, at: Address, object: Address, here: Address, direction: number): void {
  const tree = new Tree(k, at);
  let parent = tree.node(here);
  let side: Side = direction === 1 ? 1 : 0;
  const below = tree.child(parent, side);
  if (below !== 0) {
    side = other(side);
    parent = tree.edge(below, side);
  }
  tree.insert(tree.node(object), { parent, side });
}

function nearest(k: Solaris, at: Address, index: number, direction: number): Address {
  const tree = new Tree(k, at);
  const { parent, side } = placeOf(index);
  if (parent === 0) return 0;
  const wanted: Side = direction === 1 ? 1 : 0;
  return tree.object(side === wanted ? tree.step(parent, wanted) : parent);
}

/** One object after the other, children first; the tree is empty at the end. */
function destroyNodes(k: Solaris, at: Address): Address {
  const tree = new Tree(k, at);
  let node = tree.root;
  if (node === 0) return 0;
  for (;;) {
    const below = tree.child(node, 0) || tree.child(node, 1);
    if (below === 0) break;
    node = below;
  }
  tree.hang(tree.parent(node), tree.side(node), 0);
  tree.count--;
  return tree.object(node);
}

export const trees = kernelFunctions({
  'void avl_create(void *tree, void *compare, size_t size, size_t offset)': (
    k,
    at,
    compare,
    size,
    offset,
  ) => {
    for (const [i, value] of [0, compare, offset, 0, size].entries()) k.memory.setPtr(at + i * k.word, value);
  },
  'void avl_destroy(void *tree)': () => undefined,
  'void *avl_find(void *tree, void *value, void *where)': find,
  'void avl_add(void *tree, void *object)': add,
  'void avl_insert(void *tree, void *object, uintptr_t where)': (k, at, object, where) => {
    const tree = new Tree(k, at);
    tree.insert(tree.node(object), placeOf(where));
  },
  'void avl_insert_here(void *tree, void *object, void *here, int direction)': insertHere,
  'void avl_remove(void *tree, void *object)': (k, at, object) => {
    const tree = new Tree(k, at);
    tree.remove(tree.node(object));
  },
  'void *avl_first(void *tree)': (k, at) => {
    const tree = new Tree(k, at);
    return tree.object(tree.edge(tree.root, 0));
  },
  'void *avl_last(void *tree)': (k, at) => {
    const tree = new Tree(k, at);
    return tree.object(tree.edge(tree.root, 1));
  },
  // `left` is 0 for the one before and 1 for the one behind (AVL_BEFORE, AVL_AFTER).
  'void *avl_walk(void *tree, void *object, int left)': (k, at, object, left) => {
    const tree = new Tree(k, at);
    return object === 0 ? 0 : tree.object(tree.step(tree.node(object), left === 1 ? 1 : 0));
  },
  'void *avl_nearest(void *tree, uintptr_t where, int direction)': nearest,
  'ulong_t avl_numnodes(void *tree)': (k, at) => new Tree(k, at).count,
  'boolean_t avl_is_empty(void *tree)': (k, at) => new Tree(k, at).count === 0,
  'void *avl_destroy_nodes(void *tree, void **cookie)': destroyNodes,
});
