/**
 * Relocation: one frame, one file per machine, one policy per system. A machine says what each type computes and how
 * wide it is; the policy says which types the system knows, what it checks, and what it says when a check fails.
 */
import type { ObjectRelocation } from '../formats/object.ts';
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
  const { known, unchecked, emptyPlace } = policy;
  for (let index = 0; index < relocations.length; index++) {
    const relocation = relocations[index];
    const { type, offset } = relocation;
    const form = known === undefined || known.has(type) ? machine.forms.get(type) : undefined;
    if (form === undefined) policy.fail({ kind: 'unknown-type', type }, relocation, index);
    if (relocation.addend === undefined && machine.addendInPlace === undefined) {
      policy.fail({ kind: 'no-addend', type }, relocation, index);
    }
    if (form === null) continue;
    const size = target.bytes.length;
    if (!(offset >= 0 && offset + form.bytes <= size)) {
      policy.fail({ kind: 'outside', type, offset, size }, relocation, index);
    }
    const at = target.address + offset;
    const addend = form.plain ? 0 : (relocation.addend ?? addendInPlace(target, offset, form));
    const sum = values[relocation.symbol] + addend;
    const value = form.relative ? sum - at : sum;
    if (emptyPlace && !isEmpty(target.view, offset, form.bytes)) {
      policy.fail({ kind: 'not-empty', type, at, value }, relocation, index);
    }
    const { view, littleEndian } = target;
    const fits =
      form.field === undefined
        ? store(view, offset, form, value, littleEndian)
        : form.field.store(view, offset, littleEndian, value);
    if (!fits && !unchecked?.has(type)) policy.fail({ kind: 'overflow', type, at, value }, relocation, index);
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
  for (let i = 0; i < bytes; i++) if (view.getUint8(offset + i) !== 0) return false;
  return true;
}
