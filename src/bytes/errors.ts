/**
 * The four ways in which bytes from outside can be wrong. Every reader throws one of these and nothing else, so that a
 * caller can tell "not this format" from "damaged" from "a variant nobody wrote a reader for".
 */

export type FormatErrorKind = 'BadMagic' | 'Truncated' | 'Invalid' | 'Unsupported';

/** Where the fault is: byte offset in the input, and the offending value, when there is one. */
export interface FaultPlace {
  readonly offset?: number;
  readonly value?: number | bigint | string;
}

export abstract class FormatError extends Error {
  abstract readonly kind: FormatErrorKind;
  /** What was being read, in the format's own words: `e_shentsize`, `section .text`, `xz block header`. */
  readonly what: string;
  /** Byte offset in the input that was given to the reader. */
  readonly offset: number | undefined;
  readonly value: number | bigint | string | undefined;

  constructor(what: string, problem: string, place: FaultPlace = {}) {
    super(`${what}: ${problem}${placeText(place)}`);
    this.what = what;
    this.offset = place.offset;
    this.value = place.value;
    this.name = new.target.name;
  }
}

/** The bytes are not of this format at all. */
export class BadMagic extends FormatError {
  readonly kind = 'BadMagic';
}

/** The bytes end before something that they promise. */
export class Truncated extends FormatError {
  readonly kind = 'Truncated';
}

/** The bytes contradict the format or themselves. */
export class Invalid extends FormatError {
  readonly kind = 'Invalid';
}

/** The bytes may be right, but this variant (or this size) is beyond what the reader takes. */
export class Unsupported extends FormatError {
  readonly kind = 'Unsupported';
}

/** Hexadecimal with sign: addresses are signed numbers everywhere (see memory/space.ts). */
function hex(value: number | bigint): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function placeText({ offset, value }: FaultPlace): string {
  const parts: string[] = [];
  if (value !== undefined)
    parts.push(`value ${typeof value === 'string' ? JSON.stringify(value) : hex(value)}`);
  if (offset !== undefined) parts.push(`at offset ${hex(offset)}`);
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}
