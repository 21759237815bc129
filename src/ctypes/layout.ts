import { roundUp } from '../bytes/align.ts';
import type { DataModel } from './model.ts';
import { type CType, type Field, sizeOf } from './type.ts';

/** A member as declared, before it has a place. */
export interface Member {
  readonly name: string;
  readonly type: CType;
  readonly bitSize?: number;
  /** `aligned(n)` on the member: raises its alignment, also in a packed record. */
  readonly align?: number;
  readonly packed?: boolean;
}

export interface RecordOptions {
  readonly kind: 'struct' | 'union';
  readonly packed: boolean;
  /** `aligned(n)` on the record. */
  readonly align?: number;
  /** `#pragma pack(n)`: no member is aligned to more than this. */
  readonly pack?: number;
}

export interface RecordLayout {
  readonly size: number;
  readonly align: number;
  readonly fields: readonly Field[];
}

/** Alignment of a type as a member of a record. */
export function alignOf(type: CType, model: DataModel): number {
  // Real chains of typedefs and arrays are short; the bound ends a malformed ring.
  for (let depth = 0; depth < 128; depth++) {
    switch (type.kind) {
      case 'typedef':
        if (type.align !== undefined) return type.align;
        type = type.target;
        break;
      case 'array':
        type = type.element;
        break;
      case 'void':
      case 'function':
        return 1;
      case 'struct':
      case 'union':
        return type.align;
      default:
        return scalarAlign(type.size, model);
    }
  }
  return 1;
}

/** Alignment of a scalar inside a record under a data model. */
function scalarAlign(size: number, model: DataModel): number {
  if (size === 8) return model.align8;
  // `long double` of i386 has 12 bytes and the alignment of a word.
  if (size > 8) return model.pointer === 4 ? model.align8 : 16;
  return Math.max(1, size);
}

/** Places the members of a record as a C compiler of that data model does. */
export function layOut(members: readonly Member[], options: RecordOptions, model: DataModel): RecordLayout {
  const union = options.kind === 'union';
  const placer = model.bitFields === 'microsoft' ? new MicrosoftPlacer(union) : new SystemVPlacer(union);
  const fields: Field[] = [];
  let align = options.align ?? 1;
  let endBits = 0;
  for (const member of members) {
    const natural = alignOf(member.type, model);
    const packed = options.packed || member.packed === true;
    const wanted = Math.max(packed ? 1 : Math.min(natural, options.pack ?? natural), member.align ?? 1);
    const place = placer.place(member, { align: wanted, natural, packed });
    endBits = Math.max(endBits, place.end);
    if (place.aligns) align = Math.max(align, wanted);
    if (member.bitSize !== undefined && member.name === '') continue;
    const field = { name: member.name, type: member.type, bitOffset: place.start };
    fields.push(member.bitSize === undefined ? field : { ...field, bitSize: member.bitSize });
  }
  return { size: roundUp(Math.ceil(endBits / 8), align), align, fields };
}

interface Alignment {
  /** Bytes, with packing and attributes applied. */
  readonly align: number;
  /** Bytes, of the type alone. */
  readonly natural: number;
  readonly packed: boolean;
}

interface Place {
  /** Bits from the start of the record. */
  readonly start: number;
  /** Bits that the record must have to hold it. */
  readonly end: number;
  /** Does the member raise the alignment of its record? */
  readonly aligns: boolean;
}

interface Placer {
  place(member: Member, alignment: Alignment): Place;
}

/** System V ABI, section 3.1.2: bit-fields share storage as long as none crosses a boundary of its own type. */
class SystemVPlacer implements Placer {
  readonly #union: boolean;
  #end = 0;

  constructor(union: boolean) {
    this.#union = union;
  }

  place({ name, type, bitSize }: Member, { align, natural, packed }: Alignment): Place {
    if (this.#union) this.#end = 0;
    const unit = sizeOf(type) * 8;
    let start = roundUp(this.#end, align * 8);
    if (bitSize === 0) {
      // A width of zero only closes the unit.
      start = roundUp(this.#end, natural * 8);
    } else if (bitSize !== undefined) {
      const crosses = (this.#end % (natural * 8)) + bitSize > unit;
      if (!crosses || packed) start = this.#end;
    }
    this.#end = start + (bitSize ?? unit);
    // A bit-field without name has no say in the alignment of its record.
    return { start, end: this.#end, aligns: bitSize === undefined || name !== '' };
  }
}

/**
 * Microsoft: a bit-field opens a unit of its declared type; the next shares it only if its type has the same size and
 * it fits. In a union a bit-field takes its whole type and does not align the union.
 */
class MicrosoftPlacer implements Placer {
  readonly #union: boolean;
  #end = 0;
  #unitStart = 0;
  /** Bits of the open unit; 0 = none is open. */
  #unitBits = 0;
  #used = 0;

  constructor(union: boolean) {
    this.#union = union;
  }

  place({ type, bitSize }: Member, { align }: Alignment): Place {
    const bits = sizeOf(type) * 8;
    if (this.#union) return this.#overlay(bits, bitSize);
    if (bitSize === 0) return this.#close(align);
    if (bitSize === undefined) this.#unitBits = 0;
    else if (this.#unitBits === bits && this.#used + bitSize <= bits) return this.#share(bitSize);
    const start = roundUp(this.#end, align * 8);
    this.#end = start + bits;
    if (bitSize !== undefined) [this.#unitStart, this.#unitBits, this.#used] = [start, bits, bitSize];
    return { start, end: this.#end, aligns: true };
  }

  /** Every member at the start; even a width of zero takes its type's room when a bit-field stands before it. */
  #overlay(bits: number, bitSize: number | undefined): Place {
    const ignored = bitSize === 0 && this.#unitBits === 0;
    this.#unitBits = bitSize === undefined || bitSize === 0 ? 0 : bits;
    return { start: 0, end: ignored ? 0 : bits, aligns: bitSize === undefined };
  }

  #share(bitSize: number): Place {
    const start = this.#unitStart + this.#used;
    this.#used += bitSize;
    return { start, end: this.#end, aligns: true };
  }

  /** A width of zero is ignored unless it follows a bit-field. */
  #close(align: number): Place {
    const open = this.#unitBits !== 0;
    if (open) this.#end = roundUp(this.#end, align * 8);
    this.#unitBits = 0;
    return { start: this.#end, end: this.#end, aligns: open };
  }
}
