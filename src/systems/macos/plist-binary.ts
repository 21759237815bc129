/**
 * Binary property lists (`bplist00`, as CFBinaryPList.c describes them): objects, a table of their offsets, a trailer. Read
 * here, since offsets of three bytes (every list from 64 kB on) and integers of 64 bits are beyond the library's reader.
 */
import { Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import type { PlistValue } from './plist.ts';

const TRAILER_BYTES = 32;
const MAX_DEPTH = 200;
/** Values in the result: objects may be referred to again and again, so that a small file becomes a huge list. */
const MAX_VALUES = 1_000_000;
/** Seconds from 1970 to the start of 2001, where dates count from. */
const EPOCH = 978_307_200;

/** @throws Truncated, Invalid, Unsupported */
export function readBinaryPlist(bytes: Uint8Array, what: string): PlistValue {
  return new Reader(bytes, what).root();
}

class Reader {
  private readonly view: ByteView;
  private readonly what: string;
  private readonly offsetSize: number;
  private readonly referenceSize: number;
  private readonly count: number;
  private readonly top: number;
  private readonly table: number;
  private left = MAX_VALUES;

  constructor(bytes: Uint8Array, what: string) {
    this.view = new ByteView(bytes, false);
    this.what = what;
    const trailer = bytes.length - TRAILER_BYTES;
    if (trailer < 8) throw new Truncated(what, 'is too short for a binary property list');
    this.offsetSize = this.view.u8(trailer + 6);
    this.referenceSize = this.view.u8(trailer + 7);
    this.count = this.view.n64(trailer + 8);
    this.top = this.view.n64(trailer + 16);
    this.table = this.view.n64(trailer + 24);
    const sizes = [this.offsetSize, this.referenceSize];
    if (sizes.some((size) => size < 1 || size > 8))
      throw new Invalid(what, 'a size in its trailer is wrong', { offset: trailer + 6 });
    this.view.need(this.table, this.count * this.offsetSize, `${what}: table of offsets`);
  }

  root(): PlistValue {
    return this.object(this.top, 0);
  }

  private object(index: number, depth: number): PlistValue {
    if (!(index < this.count))
      throw new Invalid(this.what, 'refers to an object that is not there', { value: index });
    if (depth > MAX_DEPTH) throw new Unsupported(this.what, `is nested deeper than ${MAX_DEPTH} levels`);
    if (--this.left < 0) throw new Unsupported(this.what, `has more than ${MAX_VALUES} values`);
    const at = this.unsigned(this.table + index * this.offsetSize, this.offsetSize);
    const marker = this.view.u8(at, this.what);
    const low = marker & 15;
    switch (marker >> 4) {
      case 0x0:
        return this.simple(low, at);
      case 0x1:
        return this.integer(at + 1, 2 ** low);
      case 0x2:
        return this.real(at + 1, low);
      case 0x3:
        return this.date(at + 1);
      case 0x8:
        return { CF$UID: this.unsigned(at + 1, low + 1) };
      default:
        return this.sized(marker >> 4, at, low, depth);
    }
  }

  private simple(low: number, at: number): PlistValue {
    if (low === 0) return null;
    if (low === 8 || low === 9) return low === 9;
    throw new Invalid(this.what, 'has an object of an unknown kind', { offset: at, value: low });
  }

  /** Up to four bytes without a sign, eight and sixteen with one; beyond 53 bits a bigint. */
  private integer(at: number, size: number): number | bigint {
    if (size <= 4) return this.unsigned(at, size);
    if (size > 16)
      throw new Invalid(this.what, 'has an integer of an unknown size', { offset: at, value: size });
    const value = this.view.slice(at, size, this.what).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    const signed = BigInt.asIntN(size * 8, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }

  private real(at: number, low: number): number {
    const bytes = this.view.slice(at, 2 ** low, this.what);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (low === 2) return view.getFloat32(0);
    if (low === 3) return view.getFloat64(0);
    throw new Invalid(this.what, 'has a real number of an unknown size', { offset: at, value: 2 ** low });
  }

  private date(at: number): Date {
    const date = new Date((this.real(at, 3) + EPOCH) * 1000);
    if (Number.isNaN(date.getTime())) throw new Invalid(this.what, 'has a date that is none', { offset: at });
    return date;
  }

  private sized(kind: number, marker: number, low: number, depth: number): PlistValue {
    let at = marker + 1;
    let length = low;
    if (low === 15) {
      // The length follows as an integer object of its own.
      const size = this.view.u8(at, this.what);
      if (size >> 4 !== 1 || (size & 15) > 3)
        throw new Invalid(this.what, 'has a length that is no integer', { offset: at, value: size });
      length = Number(this.integer(at + 1, 2 ** (size & 15)));
      at += 1 + 2 ** (size & 15);
    }
    switch (kind) {
      case 0x4:
        return this.view.slice(at, length, this.what);
      case 0x5:
      case 0x7:
        return new TextDecoder().decode(this.view.slice(at, length, this.what));
      case 0x6:
        return new TextDecoder('utf-16be').decode(this.view.slice(at, length * 2, this.what));
      case 0xa:
      case 0xc:
        return this.references(at, length).map((one) => this.object(one, depth + 1));
      case 0xd:
        return this.dictionary(this.references(at, length * 2), depth);
      default:
        throw new Invalid(this.what, 'has an object of an unknown kind', { offset: marker, value: kind });
    }
  }

  private references(at: number, count: number): number[] {
    this.view.need(at, count * this.referenceSize, this.what);
    return Array.from({ length: count }, (_, i) =>
      this.unsigned(at + i * this.referenceSize, this.referenceSize),
    );
  }

  private dictionary(references: readonly number[], depth: number): PlistValue {
    const half = references.length / 2;
    const pairs = references.slice(0, half).map((one, i) => {
      const key = this.object(one, depth + 1);
      if (typeof key !== 'string') throw new Invalid(this.what, 'has a key that is no text', { value: one });
      return [key, this.object(references[half + i], depth + 1)] as const;
    });
    return Object.fromEntries(pairs);
  }

  private unsigned(at: number, size: number): number {
    return this.view.slice(at, size, this.what).reduce((sum, byte) => sum * 256 + byte, 0);
  }
}
