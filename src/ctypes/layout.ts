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
export function scalarAlign(size: number, model: DataModel): number {
  if (size === 8) return model.align8;
  // `long double` of i386 has 12 bytes and the alignment of a word.
  if (size > 8) return model.pointer === 4 ? model.align8 : 16;
  return Math.max(1, size);
}

/** Places the members of a record as a C compiler of that data model does. */
export function layOut(members: readonly Member[], options: RecordOptions, model: DataModel): RecordLayout {
  const placer = model.bitFields === 'microsoft' ? new MicrosoftPlacer() : new SystemVPlacer();
  const fields: Field[] = [];
  let align = 1;
  let endBits = 0;
  for (const member of members) {
    const natural = alignOf(member.type, model);
    const packed = options.packed || member.packed === true;
    const wanted = Math.max(packed ? 1 : Math.min(natural, options.pack ?? natural), member.align ?? 1);
    if (options.kind === 'union') placer.rewind();
    const place = placer.place(member, wanted, packed);
    endBits = Math.max(endBits, placer.end);
    // System V: a bit-field without name has no say in the alignment of its record.
    if (member.bitSize === undefined || member.name !== '') align = Math.max(align, wanted);
    if (member.bitSize !== undefined && member.name === '') continue;
    const field = { name: member.name, type: member.type, bitOffset: place };
    fields.push(member.bitSize === undefined ? field : { ...field, bitSize: member.bitSize });
  }
  align = Math.max(align, options.align ?? 1);
  return { size: roundUp(Math.ceil(endBits / 8), align), align, fields };
}

interface Placer {
  /** Bits used so far, from the start of the record. */
  readonly end: number;
  /** Back to the start: members of a union. */
  rewind(): void;
  place(member: Member, align: number, packed: boolean): number;
}

/** System V ABI, section 3.1.2: bit-fields share storage as long as none crosses a boundary of its own type. */
class SystemVPlacer implements Placer {
  end = 0;

  rewind(): void {
    this.end = 0;
  }

  place({ type, bitSize }: Member, align: number, packed: boolean): number {
    if (bitSize === undefined) {
      const start = roundUp(this.end, align * 8);
      this.end = start + sizeOf(type) * 8;
      return start;
    }
    const unit = sizeOf(type) * 8;
    // A width of zero only closes the unit.
    if (bitSize === 0) return (this.end = roundUp(this.end, unit));
    const crosses = (this.end % unit) + bitSize > unit;
    const start = crosses && !packed ? roundUp(this.end, align * 8) : this.end;
    this.end = start + bitSize;
    return start;
  }
}

/** Microsoft: a bit-field opens a unit of its declared type; the next shares it only if of equal size and fitting. */
class MicrosoftPlacer implements Placer {
  end = 0;
  #unitStart = 0;
  /** Bits of the open unit; 0 = none is open. */
  #unitBits = 0;
  #used = 0;

  rewind(): void {
    this.end = 0;
    this.#unitBits = 0;
  }

  place({ type, bitSize }: Member, align: number): number {
    const bits = sizeOf(type) * 8;
    if (bitSize === undefined || bitSize === 0) {
      this.#unitBits = 0;
      if (bitSize === 0) return this.end;
      const start = roundUp(this.end, align * 8);
      this.end = start + bits;
      return start;
    }
    if (this.#unitBits !== bits || this.#used + bitSize > bits) {
      this.#unitStart = roundUp(this.end, align * 8);
      this.#unitBits = bits;
      this.#used = 0;
      this.end = this.#unitStart + bits;
    }
    const start = this.#unitStart + this.#used;
    this.#used += bitSize;
    return start;
  }
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
