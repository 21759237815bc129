/**
 * A kernel image without section headers, as arm64 boots it (Documentation/arch/arm64/booting.rst) and as the boot programs of
 * arm, mips and s390x unpack it: what an ELF image names is found by its form. Exports are records of self-relative references
 * or of addresses, sorted by name, so one known name leads to the table.
 */
import { Invalid } from '../../../bytes/errors.ts';
import { Btf } from '../../../ctypes/btf.ts';
import { TypeTable } from '../../../ctypes/table.ts';
import { ownerOfParameter } from './builtin-names.ts';
import { findList } from './certificates.ts';
import { embeddedConfig, parseConfig } from './config.ts';
import { dataModelOf } from './data-model.ts';
import { ExportTable, type KernelExport } from './exports.ts';
import { findBanner, findVermagic, type ImageOptions, nearestExport } from './image.ts';
import type { KernelGap } from './kernelfile.ts';
import { KSYM_FLAG_GPL_ONLY } from './ksymtab.ts';
import { noTypes } from './no-types.ts';
import { rawParameters } from './raw-parameters.ts';
import { readRules, undecidedOf } from './rules.ts';
import type { Savable } from './saved.ts';
import type { RawShape } from './wrapped.ts';

/** Is it an arm64 Image? Its header has "ARM\x64" at 0x38. */
export const isArm64Image = (bytes: Uint8Array): boolean =>
  bytes.length > 64 && [0x41, 0x52, 0x4d, 0x64].every((byte, i) => bytes[0x38 + i] === byte);

/** An EFI program that unpacks a kernel (CONFIG_EFI_ZBOOT): "MZ", then "zimg", where the payload lies and how it is packed. */
export function zbootPayload(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < 64 || bytes[0] !== 0x4d || bytes[1] !== 0x5a) return undefined;
  if (![0x7a, 0x69, 0x6d, 0x67].every((byte, i) => bytes[4 + i] === byte)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [offset, size] = [view.getUint32(8, true), view.getUint32(12, true)];
  if (!(offset + size <= bytes.length)) {
    throw new Invalid('EFI image', `its payload ends at ${offset + size}, the file at ${bytes.length}`, {
      offset: 8,
    });
  }
  return bytes.subarray(offset, offset + size);
}

/** KIMAGE_VADDR with 48-bit addresses up to 6.x; addresses are shown, and decide nothing in a check. */
const LINK_BASE = Number(BigInt.asIntN(64, 0xffff800008000000n));

const ARM64 = { machine: 'aarch64', bits: 64, littleEndian: true } as const;

/** @throws Invalid */
export const readArm64Image = (bytes: Uint8Array, options: ImageOptions = {}): Savable =>
  readRawImage(bytes, ARM64, options);

/** An image without headers, of any machine. @throws Invalid */
export function readRawImage(bytes: Uint8Array, shape: RawShape, options: ImageOptions = {}): Savable {
  const text = new TextDecoder('latin1').decode(bytes);
  const texts = [{ bytes, text }];
  const banner = findBanner(texts);
  const release = banner.split(' ')[2] ?? '';
  const vermagic = findVermagic(texts, release);
  const config =
    embeddedConfig(bytes) ?? (options.config === undefined ? undefined : parseConfig(options.config));
  const btf = findBtf(bytes, options.btf, shape);
  const parameters = rawParameters(bytes, text, shape);
  const enforces = parameters?.value('module.sig_enforce');
  const evidence = readRules({
    enforces: enforces === undefined ? undefined : enforces !== 0,
    contains: (wanted) => text.includes(wanted),
    hasFunction: (name) => btf?.find('function', name) !== undefined,
    banner,
    vermagic,
    config,
  });
  const versioned = evidence.some(({ rule, present }) => rule === 'symbol-versions' && present);
  const exports = findExports(bytes, text, shape, versioned);
  const types = new TypeTable(btf ?? noTypes);
  let keyring: { readonly found: readonly Uint8Array[] | undefined } | undefined;
  return {
    ...shape,
    get certificates() {
      // Only a signature asks for it, and all of the image is looked through.
      keyring ??= { found: findList(bytes, shape) };
      return keyring.found;
    },
    release,
    vermagic,
    gaps: new Set<KernelGap>(vermagic === '' ? ['vermagic'] : []),
    banner,
    exports,
    evidence,
    rules: new Set(evidence.filter(({ present }) => present).map(({ rule }) => rule)),
    undecided: undecidedOf(evidence),
    types,
    btf,
    builtIns: parameters && new Set([...parameters.names.map(ownerOfParameter), ...parameters.versioned]),
    percpu: [],
    sections: [],
    config,
    moduleBytes: types.type('struct module') === undefined ? undefined : types.sizeof('struct module'),
    origin: options.origin ?? '',
    read: () => undefined,
    nearest: (address) => nearestExport(exports, address),
  };
}

const BTF_MAGIC = {
  little: [0x9f, 0xeb, 0x01, 0x00, 0x18, 0x00, 0x00, 0x00],
  big: [0xeb, 0x9f, 0x01, 0x00, 0x00, 0x00, 0x00, 0x18],
} as const;
/** struct btf_header */
const BTF_HEADER = 24;

/** The BTF blob with the most types: others may be of built-in test data. */
function findBtf(
  bytes: Uint8Array,
  given: Uint8Array | undefined,
  shape: Parameters<typeof dataModelOf>[0],
): Btf | undefined {
  const model = dataModelOf(shape);
  if (given !== undefined) return new Btf(given, { model });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = shape.littleEndian;
  const magic = little ? BTF_MAGIC.little : BTF_MAGIC.big;
  let best: Uint8Array | undefined;
  for (let at = bytes.indexOf(magic[0]); at >= 0; at = bytes.indexOf(magic[0], at + 1)) {
    if (at + BTF_HEADER > bytes.length || !magic.every((byte, i) => bytes[at + i] === byte)) continue;
    const end = at + BTF_HEADER + view.getUint32(at + 16, little) + view.getUint32(at + 20, little);
    if (end <= bytes.length && end - at > (best?.length ?? 0)) best = bytes.subarray(at, end);
  }
  return best === undefined ? undefined : new Btf(best, { model });
}

/** Exported by every kernel that has modules; the second name is that of kernels before 5.15. */
const ANCHORS = ['_printk', 'printk'];
const MAX_NAME = 256;

type Row = Omit<KernelExport, 'isFunction' | 'crc' | 'gplOnly'>;

/** struct kernel_symbol: value, name, namespace; each a distance from its own place, or an address. */
interface Form {
  /** Bytes of one of the three. */
  readonly word: 4 | 8;
  /** Added to an address it gives the place in the file; undefined where there are distances. */
  readonly base: number | undefined;
}

function findExports(bytes: Uint8Array, text: string, shape: RawShape, versioned: boolean): ExportTable {
  for (const name of ANCHORS) {
    const places = placesOf(text, `${name}\0`);
    if (places.size === 0) continue;
    for (const finder of [
      new ExportFinder(bytes, text, shape, { word: 4, base: undefined }),
      ...absoluteFinders(bytes, text, shape, places),
    ]) {
      const entry = finder.anchor(places);
      if (entry !== undefined) return finder.table(entry, versioned);
    }
  }
  throw new Invalid('kernel image', `nothing in it exports ${ANCHORS[0]}: no modules can be loaded`);
}

function placesOf(text: string, wanted: string): Set<number> {
  const places = new Set<number>();
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) places.add(at);
  return places;
}

/** Kernels are linked at whole pages. */
const PAGE = 0x1000;
/** A run of this many names in order is no accident; distances are less likely than addresses. */
const ENOUGH = { distances: 2, addresses: 16 } as const;

/** A finder for each address at which the image would be linked if a word in it were the anchor's name. */
function* absoluteFinders(
  bytes: Uint8Array,
  text: string,
  shape: RawShape,
  places: ReadonlySet<number>,
): Generator<ExportFinder> {
  const { bits, littleEndian } = shape;
  const word = bits === 64 ? 8 : 4;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const low = [...places].map((place) => place % PAGE);
  const tried = new Set<number>();
  for (let at = word; at + word <= bytes.length; at += word) {
    // The last twelve bits alone leave few.
    const last = littleEndian ? view.getUint16(at, true) : view.getUint16(at + word - 2, false);
    if (!low.includes(last % PAGE)) continue;
    const address = wordAt(view, at, word, littleEndian);
    if (address === 0) continue;
    for (const place of places) {
      const base = address - place;
      if (base % PAGE !== 0 || tried.has(base)) continue;
      const finder = new ExportFinder(bytes, text, shape, { word, base });
      if (!finder.isEntry(at - word)) continue;
      tried.add(base);
      yield finder;
    }
  }
}

/** Addresses are signed in 64 bits, as everywhere. */
const wordAt = (view: DataView, at: number, word: 4 | 8, littleEndian: boolean): number =>
  word === 4 ? view.getUint32(at, littleEndian) : Number(view.getBigInt64(at, littleEndian));

class ExportFinder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #text: string;
  readonly #littleEndian: boolean;
  readonly #form: Form;
  readonly #entry: number;

  constructor(bytes: Uint8Array, text: string, { littleEndian }: RawShape, form: Form) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#text = text;
    this.#littleEndian = littleEndian;
    this.#form = form;
    this.#entry = 3 * form.word;
  }

  table(entry: number, versioned: boolean): ExportTable {
    const size = this.#entry;
    let start = entry;
    while (this.#follows(start - size, start)) start -= size;
    const end = this.#end(entry);
    const plain = this.#rows(start, end);
    // The table of GPL-only exports lies behind, in newer kernels a byte of flags for each instead.
    const gplEnd = this.#name(end) === undefined ? end : this.#end(end);
    const gpl = this.#rows(end, gplEnd);
    const flags = gpl.length === 0 ? this.#bytes.subarray(end, end + plain.length) : undefined;
    const crcs = (gplEnd + (flags?.length ?? 0) + 3) & ~3;
    const crcOf = (i: number) =>
      versioned && crcs + 4 * i + 4 <= this.#bytes.length
        ? this.#view.getUint32(crcs + 4 * i, this.#littleEndian)
        : undefined;
    const flagged = (i: number) => ((flags?.[i] ?? 0) & KSYM_FLAG_GPL_ONLY) !== 0;
    return ExportTable.from([
      ...plain.map((row, i) => ({ ...row, gplOnly: flagged(i), crc: crcOf(i) })),
      ...gpl.map((row, i) => ({ ...row, gplOnly: true, crc: crcOf(plain.length + i) })),
    ]);
  }

  /** The entry whose name lies at one of these places; a name may be the tail of a longer one, as strings are merged. */
  anchor(places: ReadonlySet<number>): number | undefined {
    const { word } = this.#form;
    for (let field = word; field + 2 * word <= this.#bytes.length; field += 4) {
      if (places.has(this.#target(field)) && this.isEntry(field - word)) return field - word;
    }
    return undefined;
  }

  /** Does a table go on from here, in the order of its names? */
  isEntry(entry: number): boolean {
    const size = this.#entry;
    const enough = this.#form.base === undefined ? ENOUGH.distances : ENOUGH.addresses;
    for (let i = 0; i < enough; i++)
      if (!this.#follows(entry + i * size, entry + (i + 1) * size)) return false;
    return true;
  }

  #end(entry: number): number {
    let end = entry + this.#entry;
    while (this.#follows(end - this.#entry, end)) end += this.#entry;
    return end;
  }

  /** Are both entries, in the order of their names? */
  #follows(first: number, second: number): boolean {
    const [a, b] = [this.#name(first), this.#name(second)];
    return a !== undefined && b !== undefined && a < b;
  }

  /** Place in the file that a field refers to. */
  #target(field: number): number {
    const { word, base } = this.#form;
    if (base === undefined) return field + this.#view.getInt32(field, this.#littleEndian);
    return wordAt(this.#view, field, word, this.#littleEndian) - base;
  }

  /** The name of the entry at an offset; undefined when none can be there. */
  #name(entry: number): string | undefined {
    if (entry < 0 || entry + this.#entry > this.#bytes.length) return undefined;
    const at = this.#target(entry + this.#form.word);
    if (!(at > 0 && at < this.#bytes.length)) return undefined;
    const end = this.#bytes.indexOf(0, at);
    if (end <= at || end - at > MAX_NAME) return undefined;
    const name = this.#text.slice(at, end);
    return /^[A-Za-z_][\w.$]*$/.test(name) ? name : undefined;
  }

  #rows(start: number, end: number): Row[] {
    const rows: Row[] = [];
    const { word, base } = this.#form;
    for (let entry = start; entry < end; entry += this.#entry) {
      const field = entry + 2 * word;
      const from = this.#target(field);
      // Nothing refers to itself, and nothing lies at address 0.
      const none = base === undefined ? from === field : from === -base;
      const namespace =
        none || !(from > 0 && from < this.#bytes.length)
          ? ''
          : this.#text.slice(from, this.#bytes.indexOf(0, from));
      const address = this.#target(entry) + (base ?? LINK_BASE);
      rows.push({ name: this.#name(entry) ?? '', address, namespace, kind: 'absolute' });
    }
    return rows;
  }
}
