import { gunzipSync, gzipSync } from 'fflate';
import { roundUp } from '../../../bytes/align.ts';
import { BadMagic, Invalid, Truncated, Unsupported } from '../../../bytes/errors.ts';
import { Btf } from '../../../ctypes/btf.ts';
import { packBtf, unpackBtf } from '../../../ctypes/btf-pack.ts';
import { subsetOf } from '../../../ctypes/btf-subset.ts';
import { TypeTable } from '../../../ctypes/table.ts';
import type { Machine } from '../../../formats/object.ts';
import { readBuiltInNames } from './builtin-names.ts';
import { readBuiltInCertificates } from './certificates.ts';
import { dataModelOf } from './data-model.ts';
import { ExportTable } from './exports.ts';
import { nearestExport } from './image.ts';
import type { KernelFile, KernelGap, KernelSection, NearestExport, PerCpuVariable } from './kernelfile.ts';
import {
  isSavedModules,
  loadModules,
  type ModuleExports,
  type SavedModules,
  saveModules,
} from './modules.ts';
import { SortedNames } from './names.ts';
import { noTypes } from './no-types.ts';
import { type RuleEvidence, undecidedOf } from './rules.ts';

/*
 * A saved kernel (`.kernel`):
 *
 *   0  4  'LKMK'
 *   4  1  version of this layout
 *   5  1  packing of the rest: 0 none, 1 gzip
 *   6  2  zero
 *   8  4  bytes of the unpacked rest, little-endian
 *  12     the rest: u32 length of a JSON text, the text, then five tables whose lengths stand in the JSON, each
 *         from a multiple of 4: types (ctypes/btf-pack.ts), export names (names.ts),
 *         addresses (five planes of one byte:
 *         signed 40-bit distance from the lowest text address), flags (two planes), CRCs (u32 each).
 *
 * Planes instead of rows, because bytes of the same significance look alike and pack well; gzip, because a browser
 * can unpack it without help.
 */
const MAGIC = [0x4c, 0x4b, 0x4d, 0x4b];
const VERSION = 1;
const HEADER_BYTES = 12;
/** A whole kernel with all types saves to about 9 MB; this bounds what a hostile file can make us unpack. */
const MAX_UNPACKED = 64 << 20;
const ADDRESS_PLANES = 5;

export interface SaveRequest {
  /** Types to keep (names as TypeTable takes them), or all of them. */
  readonly types: readonly string[] | 'all';
  /** Keep what function pointers inside the kept records take and return. */
  readonly functionPointers?: boolean;
  /** Options to keep of the configuration, or all. */
  readonly config?: ((option: string) => boolean) | 'all';
  /** What its own modules export, where the kernel itself does not say. */
  readonly modules?: ModuleExports | undefined;
}

/** A kernel that can be saved: one that still has its BTF. */
export interface Savable extends KernelFile {
  readonly btf: Btf | undefined;
}

interface Header {
  readonly release: string;
  readonly vermagic: string;
  readonly banner: string;
  readonly machine: Machine;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly origin: string;
  readonly moduleBytes: number | null;
  readonly evidence: readonly RuleEvidence[];
  readonly sections: readonly KernelSection[];
  readonly percpu: readonly (readonly [name: string, offset: number, size: number])[];
  readonly config: Readonly<Record<string, string>> | null;
  readonly namespaces: readonly string[];
  /** Absent in files saved before it was there. */
  readonly builtIns?: readonly string[] | null;
  /** DER in base64; absent in files saved before it was there. */
  readonly certificates?: readonly string[] | null;
  /** Absent where nothing is missing, and in files saved before they were there. */
  readonly gaps?: readonly KernelGap[];
  readonly modules?: SavedModules;
  readonly base: number;
  readonly exports: number;
  readonly versioned: boolean;
  readonly lengths: { readonly btf: number; readonly names: number };
}

/** What a saving left out, for the one who asked for it. */
export interface Saved {
  readonly bytes: Uint8Array;
  readonly types: number;
  /** Asked for, but this kernel has no such type. */
  readonly missing: readonly string[];
}

/** Of its code; where nothing says which that is, of what it exports. */
function lowestAddress({ sections, exports }: Savable): number {
  const text = sections.filter((s) => s.role === 'text').map((s) => s.base);
  const lowest =
    text.length > 0 ? Math.min(...text) : exports.columns.addresses.reduce((a, b) => Math.min(a, b), 0);
  return Number.isFinite(lowest) ? lowest : 0;
}

/** Packs a kernel file. Throws Invalid when the kernel has more distinct namespaces than the format counts. */
export function encode(kernel: Savable, request: SaveRequest): Saved {
  const types = savedTypes(kernel, request);
  const modules = request.modules ?? kernel.modules;
  const { names, addresses, crcs, flags, namespaces } = kernel.exports.columns;
  if (namespaces.length >= 1 << 13)
    throw new Invalid('kernel file', `${namespaces.length} symbol namespaces`);
  const text = names.pack();
  const base = lowestAddress(kernel);
  const header: Header = {
    ...pick(kernel),
    percpu: kernel.percpu.map((v) => [v.name, v.offset, v.size] as const),
    config: keptConfig(kernel, request),
    namespaces,
    builtIns: sortedNames(readBuiltInNames(kernel)),
    certificates: readBuiltInCertificates(kernel)?.map(toBase64) ?? null,
    ...(kernel.gaps?.size && { gaps: [...kernel.gaps] }),
    ...(modules && { modules: saveModules(modules) }),
    base,
    exports: names.length,
    versioned: crcs !== undefined,
    lengths: { btf: types.bytes.length, names: text.length },
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const parts = [
    types.bytes,
    text,
    toPlanes(addresses, (a) => BigInt(a - header.base), ADDRESS_PLANES),
    toPlanes(flags, BigInt, 2),
    crcs === undefined ? new Uint8Array(0) : littleEndianWords(crcs),
  ];
  return {
    bytes: pack(json, parts, request.types === 'all' ? 6 : 9),
    types: types.types,
    missing: types.missing,
  };
}

const sortedNames = (names: ReadonlySet<string> | undefined): string[] | null =>
  names === undefined ? null : [...names].sort();

/** Does it begin as a saved kernel does? */
export function isSaved(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

/** Unpacks gzip data, to no more than a size that is known. */
export type Gunzip = (packed: Uint8Array, size: number) => Uint8Array;

const portableGunzip: Gunzip = (packed, size) => gunzipSync(packed, { out: new Uint8Array(size) });

/**
 * Opens a saved kernel. Types are unpacked when first asked for. `gunzip` may be the machine's own (node:zlib), which
 * is ten times faster than the portable one in a process that has just begun. Throws BadMagic, Truncated, Invalid or Unsupported. */
export function decode(bytes: Uint8Array, gunzip: Gunzip = portableGunzip): KernelFile & Savable {
  const rest = unpack(bytes, gunzip);
  const view = new DataView(rest.buffer, rest.byteOffset, rest.byteLength);
  const jsonLength = rest.length < 4 ? Number.NaN : view.getUint32(0, true);
  if (!(4 + jsonLength <= rest.length)) throw new Truncated('kernel file', 'ends inside its header');
  const header = parseHeader(rest.subarray(4, 4 + jsonLength));
  let at = roundUp(4 + jsonLength, 4);
  const take = (length: number, what: string): Uint8Array => {
    if (!(length >= 0 && at + length <= rest.length)) {
      throw new Truncated('kernel file', `${what} end at ${at + length}, the data at ${rest.length}`);
    }
    const part = rest.subarray(at, at + length);
    at = roundUp(at + length, 4);
    return part;
  };
  const btf = take(header.lengths.btf, 'types');
  const names = take(header.lengths.names, 'export names');
  const addresses = take(header.exports * ADDRESS_PLANES, 'export addresses');
  const flags = take(header.exports * 2, 'export flags');
  const crcs = header.versioned ? take(header.exports * 4, 'export versions') : undefined;
  return new SavedKernel(header, btf, readTable(header, { names, addresses, flags, crcs }));
}

class SavedKernel implements KernelFile {
  readonly release: string;
  readonly vermagic: string;
  readonly banner: string;
  readonly machine: Machine;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly exports: ExportTable;
  readonly rules: ReadonlySet<string>;
  readonly evidence: readonly RuleEvidence[];
  readonly sections: readonly KernelSection[];
  readonly percpu: readonly PerCpuVariable[];
  readonly config: ReadonlyMap<string, string> | undefined;
  readonly moduleBytes: number | undefined;
  readonly builtIns: ReadonlySet<string> | undefined;
  readonly certificates: readonly Uint8Array[] | undefined;
  readonly gaps: ReadonlySet<KernelGap>;
  readonly undecided: ReadonlySet<string>;
  readonly modules: ModuleExports | undefined;
  readonly origin: string;
  readonly #packedTypes: Uint8Array;
  #btf: Btf | undefined;
  #types: TypeTable | undefined;

  constructor(header: Header, types: Uint8Array, exports: ExportTable) {
    this.release = header.release;
    this.vermagic = header.vermagic;
    this.banner = header.banner;
    this.machine = header.machine;
    this.bits = header.bits;
    this.littleEndian = header.littleEndian;
    this.exports = exports;
    this.evidence = header.evidence;
    this.rules = new Set(header.evidence.filter((e) => e.present).map((e) => e.rule));
    this.sections = header.sections;
    this.percpu = header.percpu.map(([name, offset, size]) => ({ name, offset, size }));
    this.config = header.config === null ? undefined : new Map(Object.entries(header.config));
    this.moduleBytes = header.moduleBytes ?? undefined;
    this.builtIns = header.builtIns == null ? undefined : new Set(header.builtIns);
    this.certificates = header.certificates?.map(fromBase64);
    this.gaps = new Set(header.gaps);
    this.undecided = undecidedOf(header.evidence);
    this.modules = header.modules && loadModules(header.modules);
    this.origin = header.origin;
    this.#packedTypes = types;
  }

  /** Unpacked and opened at first use. */
  get btf(): Btf | undefined {
    if (this.#packedTypes.length === 0) return undefined;
    return (this.#btf ??= new Btf(unpackBtf(this.#packedTypes), { model: dataModelOf(this) }));
  }

  get types(): TypeTable {
    return (this.#types ??= new TypeTable(this.btf ?? noTypes));
  }

  read(): undefined {
    return undefined;
  }

  nearest(address: number): NearestExport | undefined {
    return nearestExport(this.exports, address);
  }
}

function pick(kernel: KernelFile) {
  return {
    release: kernel.release,
    vermagic: kernel.vermagic,
    banner: kernel.banner,
    machine: kernel.machine,
    bits: kernel.bits,
    littleEndian: kernel.littleEndian,
    origin: kernel.origin,
    moduleBytes: kernel.moduleBytes ?? null,
    evidence: kernel.evidence,
    sections: kernel.sections,
  };
}

function savedTypes(kernel: Savable, { types, functionPointers = false }: SaveRequest) {
  const { btf } = kernel;
  if (btf === undefined) return { bytes: new Uint8Array(0), types: 0, missing: types === 'all' ? [] : types };
  if (types === 'all') return { bytes: packBtf(btf), types: btf.starts.length, missing: [] };
  const subset = subsetOf(btf, { names: types, functionPointers });
  return { ...subset, bytes: packBtf(new Btf(subset.parts, { model: btf.model })) };
}

function keptConfig(kernel: KernelFile, { config }: SaveRequest): Record<string, string> | null {
  if (kernel.config === undefined || config === undefined) return null;
  const entries = [...kernel.config].filter(([option]) => config === 'all' || config(option));
  return Object.fromEntries(entries);
}

/** All types at level 9 take a second more than at 6 for one part in a hundred less. */
function pack(json: Uint8Array, parts: readonly Uint8Array[], level: 6 | 9): Uint8Array {
  let length = roundUp(4 + json.length, 4);
  for (const part of parts) length = roundUp(length + part.length, 4);
  const rest = new Uint8Array(length);
  new DataView(rest.buffer).setUint32(0, json.length, true);
  rest.set(json, 4);
  let at = roundUp(4 + json.length, 4);
  for (const part of parts) {
    rest.set(part, at);
    at = roundUp(at + part.length, 4);
  }
  // mtime 0: the same kernel always saves to the same bytes.
  const packed = gzipSync(rest, { level, mtime: 0 });
  const bytes = new Uint8Array(HEADER_BYTES + packed.length);
  bytes.set([...MAGIC, VERSION, 1, 0, 0]);
  new DataView(bytes.buffer).setUint32(8, rest.length, true);
  bytes.set(packed, HEADER_BYTES);
  return bytes;
}

function unpack(bytes: Uint8Array, gunzip: Gunzip): Uint8Array {
  if (!isSaved(bytes)) {
    throw new BadMagic('kernel file', 'does not begin with "LKMK": not a saved kernel');
  }
  if (bytes.length < HEADER_BYTES) throw new Truncated('kernel file', `has ${bytes.length} bytes`);
  if (bytes[4] !== VERSION) {
    throw new Unsupported(
      'kernel file',
      `layout version ${bytes[4]}, this program knows ${VERSION}: save it again`,
    );
  }
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
  if (size > MAX_UNPACKED) throw new Invalid('kernel file', `would unpack to ${size} bytes`, { offset: 8 });
  const rest = bytes.subarray(HEADER_BYTES);
  if (bytes[5] === 0) return rest.slice();
  if (bytes[5] !== 1) throw new Unsupported('kernel file', `packing ${bytes[5]} is not known`, { offset: 5 });
  let unpacked: Uint8Array;
  try {
    unpacked = gunzip(rest, size);
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new Invalid('kernel file', `gzip data are damaged: ${reason}`);
  }
  if (unpacked.length !== size) {
    throw new Invalid('kernel file', `unpacks to ${unpacked.length} bytes, its header says ${size}`, {
      offset: 8,
    });
  }
  return unpacked;
}

function parseHeader(bytes: Uint8Array): Header {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Invalid('kernel file', 'its header is not JSON', { offset: HEADER_BYTES });
  }
  if (!isHeader(header))
    throw new Invalid('kernel file', 'its header lacks fields', { offset: HEADER_BYTES });
  return header;
}

/** The fields that later code counts on; the writer above is the only other definition of this shape. */
function isHeader(value: unknown): value is Header {
  if (typeof value !== 'object' || value === null) return false;
  const header = value as Partial<Record<keyof Header, unknown>>;
  const strings = [header.release, header.vermagic, header.banner, header.machine, header.origin];
  const lists = [header.evidence, header.sections, header.percpu, header.namespaces];
  const lengths = header.lengths as Partial<Header['lengths']> | undefined;
  return (
    strings.every((s) => typeof s === 'string') &&
    lists.every(Array.isArray) &&
    [header.base, header.exports, lengths?.btf, lengths?.names].every(Number.isInteger) &&
    typeof header.config === 'object' &&
    (header.builtIns == null || isNames(header.builtIns)) &&
    (header.certificates == null || (isNames(header.certificates) && header.certificates.every(isBase64))) &&
    (header.gaps === undefined || isNames(header.gaps)) &&
    (header.modules === undefined || isSavedModules(header.modules))
  );
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}

const isBase64 = (text: string): boolean => /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0;

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

const fromBase64 = (text: string): Uint8Array =>
  Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

interface Tables {
  readonly names: Uint8Array;
  readonly addresses: Uint8Array;
  readonly flags: Uint8Array;
  readonly crcs: Uint8Array | undefined;
}

function readTable(header: Header, tables: Tables): ExportTable {
  const count = header.exports;
  const names = SortedNames.unpack(tables.names, count);
  const addresses = new Float64Array(count);
  const flags = new Uint16Array(count);
  const { addresses: a, flags: f } = tables;
  for (let i = 0; i < count; i++) {
    const low = a[i]! + a[count + i]! * 0x100 + a[2 * count + i]! * 0x10000 + a[3 * count + i]! * 0x1000000;
    addresses[i] = header.base + low + ((a[4 * count + i]! << 24) >> 24) * 0x100000000;
    flags[i] = f[i]! | (f[count + i]! << 8);
    if (flags[i]! >> 3 >= header.namespaces.length)
      throw new Invalid('kernel file', `export ${names.at(i)}: no such namespace`);
  }
  const crcs = tables.crcs === undefined ? undefined : fromLittleEndian(tables.crcs);
  return new ExportTable({ names, addresses, crcs, flags, namespaces: header.namespaces });
}

function toPlanes<T extends number>(
  values: ArrayLike<T>,
  toBits: (value: T) => bigint,
  planes: number,
): Uint8Array {
  const out = new Uint8Array(values.length * planes);
  for (let i = 0; i < values.length; i++) {
    const bits = BigInt.asUintN(planes * 8, toBits(values[i]!));
    for (let p = 0; p < planes; p++) out[p * values.length + i] = Number((bits >> BigInt(p * 8)) & 0xffn);
  }
  return out;
}

function littleEndianWords(words: Uint32Array): Uint8Array {
  const out = new Uint8Array(words.length * 4);
  const view = new DataView(out.buffer);
  for (let i = 0; i < words.length; i++) view.setUint32(i * 4, words[i]!, true);
  return out;
}

function fromLittleEndian(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(bytes.length >> 2);
  for (let i = 0, at = 0; i < words.length; i++, at += 4) {
    words[i] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  }
  return words;
}
