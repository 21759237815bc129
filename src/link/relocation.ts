/** What a relocation type means on a machine, and how its result gets into its place. */
import type { Machine } from '../formats/object.ts';

/** How a result stands in its place. */
export interface FieldForm {
  readonly bytes: 4 | 8;
  readonly range: 'signed' | 'unsigned' | 'any';
}

/** What one relocation type means on a machine. */
export interface RelocationForm extends FieldForm {
  /** `S + A` or `S + A - P`. */
  readonly relative: boolean;
  /** `S` alone, whatever addend the relocation has. */
  readonly plain?: true;
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
export function store(view: DataView, offset: number, { bytes, range }: FieldForm, value: number): boolean {
  // ToInt32 of a double is exact modulo 2^32 (ECMAScript 7.1.6), whatever its size.
  view.setInt32(offset, value | 0, true);
  if (bytes === 8) {
    view.setInt32(offset + 4, Math.floor(value / TWO_32) | 0, true);
    return true;
  }
  if (range === 'any') return true;
  return (range === 'signed' ? view.getInt32(offset, true) : view.getUint32(offset, true)) === value;
}
