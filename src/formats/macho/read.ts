/**
 * Bytes -> MachoFile: header, load commands, segments and sections, checked once; symbols, relocations and fixups when
 * they are asked for. What a kernel would refuse beyond that is its system's business.
 */

import { cstring } from '../../bytes/cstring.ts';
import { BadMagic, Invalid, Truncated } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { thinByteOrder } from './fat.ts';
import { commandName, HEADER, LC, MAGIC, S, SECTION, SECTION_TYPE_MASK, SEGMENT } from './layout.ts';
import { type DynamicTable, MachoSymbols, type SymbolTable } from './symbols.ts';
import { uuidText } from './uuid.ts';

export interface MachoHeader {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly cputype: number;
  readonly cpusubtype: number;
  readonly filetype: number;
  readonly ncmds: number;
  readonly sizeofcmds: number;
  readonly flags: number;
}

export interface LoadCommand {
  readonly cmd: number;
  /** `LC_UUID` */
  readonly name: string;
  /** Byte offset in the (thin) file. */
  readonly offset: number;
  readonly size: number;
}

export interface MachoSection {
  /** 1-based ordinal over all segments, as nlist.n_sect and relocations count. */
  readonly ordinal: number;
  readonly name: string;
  /** The name in the section's own header, which in MH_OBJECT differs from that of its segment. */
  readonly segment: string;
  readonly address: number;
  readonly size: number;
  readonly offset: number;
  /** Power of two, at least 1. */
  readonly alignment: number;
  readonly reloff: number;
  readonly nreloc: number;
  readonly flags: number;
  readonly type: number;
  readonly zeroFill: boolean;
  readonly reserved1: number;
  readonly reserved2: number;
}

export interface MachoSegment {
  readonly name: string;
  readonly vmaddr: number;
  readonly vmsize: number;
  readonly fileoff: number;
  readonly filesize: number;
  readonly maxprot: number;
  readonly initprot: number;
  readonly flags: number;
  readonly sections: readonly MachoSection[];
}

/** dataoff and datasize of a linkedit_data_command. */
export interface LinkeditData {
  readonly offset: number;
  readonly size: number;
}

/** A validated thin Mach-O file. Get one from readMachO. */
export class MachoFile {
  readonly bytes: Uint8Array;
  readonly view: ByteView;
  readonly header: MachoHeader;
  readonly commands: readonly LoadCommand[];
  readonly segments: readonly MachoSegment[];
  /** Of all segments, by ordinal - 1. */
  readonly sections: readonly MachoSection[];
  #symbols: MachoSymbols | undefined;

  constructor(view: ByteView, header: MachoHeader, commands: LoadCommand[], segments: MachoSegment[]) {
    this.bytes = view.bytes;
    this.view = view;
    this.header = header;
    this.commands = commands;
    this.segments = segments;
    this.sections = segments.flatMap((segment) => segment.sections);
  }

  get bits(): 32 | 64 {
    return this.header.bits;
  }

  command(cmd: number): LoadCommand | undefined {
    return this.commands.find((command) => command.cmd === cmd);
  }

  segment(name: string): MachoSegment | undefined {
    return this.segments.find((segment) => segment.name === name);
  }

  section(segment: string, name: string): MachoSection | undefined {
    return this.sections.find((section) => section.segment === segment && section.name === name);
  }

  /** The section's bytes in the file, a view; empty for zero-fill sections. */
  data(section: MachoSection): Uint8Array {
    if (section.zeroFill) return new Uint8Array(0);
    return this.bytes.subarray(section.offset, section.offset + section.size);
  }

  segmentData(segment: MachoSegment): Uint8Array {
    return this.bytes.subarray(segment.fileoff, segment.fileoff + segment.filesize);
  }

  /** LC_UUID as upper-case text with hyphens. */
  get uuid(): string | undefined {
    const command = this.command(LC.UUID);
    if (command === undefined) return undefined;
    return uuidText(this.view.slice(command.offset + 8, 16, 'LC_UUID'));
  }

  /** Place of the data of a linkedit command (LC_CODE_SIGNATURE...), inside the file. @throws Truncated */
  linkedit(cmd: number): LinkeditData | undefined {
    const command = this.command(cmd);
    if (command === undefined) return undefined;
    const offset = this.view.u32(command.offset + 8, command.name);
    const size = this.view.u32(command.offset + 12, command.name);
    this.view.need(offset, size, `data of ${command.name}`);
    return { offset, size };
  }

  /** The symbol table; undefined without LC_SYMTAB. Parsed and checked on the first call. @throws Truncated, Invalid */
  symbols(): MachoSymbols | undefined {
    const table = symbolTable(this);
    if (table === undefined) return undefined;
    this.#symbols ??= new MachoSymbols(this.view, this.bits, table, this.sections.length);
    return this.#symbols;
  }

  /** LC_DYSYMTAB, its tables inside the file. @throws Truncated */
  get dynamic(): DynamicTable | undefined {
    return dynamicTable(this);
  }
}

/** Reads a thin Mach-O file of either width and byte order. @throws BadMagic, Truncated, Invalid */
export function readMachO(bytes: Uint8Array): MachoFile {
  const order = thinByteOrder(bytes);
  if (order === undefined) {
    throw new BadMagic('mach_header', 'the magic is not that of a Mach-O file', { offset: 0 });
  }
  const view = new ByteView(bytes, order === 'little');
  const header = readHeader(view, order === 'little');
  const commands = readCommands(view, header);
  const segments = readSegments(view, header, commands);
  return new MachoFile(view, header, commands, segments);
}

function readHeader(view: ByteView, littleEndian: boolean): MachoHeader {
  const bits = view.u32(HEADER.magic) === MAGIC.MH_64 ? 64 : 32;
  view.need(0, HEADER.size[bits], 'mach_header');
  return {
    bits,
    littleEndian,
    cputype: view.u32(HEADER.cputype),
    cpusubtype: view.u32(HEADER.cpusubtype),
    filetype: view.u32(HEADER.filetype),
    ncmds: view.u32(HEADER.ncmds),
    sizeofcmds: view.u32(HEADER.sizeofcmds),
    flags: view.u32(HEADER.flags),
  };
}

function readCommands(view: ByteView, header: MachoHeader): LoadCommand[] {
  const start = HEADER.size[header.bits];
  const end = start + header.sizeofcmds;
  if (end > view.length) {
    const problem = `load commands run past the end of the file of ${view.length} bytes`;
    throw new Truncated('sizeofcmds', problem, { offset: HEADER.sizeofcmds, value: header.sizeofcmds });
  }
  const commands: LoadCommand[] = [];
  let at = start;
  for (let i = 0; i < header.ncmds; i++) {
    if (at + 8 > end) {
      const problem = `${header.ncmds} load commands do not fit ${header.sizeofcmds} bytes`;
      throw new Invalid('ncmds', problem, { offset: HEADER.ncmds, value: header.ncmds });
    }
    const cmd = view.u32(at);
    const size = view.u32(at + 4);
    if (size < 8 || size % 4 !== 0 || at + size > end) {
      throw new Invalid(`load command ${i}`, 'cmdsize is wrong', { offset: at + 4, value: size });
    }
    const least = LEAST_SIZE.get(cmd);
    if (least !== undefined && size < least) {
      throw new Invalid(commandName(cmd), `cmdsize must be at least ${least}`, {
        offset: at + 4,
        value: size,
      });
    }
    commands.push({ cmd, name: commandName(cmd), offset: at, size });
    at += size;
  }
  checkUnique(commands);
  return commands;
}

/** Sizes of the commands that have fields here (mach-o/loader.h). */
const LEAST_SIZE: ReadonlyMap<number, number> = new Map<number, number>([
  [LC.SEGMENT, SEGMENT[32].size],
  [LC.SEGMENT_64, SEGMENT[64].size],
  [LC.SYMTAB, 24],
  [LC.DYSYMTAB, 80],
  [LC.UUID, 24],
  [LC.CODE_SIGNATURE, 16],
  [LC.SEGMENT_SPLIT_INFO, 16],
  [LC.FUNCTION_STARTS, 16],
  [LC.DATA_IN_CODE, 16],
  [LC.DYLIB_CODE_SIGN_DRS, 16],
  [LC.DYLD_EXPORTS_TRIE, 16],
  [LC.DYLD_CHAINED_FIXUPS, 16],
  [LC.DYLD_INFO, 48],
  [LC.DYLD_INFO_ONLY, 48],
  [LC.VERSION_MIN_MACOSX, 16],
  [LC.VERSION_MIN_IPHONEOS, 16],
  [LC.VERSION_MIN_TVOS, 16],
  [LC.VERSION_MIN_WATCHOS, 16],
  [LC.SOURCE_VERSION, 16],
  [LC.BUILD_VERSION, 24],
  [LC.MAIN, 24],
  [LC.NOTE, 40],
  [LC.FILESET_ENTRY, 32],
]);

const ONLY_ONCE: ReadonlySet<number> = new Set([LC.SYMTAB, LC.DYSYMTAB, LC.UUID, LC.CODE_SIGNATURE]);

function checkUnique(commands: readonly LoadCommand[]): void {
  const seen = new Set<number>();
  for (const { cmd, name, offset } of commands) {
    if (!ONLY_ONCE.has(cmd)) continue;
    if (seen.has(cmd)) throw new Invalid(name, 'a file has one at most', { offset });
    seen.add(cmd);
  }
}

function readSegments(view: ByteView, header: MachoHeader, commands: readonly LoadCommand[]): MachoSegment[] {
  const segments: MachoSegment[] = [];
  let ordinal = 1;
  for (const command of commands) {
    if (command.cmd !== LC.SEGMENT && command.cmd !== LC.SEGMENT_64) continue;
    const segment = readSegment(view, command, command.cmd === LC.SEGMENT ? 32 : 64, ordinal, header);
    ordinal += segment.sections.length;
    segments.push(segment);
  }
  return segments;
}

const name16 = (view: ByteView, at: number): string => cstring(view.bytes, at, at + 16);

function word(view: ByteView, at: number, bits: 32 | 64): number {
  // Addresses of kernels lie in the upper half: signed, as everywhere (memory/address.ts).
  return bits === 32 ? view.u32(at) : view.s64(at);
}

function readSegment(
  view: ByteView,
  command: LoadCommand,
  bits: 32 | 64,
  ordinal: number,
  header: MachoHeader,
): MachoSegment {
  const at = command.offset;
  const form = SEGMENT[bits];
  const name = name16(view, at + 8);
  const what = `segment ${name}`;
  const size = (field: number): number => (bits === 32 ? view.u32(at + field) : view.n64(at + field));
  const nsects = view.u32(at + form.nsects);
  if (form.size + nsects * SECTION[bits].bytes > command.size) {
    const problem = `${nsects} sections do not fit the command of ${command.size} bytes`;
    throw new Invalid(what, problem, { offset: at + form.nsects, value: nsects });
  }
  const fileoff = size(form.fileoff);
  const filesize = size(form.filesize);
  if (fileoff + filesize > view.length && filesize > 0) {
    const problem = `${filesize} bytes run past the end of the file of ${view.length} bytes`;
    throw new Truncated(what, problem, { offset: at + form.fileoff, value: fileoff });
  }
  const sections = Array.from({ length: nsects }, (_, i) =>
    readSection(view, at + form.size + i * SECTION[bits].bytes, bits, ordinal + i, header),
  );
  return {
    name,
    vmaddr: word(view, at + form.vmaddr, bits),
    vmsize: size(form.vmsize),
    fileoff,
    filesize,
    maxprot: view.u32(at + form.maxprot),
    initprot: view.u32(at + form.initprot),
    flags: view.u32(at + form.flags),
    sections,
  };
}

function readSection(
  view: ByteView,
  at: number,
  bits: 32 | 64,
  ordinal: number,
  header: MachoHeader,
): MachoSection {
  const form = SECTION[bits];
  const name = name16(view, at);
  const segment = name16(view, at + 16);
  const flags = view.u32(at + form.flags);
  const type = flags & SECTION_TYPE_MASK;
  const zeroFill = type === S.ZEROFILL || type === S.GB_ZEROFILL || type === S.THREAD_LOCAL_ZEROFILL;
  const size = bits === 32 ? view.u32(at + form.size) : view.n64(at + form.size);
  const offset = view.u32(at + form.offset);
  const what = `section ${segment},${name}`;
  const align = view.u32(at + form.align);
  if (align > 31)
    throw new Invalid(what, 'align is a power of two', { offset: at + form.align, value: align });
  // A dSYM keeps the headers of sections whose bytes stayed in the file it belongs to.
  const absent = zeroFill || size === 0 || (header.filetype === 10 && offset === 0);
  if (!absent && offset + size > view.length) {
    const problem = `${size} bytes run past the end of the file of ${view.length} bytes`;
    throw new Truncated(what, problem, { offset: at + form.offset, value: offset });
  }
  return {
    ordinal,
    name,
    segment,
    address: word(view, at + form.addr, bits),
    size,
    offset,
    alignment: 2 ** align,
    reloff: view.u32(at + form.reloff),
    nreloc: view.u32(at + form.nreloc),
    flags,
    type,
    zeroFill: zeroFill || (absent && size > 0),
    reserved1: view.u32(at + form.reserved1),
    reserved2: view.u32(at + form.reserved2),
  };
}

function symbolTable({ view, bits, commands }: MachoFile): SymbolTable | undefined {
  const command = commands.find(({ cmd }) => cmd === LC.SYMTAB);
  if (command === undefined) return undefined;
  const at = command.offset;
  const table = {
    symoff: view.u32(at + 8),
    nsyms: view.u32(at + 12),
    stroff: view.u32(at + 16),
    strsize: view.u32(at + 20),
  };
  view.need(table.symoff, table.nsyms * (bits === 64 ? 16 : 12), 'symbol table');
  view.need(table.stroff, table.strsize, 'string table');
  return table;
}

function dynamicTable({ view, commands }: MachoFile): DynamicTable | undefined {
  const command = commands.find(({ cmd }) => cmd === LC.DYSYMTAB);
  if (command === undefined) return undefined;
  const field = (index: number): number => view.u32(command.offset + 8 + index * 4);
  const table = {
    ilocalsym: field(0),
    nlocalsym: field(1),
    iextdefsym: field(2),
    nextdefsym: field(3),
    iundefsym: field(4),
    nundefsym: field(5),
    indirectsymoff: field(12),
    nindirectsyms: field(13),
    extreloff: field(14),
    nextrel: field(15),
    locreloff: field(16),
    nlocrel: field(17),
  };
  view.need(table.indirectsymoff, table.nindirectsyms * 4, 'indirect symbol table');
  view.need(table.extreloff, table.nextrel * 8, 'external relocations');
  view.need(table.locreloff, table.nlocrel * 8, 'local relocations');
  return table;
}
