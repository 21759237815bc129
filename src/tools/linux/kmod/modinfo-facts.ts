/** What modinfo knows of a module file, as bytes of that file, and its rows written from them. */
import { type ByteSource, ElfFacts, latin } from '../../../systems/linux/tree/elf-facts.ts';
import { ByteText } from './byte-text.ts';
import type { Field, SignatureReader } from './signature-fields.ts';

/** Label and value, as they stand in the file. */
export type Entry = readonly [key: string, value: string];

/** Good for as long as the file is open. */
export interface FileFacts {
  /** .modinfo: `key=value`, each with a NUL behind it. */
  readonly strings: Uint8Array;
  /** What is not in .modinfo: build-id and the parts of the signature. */
  readonly others: readonly Field[];
}

const EQUALS = 0x3d;
const SPACE = 0x20;
const LINE_FEED = 0x0a;
const COLON = 0x3a;
/** Values begin in this column, or behind their key where it is longer. */
const VALUE_AT = 16;
/** Bytes a line of hexadecimal digits, as the tool breaks them; the lines after the first are set in. */
const BYTES_A_LINE = 20;
/** `parm` and `parmtype`, which are shown together. */
const PARAMETER = /* @__PURE__ */ [...'parm'].map((char) => char.charCodeAt(0));

/** @throws NotAModule */
export function factsOf(source: ByteSource, signatures: SignatureReader): FileFacts {
  const elf = new ElfFacts(source);
  // While the end of the file, where the section headers stand, is still in memory.
  const signature = signatures.fields(source);
  const strings = elf.modinfoBytes();
  const id = elf.buildId();
  return { strings, others: id === undefined ? signature : [['build-id', id], ...signature] };
}

/** In the order in which they are shown. */
export function entriesOf({ strings, others }: FileFacts): Entry[] {
  const entries: Entry[] = [];
  eachString(strings, (from, equals, to) => {
    entries.push([latin(strings, from, equals), equals < to ? latin(strings, equals + 1, to) : '']);
  });
  for (const [key, value] of others)
    entries.push([key, typeof value === 'string' ? value : hexadecimal(value)]);
  return entries;
}

/** The rows of all but the parameters, which `parameter` gets. */
export function writeRows(
  text: ByteText,
  { strings, others }: FileFacts,
  parameter: (key: string, value: string) => void,
): void {
  eachString(strings, (from, equals, to) => {
    if (isParameter(strings, from, equals)) {
      parameter(latin(strings, from, equals), equals < to ? latin(strings, equals + 1, to) : '');
      return;
    }
    text.bytes(strings, from, equals);
    pad(text, equals - from);
    if (equals < to) text.bytes(strings, equals + 1, to);
    text.byte(LINE_FEED);
  });
  for (const [key, value] of others) {
    text.text(key);
    pad(text, key.length);
    if (typeof value === 'string') text.text(value);
    else text.hexadecimal(value, BYTES_A_LINE);
    text.byte(LINE_FEED);
  }
}

function pad(text: ByteText, keyLength: number): void {
  text.byte(COLON);
  text.fill(SPACE, VALUE_AT - 1 - keyLength);
}

/** A string without '=' is a key alone: `equals` is its end. Empty ones are padding. */
function eachString(bytes: Uint8Array, use: (from: number, equals: number, to: number) => void): void {
  let equals = -1;
  for (let from = 0, at = 0; at <= bytes.length; at++) {
    const byte = at < bytes.length ? bytes[at] : 0;
    if (byte === EQUALS && equals < 0) equals = at;
    if (byte !== 0) continue;
    if (at > from) use(from, equals < 0 ? at : equals, at);
    equals = -1;
    from = at + 1;
  }
}

function isParameter(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = 0; i < PARAMETER.length; i++) if (bytes[from + i] !== PARAMETER[i]) return false;
  const length = to - from;
  return length === PARAMETER.length || (length === 8 && latin(bytes, from, to) === 'parmtype');
}

function hexadecimal(bytes: Uint8Array): string {
  const text = new ByteText();
  text.hexadecimal(bytes, BYTES_A_LINE);
  return text.take().toString('latin1');
}
