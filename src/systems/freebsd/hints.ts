/**
 * linker.hints: which file of a directory holds which module, written by kldxref(8) and read by the kernel linker, the
 * boot loader and devmatch(8). A version number, then records of a length and so many bytes; in a record, numbers are
 * aligned to four bytes and strings carry one byte of length (usr.sbin/kldxref/fileformat, sys/kern/kern_linker.c).
 */
import { roundUp } from '../../bytes/align.ts';
import { Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import type { KldFile, MetadataRecord } from './kldfile.ts';
import { MDT } from './kldfile.ts';
import { type PnpValue, readPnpTable } from './pnp.ts';

/** LINKER_HINTS_VERSION and LINKER_HINTS_MAX (sys/linker.h). */
export const HINTS_VERSION = 1;
export const HINTS_MAX = 1 << 20;
/** Longest string: its length is one byte. */
const MAX_STRING = 255;

export interface HintModule {
  readonly type: 'module';
  readonly module: string;
  /** The file, without its folder. */
  readonly file: string;
}

export interface HintVersion {
  readonly type: 'version';
  readonly module: string;
  readonly version: number;
  readonly file: string;
}

/** A driver's table of the devices it wants. */
export interface HintPnp {
  readonly type: 'pnp';
  readonly bus: string;
  /** Field description in the form that devmatch(8) reads. */
  readonly description: string;
  readonly entries: number;
  /** Values of all entries, one after another. */
  readonly values: readonly PnpValue[];
}

/** A record of a type nobody knows, kept as it is. */
export interface HintOther {
  readonly type: 'other';
  readonly number: number;
  readonly data: Uint8Array;
}

export type Hint = HintModule | HintVersion | HintPnp | HintOther;

/** Reads linker.hints. @throws Unsupported for another version, Truncated, Invalid */
export function readHints(bytes: Uint8Array, littleEndian = true): Hint[] {
  const view = new ByteView(bytes, littleEndian);
  const version = view.i32(0, 'version of linker.hints');
  if (version !== HINTS_VERSION)
    throw new Unsupported('linker.hints', 'the hints file has another version', { value: version });
  const hints: Hint[] = [];
  let at = 4;
  while (at < bytes.length) {
    const length = view.i32(at, 'length of a record');
    at += 4;
    if (length < 4)
      throw new Invalid('record of linker.hints', 'is too short for its type', {
        offset: at - 4,
        value: length,
      });
    if (at + length > bytes.length)
      throw new Truncated('record of linker.hints', 'runs past the end of the file', {
        offset: at - 4,
        value: length,
      });
    hints.push(new RecordReader(view, at, at + length).hint());
    at = roundUp(at + length, 4);
  }
  return hints;
}

class RecordReader {
  private readonly view: ByteView;
  private readonly start: number;
  private readonly end: number;
  private at: number;

  constructor(view: ByteView, start: number, end: number) {
    this.view = view;
    this.start = start;
    this.end = end;
    this.at = start;
  }

  hint(): Hint {
    const type = this.number();
    if (type === MDT.MODULE) return { type: 'module', module: this.string(), file: this.string() };
    if (type === MDT.VERSION) {
      return { type: 'version', module: this.string(), version: this.number(), file: this.string() };
    }
    if (type === MDT.PNP_INFO) return this.pnp();
    return { type: 'other', number: type, data: this.view.slice(this.at, this.end - this.at, 'record') };
  }

  private pnp(): HintPnp {
    const bus = this.string();
    const description = this.string();
    const entries = this.number();
    const letters = fieldLetters(description);
    const values: PnpValue[] = [];
    // A number takes four bytes and a string one: no honest count is larger than the record.
    if (letters.length > 0 && entries > this.end - this.start)
      throw new Invalid('PNP record of linker.hints', 'has more entries than bytes', { value: entries });
    // Entries without data take no room, so that their count is anybody's guess.
    for (let entry = 0; entry < entries && letters.length > 0; entry++) {
      for (const letter of letters) values.push(isText(letter) ? this.string() : this.number());
    }
    return { type: 'pnp', bus, description, entries, values };
  }

  private number(): number {
    this.at = this.start + roundUp(this.at - this.start, 4);
    this.need(4);
    this.at += 4;
    return this.view.i32(this.at - 4, 'number in linker.hints');
  }

  private string(): string {
    this.need(1);
    const length = this.view.u8(this.at, 'length of a string in linker.hints');
    this.need(1 + length);
    const bytes = this.view.slice(this.at + 1, length, 'string in linker.hints');
    this.at += 1 + length;
    return String.fromCharCode(...bytes);
  }

  private need(bytes: number): void {
    if (this.at + bytes <= this.end) return;
    throw new Truncated('record of linker.hints', 'ends inside of a field', { offset: this.at });
  }
}

/** The letters of the fields that carry data; T is a constant in the description itself. */
export function fieldLetters(description: string): string[] {
  return description
    .split(';')
    .map((field) => field.trim())
    .filter((field) => field !== '' && !field.startsWith('T'))
    .map((field) => field[0]);
}

const isText = (letter: string): boolean => letter === 'Z' || letter === 'D';

/** Entries of a table that can be looked at: where they carry no data, each is like the first. */
export function rowsOf({ description, entries }: HintPnp): number {
  return fieldLetters(description).length === 0 ? Math.min(1, Math.max(0, entries)) : entries;
}

/** Writes linker.hints as kldxref(8) does; empty when there is no record, and then there is no file. */
export function writeHints(hints: readonly Hint[], littleEndian = true): Uint8Array {
  if (hints.length === 0) return new Uint8Array(0);
  const out: number[] = [];
  pushNumber(out, HINTS_VERSION, littleEndian);
  for (const hint of hints) {
    const data = recordBytes(hint, littleEndian);
    pushNumber(out, data.length, littleEndian);
    for (const byte of data) out.push(byte);
  }
  return Uint8Array.from(out);
}

function recordBytes(hint: Hint, littleEndian: boolean): number[] {
  const out: number[] = [];
  const number = (value: number) => {
    while (out.length % 4 !== 0) out.push(0);
    pushNumber(out, value, littleEndian);
  };
  const string = (text: string) => {
    const bytes = [...text].map((character) => character.charCodeAt(0) & 0xff).slice(0, MAX_STRING);
    out.push(bytes.length, ...bytes);
  };
  if (hint.type === 'module') {
    number(MDT.MODULE);
    string(hint.module);
    string(hint.file);
  } else if (hint.type === 'version') {
    number(MDT.VERSION);
    string(hint.module);
    number(hint.version);
    string(hint.file);
  } else if (hint.type === 'pnp') {
    number(MDT.PNP_INFO);
    string(hint.bus);
    string(hint.description);
    number(hint.entries);
    for (const value of hint.values) typeof value === 'string' ? string(value) : number(value);
  } else {
    number(hint.number);
    for (const byte of hint.data) out.push(byte);
  }
  while (out.length % 4 !== 0) out.push(0);
  return out;
}

function pushNumber(out: number[], value: number, littleEndian: boolean): void {
  const bytes = [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
  out.push(...(littleEndian ? bytes : bytes.reverse()));
}

/**
 * The records that one file contributes. `first` is what newer kldxref do: the first module's record, then all others
 * that are not modules; older ones wrote every module, in the order of the set.
 */
export function hintsOfFile(kld: KldFile, file: string, order: 'first' | 'all' = 'all'): Hint[] {
  const hints: Hint[] = [];
  const add = (record: MetadataRecord) => {
    if (record.kind === 'module') hints.push({ type: 'module', module: record.name, file });
    else if (record.kind === 'version')
      hints.push({ type: 'version', module: record.name, version: record.version, file });
    else if (record.kind === 'pnp') {
      const pnp = readPnpTable(kld.image, record);
      hints.push({ type: 'pnp', bus: record.bus, ...pnp });
    }
  };
  if (order === 'all') {
    for (const record of kld.metadata) add(record);
    return hints;
  }
  for (const record of kld.modules.slice(0, 1)) add(record);
  for (const record of kld.metadata) if (record.kind !== 'module') add(record);
  return hints;
}

/** A module asked for by name: which file of the directory has it (linker_hints_lookup of kern_linker.c). */
export function lookUpHint(
  hints: readonly Hint[],
  module: string,
  wanted?: { minimum: number; preferred: number; maximum: number },
): HintVersion | undefined {
  let best: HintVersion | undefined;
  for (const hint of hints) {
    if (hint.type !== 'version' || hint.module !== module) continue;
    if (wanted === undefined || hint.version === wanted.preferred) return hint;
    const fits = hint.version >= wanted.minimum && hint.version <= wanted.maximum;
    if (fits && hint.version > (best?.version ?? Number.NEGATIVE_INFINITY)) best = hint;
  }
  return best;
}
