import { Invalid, Truncated } from '../bytes/errors.ts';
import type { Btf } from './btf.ts';
import {
  BTF_HEADER_BYTES,
  BTF_MAGIC,
  BTF_VERSION,
  EXTRA_WORDS,
  infoKind,
  infoLength,
  Kind,
} from './btf-layout.ts';

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

/** Numbers to references and back, in the state that both directions go through alike. */
class References {
  readonly #strings: Uint8Array;
  #nextName = 1;
  #nextType = 1;
  /** Base of the distances of the current record. */
  last = 0;

  constructor(strings: Uint8Array) {
    this.#strings = strings;
  }

  encode(role: number, word: number): number {
    switch (role) {
      case TYPE_NAME:
      case INNER_NAME: {
        if (word === this.#nextName) return this.#newName(1);
        return word === 0 ? 0 : word + 1;
      }
      case INNER_TYPE:
        if (word === this.#nextType) return this.#newType(1);
        return word === 0 ? 0 : word + 1;
      case DISTANCE: {
        const distance = (word - this.last) >>> 0;
        this.last = word;
        return distance;
      }
      default:
        return word;
    }
  }

  decode(role: number, code: number): number {
    switch (role) {
      case TYPE_NAME:
      case INNER_NAME: {
        if (code === 1) return this.#newName(this.#nextName);
        return code === 0 ? 0 : code - 1;
      }
      case INNER_TYPE:
        if (code === 1) return this.#newType(this.#nextType);
        return code === 0 ? 0 : code - 1;
      case DISTANCE:
        this.last = (this.last + code) >>> 0;
        return this.last;
      default:
        return code;
    }
  }

  #newName(result: number): number {
    // A loop, since names are short and a call of indexOf costs more than one.
    const strings = this.#strings;
    let end = this.#nextName;
    while (end < strings.length && strings[end] !== 0) end++;
    this.#nextName = end + 1;
    return result;
  }

  #newType(result: number): number {
    this.#nextType++;
    return result;
  }
}

/** The types of a base BTF (not a split one), rearranged. */
export function packBtf(btf: Btf): Uint8Array {
  const { strings, words } = btf;
  const streams = Array.from({ length: STREAMS }, (): number[] => []);
  const references = new References(strings);
  const put = (role: number, word: number) => streams[role]!.push(references.encode(role, word));
  for (const start of btf.starts) {
    const info = words[start + 1]!;
    const roles = ROLES[infoKind(info)]!;
    put(TYPE_NAME, words[start]!);
    put(INFO, info);
    put(thirdRole(infoKind(info)), words[start + 2]!);
    references.last = 0;
    for (let i = 0; i < extraWords(info); i++) put(roles[i % roles.length]!, words[start + 3 + i]!);
  }
  const total = streams.reduce((sum, stream) => sum + stream.length, 0);
  const bytes = new Uint8Array((HEADER_WORDS + total) * 4 + strings.length);
  const view = new DataView(bytes.buffer);
  const lengths = streams.map((stream) => stream.length);
  const header = [btf.model.littleEndian ? 0 : 1, words.length, strings.length, ...lengths];
  for (const [i, value] of header.entries()) view.setUint32(i * 4, value, true);
  let at = HEADER_WORDS * 4;
  for (const stream of streams) {
    writePlanes(bytes, at, stream);
    at += stream.length * 4;
  }
  bytes.set(strings, at);
  return bytes;
}

/** The BTF blob that was packed. Throws Truncated or Invalid. */
export function unpackBtf(bytes: Uint8Array): Uint8Array {
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
  return assemble(unpackWords(streams, strings, wordCount), strings, flags === 0);
}

function unpackWords(streams: readonly Uint32Array[], strings: Uint8Array, count: number): Uint32Array {
  const words = new Uint32Array(count);
  const references = new References(strings);
  const next = new Uint32Array(STREAMS);
  const take = (role: number): number => references.decode(role, streams[role]![next[role]!++]!);
  let at = 0;
  while (at < count) {
    const name = take(TYPE_NAME);
    const info = take(INFO);
    const kind = infoKind(info);
    const extra = extraWords(info);
    if (at + 3 + extra > count || kind >= ROLES.length)
      throw new Invalid('packed types', 'a record passes the end');
    words[at] = name;
    words[at + 1] = info;
    words[at + 2] = take(thirdRole(kind));
    references.last = 0;
    const roles = ROLES[kind]!;
    for (let i = 0, role = 0; i < extra; i++) {
      words[at + 3 + i] = take(roles[role]!);
      if (++role === roles.length) role = 0;
    }
    at += 3 + extra;
  }
  for (let i = 0; i < STREAMS; i++) {
    if (next[i]! > streams[i]!.length) throw new Truncated('packed types', `stream ${i} is too short`);
  }
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

function assemble(words: Uint32Array, strings: Uint8Array, littleEndian: boolean): Uint8Array {
  const typeBytes = words.length * 4;
  const bytes = new Uint8Array(BTF_HEADER_BYTES + typeBytes + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, BTF_MAGIC, littleEndian);
  view.setUint8(2, BTF_VERSION);
  const header = [BTF_HEADER_BYTES, 0, typeBytes, typeBytes, strings.length];
  for (const [i, value] of header.entries()) view.setUint32(4 + i * 4, value, littleEndian);
  for (let i = 0; i < words.length; i++) view.setUint32(BTF_HEADER_BYTES + i * 4, words[i]!, littleEndian);
  bytes.set(strings, BTF_HEADER_BYTES + typeBytes);
  return bytes;
}
