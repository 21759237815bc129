/** What a relocation type means on a machine, and how its result gets into its place. */
import type { Machine } from '../formats/object.ts';

/** A place that is a part of an instruction. */
export interface InstructionField {
  /** The addend that stands there (formats without addends of their own). */
  addend(view: DataView, offset: number, littleEndian: boolean): number;
  /** Writes the value into its bits and leaves the others; false when it does not fit. */
  store(view: DataView, offset: number, littleEndian: boolean, value: number): boolean;
}

/** How a result stands in its place. */
export interface FieldForm {
  readonly bytes: 1 | 2 | 4 | 8;
  readonly range: 'signed' | 'unsigned' | 'any';
}

/** What one relocation type means on a machine. */
export interface RelocationForm extends FieldForm {
  /** `S + A` or `S + A - P`. */
  readonly relative: boolean;
  /** `S` alone, whatever addend the relocation has. */
  readonly plain?: true;
  /** Absent: the place holds the value and nothing else. */
  readonly field?: InstructionField;
}

export interface RelocationMachine {
  readonly machine: Machine;
  /** Relocations without an addend of their own have it in their place (REL formats). */
  readonly addendInPlace?: true;
  /** By type; null = nothing to do. */
  readonly forms: ReadonlyMap<number, RelocationForm | null>;
}

const TWO_32 = 4294967296;

/**
 * The one way a value gets into a place: truncate, extend again, compare. True when nothing was lost. Values are signed
 * numbers; an unsigned 32-bit place takes 0 to 2^32-1 only, as the sum is a 64-bit value.
 */
export function store(
  view: DataView,
  offset: number,
  { bytes, range }: FieldForm,
  value: number,
  littleEndian = true,
): boolean {
  if (bytes < 4) return storeShort(view, offset, bytes === 2 ? 2 : 1, range, value, littleEndian);
  // ToInt32 of a double is exact modulo 2^32 (ECMAScript 7.1.6), whatever its size.
  const low = bytes === 8 && !littleEndian ? offset + 4 : offset;
  view.setInt32(low, value | 0, littleEndian);
  if (bytes === 8) {
    view.setInt32(littleEndian ? offset + 4 : offset, Math.floor(value / TWO_32) | 0, littleEndian);
    return true;
  }
  if (range === 'any') return true;
  return (
    (range === 'signed' ? view.getInt32(offset, littleEndian) : view.getUint32(offset, littleEndian)) ===
    value
  );
}

/** A byte or a half-word; `any` takes what fits as a signed or as an unsigned number. */
function storeShort(
  view: DataView,
  offset: number,
  bytes: 1 | 2,
  range: FieldForm['range'],
  value: number,
  littleEndian: boolean,
): boolean {
  const span = bytes === 1 ? 0x100 : 0x10000;
  const bits = ((value % span) + span) % span;
  if (bytes === 1) view.setUint8(offset, bits);
  else view.setUint16(offset, bits, littleEndian);
  const least = range === 'unsigned' ? 0 : -span / 2;
  const most = range === 'signed' ? span / 2 - 1 : span - 1;
  return value >= least && value <= most;
}
