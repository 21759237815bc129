/**
 * Red-black trees with the kernel's node layout: parent address and colour in one word (bit 0: black), then right, then
 * left. Insertion and deletion follow the textbook (Cormen et al., chapter 13), working on guest memory only.
 */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** Words of struct rb_node. */
const RIGHT = 1;
const LEFT = 2;
const BLACK = 1;

class RbTree {
  private readonly k: Linux;
  private readonly root: Address;

  constructor(k: Linux, root: Address) {
    this.k = k;
    this.root = root;
  }

  private word(node: Address): number {
    return this.k.memory.ptr(node);
  }

  parent(node: Address): Address {
    const word = this.word(node);
    return word - (word & 3);
  }

  private isRed(node: Address): boolean {
    return node !== 0 && (this.word(node) & BLACK) === 0;
  }

  private setColour(node: Address, black: boolean): void {
    this.k.memory.setPtr(node, this.parent(node) + (black ? BLACK : 0));
  }

  private setParent(node: Address, parent: Address): void {
    this.k.memory.setPtr(node, parent + (this.word(node) & BLACK));
  }

  child(node: Address, side: number): Address {
    return this.k.memory.ptr(node + side * this.k.word);
  }

  private setChild(node: Address, side: number, child: Address): void {
    this.k.memory.setPtr(node + side * this.k.word, child);
  }

  private replaceChild(parent: Address, old: Address, child: Address): void {
    if (parent === 0) this.k.memory.setPtr(this.root, child);
    else this.setChild(parent, this.child(parent, LEFT) === old ? LEFT : RIGHT, child);
  }

  /** Turns `node` down towards `side`; its child on the other side takes its place. */
  private rotate(node: Address, side: number): void {
    const other = side === LEFT ? RIGHT : LEFT;
    const up = this.child(node, other);
    const moved = this.child(up, side);
    this.setChild(node, other, moved);
    if (moved !== 0) this.setParent(moved, node);
    const parent = this.parent(node);
    this.setParent(up, parent);
    this.replaceChild(parent, node, up);
    this.setChild(up, side, node);
    this.setParent(node, up);
  }

  /** After rb_link_node: `node` is a red leaf. */
  insertFixup(node: Address): void {
    for (let parent = this.parent(node); this.isRed(parent); parent = this.parent(node)) {
      const grand = this.parent(parent);
      const side = this.child(grand, LEFT) === parent ? LEFT : RIGHT;
      const other = side === LEFT ? RIGHT : LEFT;
      const uncle = this.child(grand, other);
      if (this.isRed(uncle)) {
        this.setColour(parent, true);
        this.setColour(uncle, true);
        this.setColour(grand, false);
        node = grand;
        continue;
      }
      if (this.child(parent, other) === node) {
        this.rotate(parent, side);
        node = parent;
        parent = this.parent(node);
      }
      this.setColour(parent, true);
      this.setColour(grand, false);
      this.rotate(grand, other);
    }
    const top = this.k.memory.ptr(this.root);
    if (top !== 0) this.setColour(top, true);
  }

  erase(node: Address): void {
    const left = this.child(node, LEFT);
    const right = this.child(node, RIGHT);
    let removedBlack = !this.isRed(node);
    let child: Address;
    let parent: Address;
    if (left === 0 || right === 0) {
      child = left === 0 ? right : left;
      parent = this.parent(node);
      this.replaceChild(parent, node, child);
      if (child !== 0) this.setParent(child, parent);
    } else {
      let next = right;
      while (this.child(next, LEFT) !== 0) next = this.child(next, LEFT);
      removedBlack = !this.isRed(next);
      child = this.child(next, RIGHT);
      parent = this.parent(next);
      if (parent === node) parent = next;
      else {
        this.setChild(parent, LEFT, child);
        if (child !== 0) this.setParent(child, parent);
        this.setChild(next, RIGHT, right);
        this.setParent(right, next);
      }
      this.replaceChild(this.parent(node), node, next);
      this.k.memory.setPtr(next, this.word(node));
      this.setChild(next, LEFT, left);
      this.setParent(left, next);
    }
    if (removedBlack) this.eraseFixup(child, parent);
  }

  private eraseFixup(node: Address, parent: Address): void {
    while (parent !== 0 && !this.isRed(node)) {
      const side = this.child(parent, LEFT) === node ? LEFT : RIGHT;
      const other = side === LEFT ? RIGHT : LEFT;
      let sibling = this.child(parent, other);
      if (this.isRed(sibling)) {
        this.setColour(sibling, true);
        this.setColour(parent, false);
        this.rotate(parent, side);
        sibling = this.child(parent, other);
      }
      if (!this.isRed(this.child(sibling, LEFT)) && !this.isRed(this.child(sibling, RIGHT))) {
        this.setColour(sibling, false);
        node = parent;
        parent = this.parent(node);
        continue;
      }
      if (!this.isRed(this.child(sibling, other))) {
        this.setColour(this.child(sibling, side), true);
        this.setColour(sibling, false);
        this.rotate(sibling, other);
        sibling = this.child(parent, other);
      }
      this.setColour(sibling, !this.isRed(parent));
      this.setColour(parent, true);
      this.setColour(this.child(sibling, other), true);
      this.rotate(parent, side);
      return;
    }
    if (node !== 0) this.setColour(node, true);
  }

  /** The outermost node towards a side. */
  extreme(side: number): Address {
    let node = this.k.memory.ptr(this.root);
    while (node !== 0 && this.child(node, side) !== 0) node = this.child(node, side);
    return node;
  }

  /** The neighbour in order towards `side`. */
  step(node: Address, side: number): Address {
    if (this.word(node) === node) return 0;
    const other = side === LEFT ? RIGHT : LEFT;
    let next = this.child(node, side);
    if (next !== 0) {
      while (this.child(next, other) !== 0) next = this.child(next, other);
      return next;
    }
    let parent = this.parent(node);
    while (parent !== 0 && this.child(parent, side) === node) {
      node = parent;
      parent = this.parent(node);
    }
    return parent;
  }

  /** The deepest node that a post-order walk from `node` begins with. */
  deepest(node: Address): Address {
    for (;;) {
      const next = this.child(node, LEFT) || this.child(node, RIGHT);
      if (next === 0) return node;
      node = next;
    }
  }

  replace(victim: Address, node: Address): void {
    const parent = this.parent(victim);
    this.k.memory.copy(node, victim, 24);
    for (const side of [LEFT, RIGHT])
      if (this.child(victim, side) !== 0) this.setParent(this.child(victim, side), node);
    this.replaceChild(parent, victim, node);
  }
}

const tree = (k: Linux, root: Address): RbTree => new RbTree(k, root);

export const rbtrees = kernelFunctions({
  'void rb_insert_color(struct rb_node *node, struct rb_root *root)': (k, node, root) =>
    tree(k, root).insertFixup(node),
  'void rb_erase(struct rb_node *node, struct rb_root *root)': (k, node, root) => tree(k, root).erase(node),
  'struct rb_node *rb_first(const struct rb_root *root)': (k, root) => tree(k, root).extreme(LEFT),
  'struct rb_node *rb_last(const struct rb_root *root)': (k, root) => tree(k, root).extreme(RIGHT),
  'struct rb_node *rb_next(const struct rb_node *node)': (k, node) => tree(k, 0).step(node, RIGHT),
  'struct rb_node *rb_prev(const struct rb_node *node)': (k, node) => tree(k, 0).step(node, LEFT),
  'void rb_replace_node(struct rb_node *victim, struct rb_node *new, struct rb_root *root)': (
    k,
    victim,
    node,
    root,
  ) => tree(k, root).replace(victim, node),
  'void rb_replace_node_rcu(struct rb_node *victim, struct rb_node *new, struct rb_root *root)': (
    k,
    victim,
    node,
    root,
  ) => tree(k, root).replace(victim, node),
  'struct rb_node *rb_first_postorder(const struct rb_root *root)': (k, root) => {
    const top = k.memory.ptr(root);
    return top === 0 ? 0 : tree(k, root).deepest(top);
  },
  'struct rb_node *rb_next_postorder(const struct rb_node *node)': (k, node) => {
    if (node === 0) return 0;
    const t = tree(k, 0);
    const parent = t.parent(node);
    if (parent !== 0 && t.child(parent, LEFT) === node && t.child(parent, RIGHT) !== 0) {
      return t.deepest(t.child(parent, RIGHT));
    }
    return parent;
  },
});
