import { Invalid, Truncated } from '../bytes/errors.ts';
import type { Btf } from './btf.ts';
import type { BtfParts } from './btf-blob.ts';
import { EXTRA_WORDS, infoKind, infoLength, Kind } from './btf-layout.ts';

/*
 * BTF rearranged so that a general compressor does twice as well on it, and turned back at load:
 *
 *   0  flags: 1 = the blob is big-endian
 *   4  words of types, bytes of strings, then the length of each stream (little-endian u32 each)
 *      the streams, each as four planes of bytes; the strings
 *
 * A stream holds one kind of word. References are written so that the common case is a small number: a name that
 * comes right behind the last new one, a type one above the highest so far, an offset as distance from the one before.
 */
const STREAMS = 7;
const HEADER_WORDS = 3 + STREAMS;

/** Stream numbers. */
const TYPE_NAME = 0;
const INNER_NAME = 1;
const INFO = 2;
const THIRD = 3;
const INNER_TYPE = 4;
const DISTANCE = 5;
const PLAIN = 6;

/** The words behind the first three of a record, by kind: which stream each goes to, repeated for every element. */
const ROLES: readonly (readonly number[])[] = EXTRA_WORDS.map(([fixed, each], kind) => {
  switch (kind) {
    case Kind.Array:
      return [INNER_TYPE, INNER_TYPE, PLAIN];
    case Kind.Struct:
    case Kind.Union:
      return [INNER_NAME, INNER_TYPE, DISTANCE];
    case Kind.Enum:
      return [INNER_NAME, DISTANCE];
    case Kind.FunctionPrototype:
      return [INNER_NAME, INNER_TYPE];
    default:
      return new Array<number>(fixed + each).fill(PLAIN);
  }
});

/** How many words follow the first three of a record. */
function extraWords(info: number): number {
  const extra = EXTRA_WORDS[infoKind(info)];
  return extra === undefined ? 0 : extra[0] + extra[1] * infoLength(info);
}

/** The third word of a record is a size, or a type. */
function thirdRole(kind: number): number {
  const typed =
    kind === Kind.Pointer || (kind >= Kind.Typedef && kind <= Kind.Variable) || kind >= Kind.DeclTag;
  return typed && kind !== Kind.Enum64 ? INNER_TYPE : THIRD;
}

/** Turns words into codes: small numbers for what comes next anyway. */
class Coder {
  readonly #strings: Uint8Array;
  #nextName = 1;
  #nextType = 1;
  /** Base of the distances of the current record. */
  last = 0;

  constructor(strings: Uint8Array) {
    this.#strings = strings;
  }

  code(role: number, word: number): number {
    switch (role) {
      case TYPE_NAME:
      case INNER_NAME:
        if (word !== this.#nextName) return word === 0 ? 0 : word + 1;
        this.#nextName = stringEnd(this.#strings, word);
        return 1;
      case INNER_TYPE:
        if (word !== this.#nextType) return word === 0 ? 0 : word + 1;
        this.#nextType++;
        return 1;
      case DISTANCE: {
        const distance = (word - this.last) >>> 0;
        this.last = word;
        return distance;
      }
      default:
        return word;
    }
  }
}

/** Where the string behind the one at `at` begins. */
function stringEnd(strings: Uint8Array, at: number): number {
  const end = strings.indexOf(0, at);
  return end < 0 ? strings.length : end + 1;
}

/** The types of a base BTF (not a split one), rearranged. */
export function packBtf(btf: Btf): Uint8Array {
  const { strings, words } = btf;
  const streams = Array.from({ length: STREAMS }, (): number[] => []);
  const coder = new Coder(strings);
  const put = (role: number, word: number) => streams[role]!.push(coder.code(role, word));
  for (const start of btf.starts) {
    const info = words[start + 1]!;
    const roles = ROLES[infoKind(info)]!;
    put(TYPE_NAME, words[start]!);
    put(INFO, info);
    put(thirdRole(infoKind(info)), words[start + 2]!);
    coder.last = 0;
    for (let i = 0; i < extraWords(info); i++) put(roles[i % roles.length]!, words[start + 3 + i]!);
  }
  const total = streams.reduce((sum, stream) => sum + stream.length, 0);
  const bytes = new Uint8Array((HEADER_WORDS + total) * 4 + strings.length);
  const view = new DataView(bytes.buffer);
  const lengths = streams.map((stream) => stream.length);
  const header = [btf.littleEndian ? 0 : 1, words.length, strings.length, ...lengths];
  for (const [i, value] of header.entries()) view.setUint32(i * 4, value, true);
  let at = HEADER_WORDS * 4;
  for (const stream of streams) {
    writePlanes(bytes, at, stream);
    at += stream.length * 4;
  }
  bytes.set(strings, at);
  return bytes;
}

/** The BTF that was packed. Throws Truncated or Invalid. */
export function unpackBtf(bytes: Uint8Array): BtfParts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_WORDS * 4) throw new Truncated('packed types', `have ${bytes.length} bytes`);
  const header = Array.from({ length: HEADER_WORDS }, (_, i) => view.getUint32(i * 4, true));
  const [flags, wordCount, stringBytes, ...lengths] = header as [number, number, number, ...number[]];
  const streamWords = lengths.reduce((sum, n) => sum + n, 0);
  const needed = (HEADER_WORDS + streamWords) * 4 + stringBytes;
  if (needed > bytes.length)
    throw new Truncated('packed types', `need ${needed} bytes, have ${bytes.length}`);
  // Every word of the types stands in exactly one stream.
  if (wordCount !== streamWords) throw new Invalid('packed types', `${streamWords} words for ${wordCount}`);
  let at = HEADER_WORDS * 4;
  const streams = lengths.map((length) => {
    const words = readPlanes(bytes, at, length);
    at += length * 4;
    return words;
  });
  const strings = bytes.subarray(at, at + stringBytes);
  return { words: unpackWords(streams, strings, wordCount), strings, littleEndian: flags === 0 };
}

/** Coder backwards: codes to words, stream by stream. */
class Decoder {
  readonly #streams: readonly Uint32Array[];
  readonly #strings: Uint8Array;
  readonly #next = new Uint32Array(STREAMS);
  #nextName = 1;
  #nextType = 1;
  #last = 0;

  constructor(streams: readonly Uint32Array[], strings: Uint8Array) {
    this.#streams = streams;
    this.#strings = strings;
  }

  startRecord(): void {
    this.#last = 0;
  }

  take(role: number): number {
    const code = this.#streams[role]![this.#next[role]!++]!;
    switch (role) {
      case TYPE_NAME:
      case INNER_NAME:
        if (code !== 1) return code === 0 ? 0 : code - 1;
        return this.#newName();
      case INNER_TYPE:
        if (code !== 1) return code === 0 ? 0 : code - 1;
        return this.#nextType++;
      case DISTANCE:
        return (this.#last = (this.#last + code) >>> 0);
      default:
        return code;
    }
  }

  /**
   * Members of a struct or union: two thirds of all words. Over local variables, since this runs once, in a process
   * that has just begun and before any compiler has looked at it (measured: a third of the time of `take` for each).
   */
  members(words: Uint32Array, at: number, end: number): void {
    const names = this.#streams[INNER_NAME]!;
    const types = this.#streams[INNER_TYPE]!;
    const distances = this.#streams[DISTANCE]!;
    let [nameAt, typeAt, distanceAt] = [
      this.#next[INNER_NAME]!,
      this.#next[INNER_TYPE]!,
      this.#next[DISTANCE]!,
    ];
    let nextType = this.#nextType;
    let last = 0;
    for (; at < end; at += 3) {
      const name = names[nameAt++]!;
      words[at] = name > 1 ? name - 1 : name === 1 ? this.#newName() : 0;
      const type = types[typeAt++]!;
      words[at + 1] = type > 1 ? type - 1 : type === 1 ? nextType++ : 0;
      last += distances[distanceAt++]!;
      words[at + 2] = last;
    }
    this.#nextType = nextType;
    [this.#next[INNER_NAME], this.#next[INNER_TYPE], this.#next[DISTANCE]] = [nameAt, typeAt, distanceAt];
  }

  /** Throws Truncated when more was taken than there is. */
  finish(): void {
    for (let i = 0; i < STREAMS; i++) {
      if (this.#next[i]! > this.#streams[i]!.length)
        throw new Truncated('packed types', `stream ${i} is too short`);
    }
  }

  #newName(): number {
    const name = this.#nextName;
    this.#nextName = stringEnd(this.#strings, name);
    return name;
  }
}

function unpackWords(streams: readonly Uint32Array[], strings: Uint8Array, count: number): Uint32Array {
  const words = new Uint32Array(count);
  const decoder = new Decoder(streams, strings);
  let at = 0;
  while (at < count) {
    const name = decoder.take(TYPE_NAME);
    const info = decoder.take(INFO);
    const kind = infoKind(info);
    const roles = ROLES[kind];
    const end = at + 3 + extraWords(info);
    if (end > count || roles === undefined) throw new Invalid('packed types', 'a record passes the end');
    words[at] = name;
    words[at + 1] = info;
    words[at + 2] = decoder.take(thirdRole(kind));
    at += 3;
    decoder.startRecord();
    if (kind === Kind.Struct || kind === Kind.Union) decoder.members(words, at, end);
    else for (let i = at; i < end; i++) words[i] = decoder.take(roles[(i - at) % roles.length]!);
    at = end;
  }
  decoder.finish();
  return words;
}

/** Words in four planes, the lowest bytes first. */
function readPlanes(bytes: Uint8Array, at: number, length: number): Uint32Array {
  const words = new Uint32Array(length);
  for (let i = 0; i < length; i++) {
    const from = at + i;
    const low = bytes[from]! | (bytes[from + length]! << 8);
    words[i] = low | (bytes[from + 2 * length]! << 16) | (bytes[from + 3 * length]! << 24);
  }
  return words;
}

function writePlanes(out: Uint8Array, at: number, words: readonly number[]): void {
  for (let plane = 0; plane < 4; plane++) {
    for (const word of words) out[at++] = (word >>> (plane * 8)) & 0xff;
  }
}
