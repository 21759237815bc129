/**
 * Relocation: one frame, one file per machine, one policy per system. A machine says what each type computes and how
 * wide it is; the policy says which types the system knows, what it checks, and what it says when a check fails.
 */
import type { ObjectRelocation, RelocationColumns } from '../formats/object.ts';
import type { Address } from '../memory/address.ts';
import { type RelocationForm, type RelocationMachine, store } from './relocation.ts';

/** The bytes that are changed: a section while it is put together. */
export interface RelocationTarget {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where the bytes will lie. */
  readonly address: Address;
  readonly littleEndian: boolean;
}

export type RelocationProblem =
  /** The machine or the policy knows no such type. */
  | { readonly kind: 'unknown-type'; readonly type: number }
  /** The addend is in the place itself, which this system does not take. */
  | { readonly kind: 'no-addend'; readonly type: number }
  /** The place lies outside of its section. */
  | { readonly kind: 'outside'; readonly type: number; readonly offset: number; readonly size: number }
  /** The place holds something already. */
  | { readonly kind: 'not-empty'; readonly type: number; readonly at: Address; readonly value: number }
  /** The value does not fit the place. */
  | { readonly kind: 'overflow'; readonly type: number; readonly at: Address; readonly value: number };

/** What a system checks. */
export interface RelocationPolicy {
  /** Types that this system's loader knows; undefined = all of the machine's. */
  readonly known?: ReadonlySet<number>;
  /** Types whose result is truncated without a look. */
  readonly unchecked?: ReadonlySet<number>;
  /** A place must hold zeros before (for formats with addends of their own). */
  readonly emptyPlace: boolean;
  /** Must throw. */
  /** `index`: of the relocation among those that are applied. */
  fail(problem: RelocationProblem, relocation: ObjectRelocation, index: number): never;
}

export function relocationTarget(bytes: Uint8Array, address: Address, littleEndian = true): RelocationTarget {
  return {
    bytes,
    address,
    littleEndian,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  };
}

/** Applies relocations in order. `values` by symbol index. Throws what the policy throws. */
export function applyRelocations(
  machine: RelocationMachine,
  target: RelocationTarget,
  relocations: readonly ObjectRelocation[],
  values: Float64Array,
  policy: RelocationPolicy,
): void {
  const work = new Relocating(machine, target, values, policy);
  relocations.forEach((relocation, index) => {
    const { offset, type, symbol, addend } = relocation;
    const problem = work.apply(offset, type, symbol, addend);
    if (problem !== undefined) policy.fail(problem, relocation, index);
  });
}

/** The same for all tables of one section. */
export function applyColumns(
  machine: RelocationMachine,
  target: RelocationTarget,
  section: number,
  tables: readonly RelocationColumns[],
  values: Float64Array,
  policy: RelocationPolicy,
): void {
  const work = new Relocating(machine, target, values, policy);
  let before = 0;
  for (const { count, offsets, types, symbols, addends } of tables) {
    for (let i = 0; i < count; i++) {
      const offset = offsets[i];
      const type = types[i];
      const symbol = symbols[i];
      const addend = addends?.[i];
      const problem = work.apply(offset, type, symbol, addend);
      if (problem !== undefined) policy.fail(problem, { section, offset, type, symbol, addend }, before + i);
    }
    before += count;
  }
}

/** Relocations of one section; what stays the same from one to the next is kept. */
class Relocating {
  private readonly machine: RelocationMachine;
  private readonly target: RelocationTarget;
  private readonly values: Float64Array;
  private readonly policy: RelocationPolicy;
  private lastType = -1;
  private lastForm: RelocationForm | null | undefined;

  constructor(
    machine: RelocationMachine,
    target: RelocationTarget,
    values: Float64Array,
    policy: RelocationPolicy,
  ) {
    this.machine = machine;
    this.target = target;
    this.values = values;
    this.policy = policy;
  }

  /** Applies one; what is wrong with it otherwise. */
  apply(
    offset: number,
    type: number,
    symbol: number,
    addend: number | undefined,
  ): RelocationProblem | undefined {
    const { target, policy, machine } = this;
    const form = this.formOf(type);
    if (form === undefined) return { kind: 'unknown-type', type };
    if (addend === undefined && machine.addendInPlace === undefined) return { kind: 'no-addend', type };
    if (form === null) return undefined;
    const { view, littleEndian } = target;
    const size = view.byteLength;
    if (!(offset >= 0 && offset + form.bytes <= size)) return { kind: 'outside', type, offset, size };
    const at = target.address + offset;
    const added = form.plain ? 0 : (addend ?? addendInPlace(target, offset, form));
    const sum = this.values[symbol] + added;
    const value = form.relative ? sum - at : sum;
    if (policy.emptyPlace && !isEmpty(view, offset, form.bytes))
      return { kind: 'not-empty', type, at, value };
    const fits =
      form.field === undefined
        ? store(view, offset, form, value, littleEndian)
        : form.field.store(view, offset, littleEndian, value);
    return fits || policy.unchecked?.has(type) ? undefined : { kind: 'overflow', type, at, value };
  }

  /** Most relocations are of the type of the one before. */
  private formOf(type: number): RelocationForm | null | undefined {
    if (type !== this.lastType) {
      const { known } = this.policy;
      this.lastForm = known === undefined || known.has(type) ? this.machine.forms.get(type) : undefined;
      this.lastType = type;
    }
    return this.lastForm;
  }
}

function addendInPlace(
  { view, littleEndian }: RelocationTarget,
  offset: number,
  form: RelocationForm,
): number {
  if (form.field !== undefined) return form.field.addend(view, offset, littleEndian);
  if (form.bytes === 1) return view.getInt8(offset);
  return form.bytes === 2 ? view.getInt16(offset, littleEndian) : view.getInt32(offset, littleEndian);
}

function isEmpty(view: DataView, offset: number, bytes: RelocationForm['bytes']): boolean {
  if (bytes === 4) return view.getInt32(offset) === 0;
  for (let i = 0; i < bytes; i++) if (view.getUint8(offset + i) !== 0) return false;
  return true;
}
