/**
 * A kernel image without section headers, as arm64 boots it (Documentation/arch/arm64/booting.rst): what an ELF image names is
 * found by its form. Exports are records of self-relative references, sorted by name, so one known name leads to the table.
 */
import { Invalid } from '../../../bytes/errors.ts';
import { Btf } from '../../../ctypes/btf.ts';
import { TypeTable } from '../../../ctypes/table.ts';
import { embeddedConfig, parseConfig } from './config.ts';
import { dataModelOf } from './data-model.ts';
import { ExportTable, type KernelExport } from './exports.ts';
import { findBanner, findVermagic, type ImageOptions, nearestExport } from './image.ts';
import { KSYM_FLAG_GPL_ONLY } from './ksymtab.ts';
import { noTypes } from './no-types.ts';
import { readRules, undecidedOf } from './rules.ts';
import type { Savable } from './saved.ts';

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

/** @throws Invalid */
export function readArm64Image(bytes: Uint8Array, options: ImageOptions = {}): Savable {
  const text = new TextDecoder('latin1').decode(bytes);
  const texts = [{ bytes, text }];
  const banner = findBanner(texts);
  const release = banner.split(' ')[2] ?? '';
  const vermagic = findVermagic(texts, release);
  const config =
    embeddedConfig(bytes) ?? (options.config === undefined ? undefined : parseConfig(options.config));
  const shape = { machine: 'aarch64', bits: 64, littleEndian: true } as const;
  const btf = findBtf(bytes, options.btf, shape);
  const evidence = readRules({
    contains: (wanted) => text.includes(wanted),
    hasFunction: (name) => btf?.find('function', name) !== undefined,
    banner,
    vermagic,
    config,
  });
  const versioned = evidence.some(({ rule, present }) => rule === 'symbol-versions' && present);
  const exports = new ExportFinder(bytes, text).table(versioned);
  const types = new TypeTable(btf ?? noTypes);
  return {
    ...shape,
    release,
    vermagic,
    banner,
    exports,
    evidence,
    rules: new Set(evidence.filter(({ present }) => present).map(({ rule }) => rule)),
    undecided: undecidedOf(evidence),
    types,
    btf,
    percpu: [],
    sections: [],
    config,
    moduleBytes: types.type('struct module') === undefined ? undefined : types.sizeof('struct module'),
    origin: options.origin ?? '',
    read: () => undefined,
    nearest: (address) => nearestExport(exports, address),
  };
}

const BTF_MAGIC = [0x9f, 0xeb, 0x01, 0x00, 0x18, 0x00, 0x00, 0x00];
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
  let best: Uint8Array | undefined;
  for (let at = bytes.indexOf(BTF_MAGIC[0]); at >= 0; at = bytes.indexOf(BTF_MAGIC[0], at + 1)) {
    if (at + BTF_HEADER > bytes.length || !BTF_MAGIC.every((byte, i) => bytes[at + i] === byte)) continue;
    const end = at + BTF_HEADER + view.getUint32(at + 16, true) + view.getUint32(at + 20, true);
    if (end <= bytes.length && end - at > (best?.length ?? 0)) best = bytes.subarray(at, end);
  }
  return best === undefined ? undefined : new Btf(best, { model });
}

/** struct kernel_symbol: three 32-bit references, each relative to its own place: value, name, namespace. */
const ENTRY = 12;
/** Exported by every kernel that has modules. */
const ANCHOR = '_printk';
const OLD_ANCHOR = 'printk';
const MAX_NAME = 256;

type Row = Omit<KernelExport, 'isFunction' | 'crc' | 'gplOnly'>;

class ExportFinder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #text: string;

  constructor(bytes: Uint8Array, text: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#text = text;
  }

  table(versioned: boolean): ExportTable {
    const entry = this.#anchor(ANCHOR) ?? this.#anchor(OLD_ANCHOR);
    if (entry === undefined)
      throw new Invalid('kernel image', `nothing in it exports ${ANCHOR}: no modules can be loaded`);
    let start = entry;
    while (this.#follows(start - ENTRY, start)) start -= ENTRY;
    let end = entry + ENTRY;
    while (this.#follows(end - ENTRY, end)) end += ENTRY;
    const plain = this.#rows(start, end);
    // The table of GPL-only exports lies behind, in newer kernels a byte of flags for each instead.
    let gplEnd = end;
    if (this.#name(end) !== undefined)
      for (gplEnd += ENTRY; this.#follows(gplEnd - ENTRY, gplEnd); ) gplEnd += ENTRY;
    const gpl = this.#rows(end, gplEnd);
    const flags = gpl.length === 0 ? this.#bytes.subarray(end, end + plain.length) : undefined;
    const crcs = (gplEnd + (flags?.length ?? 0) + 3) & ~3;
    const crcOf = (i: number) =>
      versioned && crcs + 4 * i + 4 <= this.#bytes.length
        ? this.#view.getUint32(crcs + 4 * i, true)
        : undefined;
    const flagged = (i: number) => ((flags?.[i] ?? 0) & KSYM_FLAG_GPL_ONLY) !== 0;
    return ExportTable.from([
      ...plain.map((row, i) => ({ ...row, gplOnly: flagged(i), crc: crcOf(i) })),
      ...gpl.map((row, i) => ({ ...row, gplOnly: true, crc: crcOf(plain.length + i) })),
    ]);
  }

  /** Offset of the entry whose name is this; the name may be the tail of a longer one, as the strings are merged. */
  #anchor(name: string): number | undefined {
    const places = new Set<number>();
    const wanted = `${name}\0`;
    for (let at = this.#text.indexOf(wanted); at >= 0; at = this.#text.indexOf(wanted, at + 1))
      places.add(at);
    const view = this.#view;
    for (let field = 4; places.size > 0 && field + 8 <= this.#bytes.length; field += 4) {
      if (!places.has(field + view.getInt32(field, true))) continue;
      const entry = field - 4;
      const inTable = this.#follows(entry, entry + ENTRY) && this.#follows(entry + ENTRY, entry + 2 * ENTRY);
      if (inTable) return entry;
    }
    return undefined;
  }

  /** Are both entries, in the order of their names? */
  #follows(first: number, second: number): boolean {
    const [a, b] = [this.#name(first), this.#name(second)];
    return a !== undefined && b !== undefined && a < b;
  }

  /** The name of the entry at an offset; undefined when none can be there. */
  #name(entry: number): string | undefined {
    if (entry < 0 || entry + ENTRY > this.#bytes.length) return undefined;
    const at = entry + 4 + this.#view.getInt32(entry + 4, true);
    if (!(at > 0 && at < this.#bytes.length)) return undefined;
    const end = this.#bytes.indexOf(0, at);
    if (end <= at || end - at > MAX_NAME) return undefined;
    const name = this.#text.slice(at, end);
    return /^[A-Za-z_][\w.$]*$/.test(name) ? name : undefined;
  }

  #rows(start: number, end: number): Row[] {
    const rows: Row[] = [];
    for (let entry = start; entry < end; entry += ENTRY) {
      const distance = this.#view.getInt32(entry + 8, true);
      const from = entry + 8 + distance;
      const namespace =
        distance === 0 || !(from > 0 && from < this.#bytes.length)
          ? ''
          : this.#text.slice(from, this.#bytes.indexOf(0, from));
      const address = LINK_BASE + entry + this.#view.getInt32(entry, true);
      rows.push({ name: this.#name(entry) ?? '', address, namespace, kind: 'absolute' });
    }
    return rows;
  }
}
