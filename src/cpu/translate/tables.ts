/**
 * Reads of static tables: `table(,%rax,8)`, where the address of the table stands in the code. What is mapped there when the
 * region is made is part of it, and the region goes when the mapping does: such a read needs no look at the page tables, and
 * none at its index either where that is known to be small enough, as one that was a byte is.
 */
import type { Address } from '../../memory/address.ts';
import { Reg } from '../ir.ts';
import { OP } from '../state.ts';
import type { Node } from './graph.ts';
import { type NodeSteps, returnNode, type Step } from './liveness.ts';
import { displacement } from './stack.ts';

/** Memory in one piece that may be read for as long as the region lives. */
export interface Pinned {
  /** Offset in linear memory. */
  readonly host: number;
  readonly bytes: number;
}

/** Pins what is at an address, as far as it goes; undefined where that cannot be. */
export type Pin = (va: Address, most: number) => Pinned | undefined;

/** One read of a table. */
export interface TableRead {
  /** Offset in linear memory of what index 0 is at. */
  readonly host: number;
  /** The register that is multiplied and added; undefined: none. */
  readonly index: number | undefined;
  readonly scale: number;
  /** The largest product that stays inside; undefined where none is larger. */
  readonly limit: number | undefined;
}

/** An element of an array that a register points to, by an index that is known to be small. */
export interface Element {
  readonly base: number;
  /** Distance of the array from where the register points. */
  readonly at: number;
  readonly index: number;
  readonly scale: number;
  /** Bytes that the index adds at most. */
  readonly most: number;
}

/** What is known of addresses with an index, by the operation that has one. */
export interface IndexedAccesses {
  readonly tables: ReadonlyMap<Step, TableRead>;
  readonly elements: ReadonlyMap<Step, Element>;
}

/** Distances from a register that are smaller are fields of what it points to. */
const LEAST_TABLE = 1 << 20;
/** Bytes of a table whose index may be anything. */
const MOST = 1 << 16;
/** Bytes of an array, from where the register points. */
export const WIDEST_ARRAY = 4096;
const FIRST_SPECIAL = Reg.ZERO;
const WORD = 2 ** 32;

/** All of a region. `nodes` in the order of execution, but for loops; it begins at `entries`. */
export function indexedAccesses(
  nodes: readonly NodeSteps[],
  entries: readonly Node[],
  data: DataView,
  bits: 32 | 64,
  pin: Pin,
): IndexedAccesses {
  const tables = new Map<Step, TableRead>();
  const elements = new Map<Step, Element>();
  const before = onlyWays(nodes, entries);
  const ends = new Map<Step, Bounds>();
  for (const { node, steps } of nodes) {
    const way = before.get(node);
    const bounds = new Bounds(data, way === undefined ? undefined : ends.get(way));
    let sum: Step | undefined;
    for (const step of steps) {
      const operand =
        step.addresses !== undefined && step.faults && step.width > 0 && operandOf(step, sum, data);
      if (operand) {
        const bound = bounds.of(operand.index);
        const read = step.stores ? undefined : tableRead(operand, step.width, bound, bits, pin);
        if (read !== undefined) tables.set(step, read);
        const element = bits === 64 ? elementOf(operand, step.width, bound) : undefined;
        if (element !== undefined) elements.set(step, element);
      }
      bounds.pass(step);
      if (isSum(step, data)) sum = step;
      else if (step.writes & (1 << Reg.S0)) sum = undefined;
    }
    const last = steps.at(-1);
    if (last?.name === 'goto') ends.set(last, bounds);
  }
  return { tables, elements };
}

/** The one step that execution comes from to a node: long stretches of code are many blocks in a row. */
function onlyWays(
  nodes: readonly NodeSteps[],
  entries: readonly Node[],
): ReadonlyMap<Node, Step | undefined> {
  const ways = new Map<Node, Step | undefined>(entries.map((node) => [node, undefined]));
  const from = (node: Node | undefined, step: Step | undefined): void => {
    if (node !== undefined) ways.set(node, ways.has(node) ? undefined : step);
  };
  for (const { node, steps } of nodes) {
    for (const step of steps) for (const way of step.ways) from(way, step);
    from(returnNode(node), undefined);
  }
  return ways;
}

interface Operand {
  /** {@link Reg.ZERO}: a table, whose address is `at`. */
  readonly base: number;
  readonly at: Address;
  readonly index: number;
  readonly scale: number;
}

/** An address in the builder's temporary, for operations that have no such address themselves. */
const isSum = ({ name, op }: Step, data: DataView): boolean =>
  name === 'lea.x.8' && data.getUint8(op + OP.D) >> 3 === Reg.S0;

/** The address with its index, also where the instruction has put it together before. */
function operandOf(step: Step, sum: Step | undefined, data: DataView): Operand | undefined {
  const { op, addresses } = step;
  const base = data.getUint8(op + OP.A) >> 3;
  const at = displacement(step, data);
  if (addresses === 'x')
    return { base, at, index: data.getUint8(op + OP.X) >> 3, scale: data.getUint8(op + OP.SCALE) };
  if (base === Reg.ZERO) return { base, at, index: Reg.ZERO, scale: 0 };
  if (base === Reg.S0) {
    if (sum === undefined || sum.at !== step.at || at !== 0) return undefined;
    return operandOf({ ...sum, addresses: 'x' }, undefined, data);
  }
  if (base >= FIRST_SPECIAL || Math.abs(at) < LEAST_TABLE) return undefined;
  return { base: Reg.ZERO, at, index: base, scale: 0 };
}

function elementOf({ base, at, index, scale }: Operand, width: number, bound: number): Element | undefined {
  if (base >= FIRST_SPECIAL || base === Reg.RSP || index >= FIRST_SPECIAL) return undefined;
  const most = bound * 2 ** scale;
  return most + width <= WIDEST_ARRAY ? { base, at, index, scale, most } : undefined;
}

function tableRead(
  { base, at, index, scale }: Operand,
  width: number,
  bound: number,
  bits: 32 | 64,
  pin: Pin,
): TableRead | undefined {
  if (base !== Reg.ZERO || index > FIRST_SPECIAL) return undefined;
  const largest = bound * 2 ** scale;
  const piece = pin(bits === 32 ? at >>> 0 : at, Math.min(largest + width, MOST));
  if (piece === undefined || piece.bytes < width) return undefined;
  const limit = piece.bytes - width;
  return {
    host: piece.host,
    index: index === Reg.ZERO ? undefined : index,
    scale,
    limit: largest <= limit ? undefined : limit,
  };
}

/** What registers hold at most, as far as the code of one block tells, and that before it where it only goes on. */
class Bounds {
  readonly #data: DataView;
  readonly #most: Map<number, number>;

  constructor(data: DataView, before: Bounds | undefined) {
    this.#data = data;
    this.#most = new Map(before === undefined ? [[Reg.ZERO, 0]] : before.#most);
  }

  of(register: number): number {
    return this.#most.get(register) ?? Number.POSITIVE_INFINITY;
  }

  pass(step: Step): void {
    const { op, writes, helper } = step;
    if (helper !== 'never') this.#most.clear();
    const most = helper === 'never' ? this.#after(step) : undefined;
    for (let register = 0; register < FIRST_SPECIAL; register++)
      if ((writes >>> register) & 1) this.#most.delete(register);
    this.#most.set(Reg.ZERO, 0);
    if (most !== undefined) this.#most.set(this.#data.getUint8(op + OP.D) >> 3, most);
  }

  /** Of the register that the operation writes; undefined where nothing is known of it. */
  #after(step: Step): number | undefined {
    const { name, op } = step;
    const data = this.#data;
    const known = (field: number): number => this.of(data.getUint8(op + field) >> 3);
    switch (name) {
      case 'zx.1':
      case 'ldzx.b.1':
      case 'ldzx.x.1':
        return 0xff;
      case 'zx.2':
      case 'ldzx.b.2':
      case 'ldzx.x.2':
        return 0xffff;
      case 'mov.rr.4':
        return Math.min(known(OP.A), WORD - 1);
      case 'mov.rr.8':
        return known(OP.A);
      case 'and.ri.4':
      case 'and.ri.4.q':
        return (displacement(step, data) % WORD) >>> 0;
      case 'and.ri.8':
      case 'and.ri.8.q': {
        const mask = displacement(step, data);
        return mask < 0 ? undefined : mask;
      }
      case 'shr.i.4':
      case 'shr.i.4.q':
        return Math.floor(Math.min(known(OP.D), WORD - 1) / 2 ** displacement(step, data));
      case 'shr.i.8':
      case 'shr.i.8.q':
        return Math.floor(Math.min(known(OP.D), 2 ** 64) / 2 ** displacement(step, data));
      default:
        return undefined;
    }
  }
}
