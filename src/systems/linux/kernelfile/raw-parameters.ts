/**
 * The parameters of the kernel itself in an image without section headers (`__param`, and `__modver` behind it): a table of
 * records that begin with the address of a name. One known name leads to it, and to the address the image is linked at.
 */
import { PARAMETER_ENTRY, VERSION_ENTRY } from './builtin-parameter.ts';
import type { RawShape } from './wrapped.ts';

export interface RawParameters {
  /** `module.parameter`, or `parameter` of the core kernel. */
  readonly names: readonly string[];
  /** Names of built-in parts that say their version. */
  readonly versioned: readonly string[];
  /** First byte of the variable behind a parameter. */
  value(name: string): number | undefined;
}

/** Parameters of parts that every kernel has. */
const ANCHORS = ['printk.time', 'workqueue.power_efficient', 'module.sig_enforce'];
/** A run of this many names, with a second known one among them, is no accident. */
const ENOUGH = 8;
/** Kernels are linked at whole pages. */
const PAGE = 0x1000;
/** Longer than any parameter's name. */
const MAX_NAME = 128;
const NAME = /^\w[\w.-]*$/;

/** Elf64_Rela with R_AARCH64_RELATIVE: arm64 leaves the places empty and has their values in a table. */
const RELATIVE = 0x403;
const RELA_BYTES = 24;

/** undefined where no such table is found. */
export function rawParameters(bytes: Uint8Array, text: string, shape: RawShape): RawParameters | undefined {
  const pointers = new Pointers(bytes, shape);
  for (const name of ANCHORS) {
    const start = text.indexOf(`\0${name}\0`);
    if (start < 0) continue;
    for (const { field, base } of pointers.leadingTo(start + 1)) {
      const found = tableAround(pointers, text, shape, field, base);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

class Pointers {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #word: 4 | 8;
  readonly #littleEndian: boolean;
  /** Value by address, of places that the kernel fills when it starts. */
  readonly #relative = new Map<number, number>();

  constructor(bytes: Uint8Array, { bits, littleEndian, machine }: RawShape) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#word = bits === 64 ? 8 : 4;
    this.#littleEndian = littleEndian;
    if (machine !== 'aarch64') return;
    for (let at = 0; at + RELA_BYTES <= bytes.length; at += 8) {
      if (this.#view.getUint32(at + 8, true) !== RELATIVE || this.#view.getUint32(at + 12, true) !== 0)
        continue;
      this.#relative.set(this.#at(at), this.#at(at + 16));
    }
  }

  get size(): number {
    return this.#bytes.length;
  }

  byte(at: number): number | undefined {
    return this.#bytes[at];
  }

  /** Fields that would hold the address of a place if the image were linked at `base`. */
  *leadingTo(place: number): Generator<{ readonly field: number; readonly base: number }> {
    for (const [address, value] of this.#relative) {
      const base = value - place;
      const field = address - base;
      if (base % PAGE === 0 && field > 0 && field < this.size) yield { field, base };
    }
    for (let field = 0; field + this.#word <= this.size; field += this.#word) {
      const base = this.#at(field) - place;
      if (base % PAGE === 0 && base !== -place) yield { field, base };
    }
  }

  /** Place in the image that the field refers to, when that is linked at `base`. */
  target(field: number, base: number): number | undefined {
    if (field < 0 || field + this.#word > this.size) return undefined;
    return (this.#relative.get(field + base) ?? this.#at(field)) - base;
  }

  /** Addresses are signed in 64 bits. */
  #at(at: number): number {
    return this.#word === 8
      ? Number(this.#view.getBigInt64(at, this.#littleEndian))
      : this.#view.getUint32(at, this.#littleEndian);
  }
}

function tableAround(
  pointers: Pointers,
  text: string,
  { bits }: RawShape,
  field: number,
  base: number,
): RawParameters | undefined {
  const entry = PARAMETER_ENTRY[bits];
  const nameAt = (at: number): string | undefined => {
    const place = pointers.target(at, base);
    const name =
      place === undefined || place <= 0 ? '' : (text.slice(place, place + MAX_NAME).split('\0', 1)[0] ?? '');
    return NAME.test(name) ? name : undefined;
  };
  let start = field;
  while (nameAt(start - entry.bytes) !== undefined) start -= entry.bytes;
  const fields = new Map<string, number>();
  let end = start;
  for (let name = nameAt(end); name !== undefined && name !== 'version'; name = nameAt(end)) {
    if (!fields.has(name)) fields.set(name, end);
    end += entry.bytes;
  }
  if (fields.size < ENOUGH || ANCHORS.filter((name) => fields.has(name)).length < 2) return undefined;
  const version = VERSION_ENTRY[bits];
  const versioned: string[] = [];
  for (let at = end; nameAt(at) === 'version'; at += version.bytes)
    versioned.push(nameAt(at + version.module) ?? '');
  return {
    names: [...fields.keys()],
    versioned: versioned.filter((name) => name !== ''),
    value(name) {
      const at = fields.get(name);
      const place = at === undefined ? undefined : pointers.target(at + entry.variable, base);
      // What lies behind the image's end is zero from the start.
      return place === undefined || place < 0 ? undefined : (pointers.byte(place) ?? 0);
    },
  };
}
