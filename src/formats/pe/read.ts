/**
 * Bytes -> PeFile: the headers and the section table. Directories are read by the other files of this folder when asked for.
 *
 * After readPe every section's bytes are inside the file and every count is bounded by its size. Whether a kernel would take
 * the file is not judged here (systems/windows/rules).
 */
import { cstring } from '../../bytes/cstring.ts';
import { BadMagic, Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import * as L from './layout.ts';

export interface PeDirectory {
  /** RVA; for the security directory a file offset. */
  readonly address: number;
  readonly size: number;
}

export interface PeHeader {
  /** Offset of the PE signature. */
  readonly offset: number;
  readonly machine: number;
  readonly timeDateStamp: number;
  readonly characteristics: number;
  readonly bits: 32 | 64;
  readonly linkerVersion: string;
  readonly entryPoint: number;
  readonly imageBase: bigint;
  readonly sectionAlignment: number;
  readonly fileAlignment: number;
  readonly osVersion: readonly [major: number, minor: number];
  readonly imageVersion: readonly [major: number, minor: number];
  readonly subsystemVersion: readonly [major: number, minor: number];
  readonly sizeOfImage: number;
  readonly sizeOfHeaders: number;
  readonly checksum: number;
  /** File offset of the checksum field. */
  readonly checksumOffset: number;
  readonly subsystem: number;
  readonly dllCharacteristics: number;
  readonly directories: readonly PeDirectory[];
  /** File offset of the first data directory. */
  readonly directoryOffset: number;
}

export interface PeSection {
  /** From 1, as COFF counts. */
  readonly index: number;
  readonly name: string;
  readonly virtualAddress: number;
  /** Bytes in memory: the virtual size, or the raw size where that is zero. */
  readonly virtualSize: number;
  readonly rawOffset: number;
  readonly rawSize: number;
  readonly flags: number;
  /** The bytes of the file that are loaded: no more than the virtual size. */
  readonly data: Uint8Array;
}

/** No driver is larger; a header that says so asks for memory that nobody has. */
const MAX_IMAGE = 256 * 2 ** 20;
/** More than the Windows loader takes (96). */
const MAX_SECTIONS = 96;
const NO_DIRECTORY: PeDirectory = { address: 0, size: 0 };

export class PeFile {
  readonly bytes: Uint8Array;
  readonly view: ByteView;
  readonly header: PeHeader;
  readonly sections: readonly PeSection[];

  constructor(view: ByteView, header: PeHeader, sections: readonly PeSection[]) {
    this.bytes = view.bytes;
    this.view = view;
    this.header = header;
    this.sections = sections;
  }

  get bits(): 32 | 64 {
    return this.header.bits;
  }

  /** Bytes of a pointer. */
  get word(): 4 | 8 {
    return this.header.bits === 64 ? 8 : 4;
  }

  directory(index: number): PeDirectory {
    return this.header.directories[index] ?? NO_DIRECTORY;
  }

  /** The first section of that name. */
  section(name: string): PeSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  sectionAt(rva: number): PeSection | undefined {
    return this.sections.find((s) => rva >= s.virtualAddress && rva < s.virtualAddress + s.virtualSize);
  }

  /**
   * The bytes that stand at an RVA once the image is mapped; what lies past a section's bytes in the file is zero.
   * @throws Invalid when the range is not in one section or the headers
   */
  at(rva: number, length: number, what: string): Uint8Array {
    const section = this.sectionAt(rva);
    if (section === undefined) {
      if (rva >= 0 && rva + length <= Math.min(this.header.sizeOfHeaders, this.bytes.length)) {
        return this.bytes.subarray(rva, rva + length);
      }
      throw new Invalid(what, 'points outside the image', { value: rva });
    }
    const from = rva - section.virtualAddress;
    if (from + length > section.virtualSize) {
      throw new Invalid(what, `runs past the end of section ${section.name}`, { value: rva });
    }
    if (from + length <= section.data.length) return section.data.subarray(from, from + length);
    const out = new Uint8Array(length);
    out.set(section.data.subarray(from, from + length));
    return out;
  }

  /** All loaded bytes from an RVA to the end of its section. @throws Invalid as `at` */
  rest(rva: number, what: string): Uint8Array {
    const section = this.sectionAt(rva);
    if (section === undefined) return this.at(rva, Math.max(0, this.header.sizeOfHeaders - rva), what);
    return section.data.subarray(rva - section.virtualAddress);
  }

  viewAt(rva: number, length: number, what: string): ByteView {
    return new ByteView(this.at(rva, length, what), true);
  }

  u16(rva: number, what: string): number {
    return this.viewAt(rva, 2, what).u16(0);
  }

  u32(rva: number, what: string): number {
    return this.viewAt(rva, 4, what).u32(0);
  }

  /** A pointer-sized value. */
  pointer(rva: number, what: string): bigint {
    const view = this.viewAt(rva, this.word, what);
    return this.word === 8 ? view.u64(0) : BigInt(view.u32(0));
  }

  /** A NUL-terminated name. @throws Invalid as `at` */
  name(rva: number, what: string): string {
    const bytes = this.rest(rva, what);
    const out = cstring(bytes, 0, Math.min(bytes.length, 4096));
    if (out.length >= 4096) throw new Invalid(what, 'is longer than 4095 bytes', { value: rva });
    return out;
  }

  /** RVA of an address as the file's own image base gives it; undefined when it is outside the image. */
  rvaOf(address: bigint): number | undefined {
    const rva = address - this.header.imageBase;
    return rva >= 0n && rva < BigInt(this.header.sizeOfImage) ? Number(rva) : undefined;
  }

  /** Where a byte of the mapped image stands in the file; undefined when it has no place there. */
  offsetOf(rva: number): number | undefined {
    const section = this.sectionAt(rva);
    if (section === undefined) return rva < this.header.sizeOfHeaders ? rva : undefined;
    const from = rva - section.virtualAddress;
    return from < section.data.length ? section.rawOffset + from : undefined;
  }

  /** The image as it lies in memory at its preferred base, before relocation. */
  mapped(): Uint8Array {
    const { sizeOfImage, sizeOfHeaders } = this.header;
    const end = this.sections.reduce((most, s) => Math.max(most, s.virtualAddress + s.virtualSize), 0);
    const out = new Uint8Array(Math.max(sizeOfImage, end, sizeOfHeaders));
    out.set(this.bytes.subarray(0, Math.min(sizeOfHeaders, this.bytes.length)));
    for (const section of this.sections) out.set(section.data, section.virtualAddress);
    return out;
  }
}

/** Does this look like a PE file at all? */
export function isPe(bytes: Uint8Array): boolean {
  if (bytes.length < 64) return false;
  const view = new ByteView(bytes, true);
  if (view.u16(0) !== L.DOS_MAGIC) return false;
  const at = view.u32(L.E_LFANEW);
  return at + 4 <= bytes.length && view.u32(at) === L.PE_MAGIC;
}

/** @throws BadMagic, Truncated, Invalid, Unsupported */
export function readPe(bytes: Uint8Array): PeFile {
  const view = new ByteView(bytes, true);
  if (bytes.length < 2 || view.u16(0) !== L.DOS_MAGIC) {
    throw new BadMagic('e_magic', "not an executable of DOS or Windows: it does not begin with 'MZ'", {
      offset: 0,
    });
  }
  const offset = view.u32(L.E_LFANEW, 'e_lfanew');
  if (view.u32(offset, 'PE signature') !== L.PE_MAGIC) {
    throw new BadMagic('PE signature', 'not a PE file: a 16-bit program, or a VxD', { offset });
  }
  const header = readHeader(view, offset);
  return new PeFile(view, header, readSections(view, header, offset));
}

function readHeader(view: ByteView, offset: number): PeHeader {
  const file = offset + 4;
  const optionalBytes = view.u16(file + 16, 'SizeOfOptionalHeader');
  const optional = file + L.FILE_HEADER_BYTES;
  const magic = view.u16(optional, 'optional header');
  if (magic !== L.OPTIONAL_MAGIC.PE32 && magic !== L.OPTIONAL_MAGIC.PE32_PLUS) {
    throw new Invalid('optional header', 'neither PE32 nor PE32+', { offset: optional, value: magic });
  }
  const wide = magic === L.OPTIONAL_MAGIC.PE32_PLUS;
  const fixed = wide ? 112 : 96;
  if (optionalBytes < fixed) {
    throw new Invalid('SizeOfOptionalHeader', `less than the ${fixed} bytes that this kind has`, {
      offset: file + 16,
      value: optionalBytes,
    });
  }
  view.need(optional, optionalBytes, 'optional header');
  const pair = (at: number) => [view.u16(optional + at), view.u16(optional + at + 2)] as const;
  const count = view.u32(optional + fixed - 4, 'NumberOfRvaAndSizes');
  const room = Math.floor((optionalBytes - fixed) / 8);
  const sizeOfImage = view.u32(optional + 56);
  if (sizeOfImage > MAX_IMAGE) {
    throw new Unsupported('SizeOfImage', `more than ${MAX_IMAGE / 2 ** 20} MiB`, {
      offset: optional + 56,
      value: sizeOfImage,
    });
  }
  return {
    offset,
    machine: view.u16(file),
    timeDateStamp: view.u32(file + 4),
    characteristics: view.u16(file + 18),
    bits: wide ? 64 : 32,
    linkerVersion: `${view.u8(optional + 2)}.${view.u8(optional + 3)}`,
    entryPoint: view.u32(optional + 16),
    imageBase: wide ? view.u64(optional + 24) : BigInt(view.u32(optional + 28)),
    sectionAlignment: view.u32(optional + 32),
    fileAlignment: view.u32(optional + 36),
    osVersion: pair(40),
    imageVersion: pair(44),
    subsystemVersion: pair(48),
    sizeOfImage,
    sizeOfHeaders: view.u32(optional + 60),
    checksum: view.u32(optional + 64),
    checksumOffset: optional + 64,
    subsystem: view.u16(optional + 68),
    dllCharacteristics: view.u16(optional + 70),
    directories: readDirectories(view, optional + fixed, Math.min(count, room, L.DIRECTORY_COUNT)),
    directoryOffset: optional + fixed,
  };
}

function readDirectories(view: ByteView, at: number, count: number): PeDirectory[] {
  return Array.from({ length: count }, (_, i) => ({
    address: view.u32(at + i * 8),
    size: view.u32(at + i * 8 + 4),
  }));
}

function readSections(view: ByteView, header: PeHeader, offset: number): PeSection[] {
  const count = view.u16(offset + 6, 'NumberOfSections');
  if (count > MAX_SECTIONS) {
    throw new Unsupported('NumberOfSections', `more than ${MAX_SECTIONS}`, {
      offset: offset + 6,
      value: count,
    });
  }
  const table = offset + 4 + L.FILE_HEADER_BYTES + view.u16(offset + 20);
  view.need(table, count * L.SECTION_HEADER_BYTES, 'section table');
  const sections: PeSection[] = [];
  for (let i = 0; i < count; i++) {
    sections.push(readSection(view, header, table + i * L.SECTION_HEADER_BYTES, i + 1));
  }
  return sections;
}

function readSection(view: ByteView, header: PeHeader, at: number, index: number): PeSection {
  const name = sectionName(view, header, cstring(view.bytes, at, at + 8));
  const rawSize = view.u32(at + 16);
  const virtualAddress = view.u32(at + 12);
  const virtualSize = view.u32(at + 8) || rawSize;
  if (virtualAddress + virtualSize > MAX_IMAGE) {
    throw new Unsupported(`section ${name}`, `ends beyond ${MAX_IMAGE / 2 ** 20} MiB`, { offset: at + 8 });
  }
  const rawOffset = view.u32(at + 20);
  const wanted = Math.min(rawSize, virtualSize);
  if (rawSize > 0 && rawOffset + wanted > view.length) {
    throw new Truncated(
      `section ${name}`,
      `its bytes end at 0x${(rawOffset + wanted).toString(16)}, the file at 0x${view.length.toString(16)}`,
      { offset: at + 20, value: rawOffset },
    );
  }
  const data = rawSize === 0 ? new Uint8Array(0) : view.bytes.subarray(rawOffset, rawOffset + wanted);
  return { index, name, virtualAddress, virtualSize, rawOffset, rawSize, flags: view.u32(at + 36), data };
}

/** Names longer than eight bytes are `/n`: an offset in the string table behind the COFF symbols. */
function sectionName(view: ByteView, header: PeHeader, short: string): string {
  if (!/^\/\d+$/.test(short)) return short;
  const file = header.offset + 4;
  const strings = view.u32(file + 8) + view.u32(file + 12) * 18;
  const at = strings + Number(short.slice(1));
  return strings > 0 && at < view.length
    ? cstring(view.bytes, at, Math.min(view.length, at + 256)) || short
    : short;
}
