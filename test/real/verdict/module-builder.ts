/**
 * Builds a Linux module for x86-64 out of nothing, for any kernel: no compiler and no headers, only what the kernel file
 * says. A case bends one thing; `Built` says where things lie, so that bytes can be changed afterwards.
 */
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';

export const SHT = {
  NULL: 0,
  PROGBITS: 1,
  SYMTAB: 2,
  STRTAB: 3,
  RELA: 4,
  NOTE: 7,
  NOBITS: 8,
  REL: 9,
} as const;
export const SHF = { WRITE: 1, ALLOC: 2, EXEC: 4 } as const;
export const SHN = { UNDEF: 0, ABS: 0xfff1, COMMON: 0xfff2 } as const;

export interface SectionSpec {
  readonly name: string;
  readonly type?: number;
  readonly flags?: number;
  readonly bytes?: Uint8Array;
  /** For sections without bytes. */
  readonly size?: number;
  readonly align?: number;
  readonly link?: string;
  readonly info?: string | number;
  readonly entrySize?: number;
}

export interface SymbolSpec {
  readonly name: string;
  readonly binding?: 'local' | 'global' | 'weak';
  /** Name of a section, or a number. */
  readonly section?: string | number;
  readonly value?: number;
  readonly size?: number;
  readonly type?: number;
}

export interface RelocationSpec {
  readonly section?: string;
  readonly offset: number;
  readonly type: number;
  readonly symbol: string;
  readonly addend?: number;
}

export interface ExportSpec {
  readonly name: string;
  readonly gpl?: boolean;
  readonly namespace?: string;
  readonly crc?: number | undefined;
}

export interface ParameterSpec {
  readonly name: string;
  /** As in param_ops_TYPE: int, bool, charp, byte ... */
  readonly type: string;
  /** An array of that many of the type; for `string`: the bytes there are. */
  readonly room?: number;
  readonly mode?: number;
}

export interface ModuleSpec {
  readonly name?: string;
  /** Name in struct module, when it is another. */
  readonly structName?: string;
  readonly modinfo?: readonly string[];
  /** Strings of .modinfo as they stand, in place of the usual ones. */
  readonly rawModinfo?: Uint8Array;
  /** Imported names; each is used by a relocation of .text. */
  readonly imports?: readonly (string | { readonly name: string; readonly weak?: boolean })[];
  /** CRCs by name: overrides the kernel's own, `null` leaves the entry out. */
  readonly crcs?: Readonly<Record<string, number | null>>;
  readonly versions?: boolean;
  readonly exports?: readonly ExportSpec[];
  readonly symbols?: readonly SymbolSpec[];
  readonly relocations?: readonly RelocationSpec[];
  readonly sections?: readonly SectionSpec[];
  /** Machine code of the functions that start and end the module; a place in .text, behind the other code. */
  readonly init?: readonly number[];
  readonly exit?: readonly number[];
  readonly parameters?: readonly ParameterSpec[];
  /** Sections that modules of the machine have and this one does not. */
  readonly without?: readonly string[];
  readonly thisModule?: {
    readonly size?: number;
    readonly flags?: number;
    readonly type?: number;
    readonly copies?: number;
  };
}

export interface Built {
  readonly bytes: Uint8Array;
  /** Where a section's header is in the file. */
  header(name: string): number;
  /** Where a section's contents are. */
  contents(name: string): number;
  /** Where a symbol's entry is. */
  symbol(name: string): number;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
/** What differs between machines: number, `ret`, and relocations for a whole address and for a distance of 32 bits. */
const MACHINES = {
  'x86-64': { number: 62, ret: [0xc3, 0xc3, 0xc3, 0xc3], types: { 1: 1, 2: 2 } },
  aarch64: { number: 183, ret: [0xc0, 0x03, 0x5f, 0xd6], types: { 1: 257, 2: 261 } },
} as const;
const machineOf = ({ machine }: KernelFile) => MACHINES[machine === 'aarch64' ? machine : 'x86-64'];
type Machine = ReturnType<typeof machineOf>;

/** Empty sections that modules of arm64 must bring, where branches that go too far are led through. */
const LEDGES = ['.plt', '.init.plt', '.text.ftrace_trampoline'];

const TEXT_BYTES = 512;
/** Where the code of the module's start and end goes. */
const INIT_AT = 400;
const EXIT_AT = 456;

export const NAME = 'verdict_probe';

/** The usual strings of .modinfo. */
export function modinfo(kernel: KernelFile, name = NAME): string[] {
  return [
    'license=GPL',
    'intree=Y',
    'retpoline=Y',
    'depends=',
    `name=${name}`,
    `vermagic=${kernel.vermagic}`,
  ];
}

export const strings = (list: readonly string[]): Uint8Array => text(list.map((one) => `${one}\0`).join(''));

/** Replaces or leaves out (undefined) one tag. */
export function retag(list: readonly string[], tag: string, value: string | undefined): string[] {
  const rest = list.filter((one) => !one.startsWith(`${tag}=`));
  return value === undefined ? rest : [...rest, `${tag}=${value}`];
}

function versionsOf(kernel: KernelFile, spec: ModuleSpec, imports: readonly string[]): Uint8Array {
  const entries = ['module_layout', ...imports].flatMap((name) => {
    const own = spec.crcs?.[name];
    const crc = own === undefined ? kernel.exports.find(name)?.crc : own;
    return crc === undefined || crc === null ? [] : [[name, crc] as const];
  });
  const bytes = new Uint8Array(entries.length * 64);
  const view = new DataView(bytes.buffer);
  entries.forEach(([name, crc], i) => {
    view.setUint32(i * 64, crc, true);
    bytes.set(text(name).subarray(0, 55), i * 64 + 8);
  });
  return bytes;
}

function exportSections(list: readonly ExportSpec[]): {
  sections: SectionSpec[];
  symbols: SymbolSpec[];
  relocations: RelocationSpec[];
} {
  const out = {
    sections: [] as SectionSpec[],
    symbols: [] as SymbolSpec[],
    relocations: [] as RelocationSpec[],
  };
  if (list.length === 0) return out;
  let names = '\0';
  const at = (name: string) => {
    const start = names.length;
    names += `${name}\0`;
    return start;
  };
  for (const gpl of [false, true]) {
    const mine = list.filter((one) => (one.gpl ?? false) === gpl);
    if (mine.length === 0) continue;
    const suffix = gpl ? '_gpl' : '';
    const table = `__ksymtab${suffix}`;
    out.sections.push({ name: table, flags: SHF.ALLOC, bytes: new Uint8Array(mine.length * 12), align: 4 });
    mine.forEach(({ name, namespace }, i) => {
      out.symbols.push({ name, section: '.text', value: 16, binding: 'global' });
      out.symbols.push({ name: `__ksymtab_${name}`, section: table, value: i * 12, binding: 'local' });
      out.symbols.push({
        name: `__kstrtab_${name}`,
        section: '__ksymtab_strings',
        value: at(name),
        binding: 'local',
      });
      out.symbols.push({
        name: `__kstrtabns_${name}`,
        section: '__ksymtab_strings',
        value: at(namespace ?? ''),
        binding: 'local',
      });
      for (const [field, symbol] of [
        [0, name],
        [4, `__kstrtab_${name}`],
        [8, `__kstrtabns_${name}`],
      ] as const)
        out.relocations.push({ section: table, offset: i * 12 + field, type: 2, symbol });
    });
    if (mine.every(({ crc }) => crc !== undefined)) {
      const crcs = new Uint8Array(mine.length * 4);
      mine.forEach(({ crc }, i) => {
        new DataView(crcs.buffer).setUint32(i * 4, crc ?? 0, true);
        out.symbols.push({
          name: `__crc_${mine[i].name}`,
          section: `__kcrctab${suffix}`,
          value: i * 4,
          binding: 'local',
        });
      });
      out.sections.push({ name: `__kcrctab${suffix}`, flags: SHF.ALLOC, bytes: crcs, align: 4 });
    }
  }
  out.sections.push({ name: '__ksymtab_strings', flags: SHF.ALLOC, bytes: text(names) });
  return out;
}

interface Parts {
  readonly sections: readonly SectionSpec[];
  readonly symbols: readonly SymbolSpec[];
  readonly relocations: readonly RelocationSpec[];
}

/** struct kernel_param: name, module, operations, mode, level and flags, variable. */
const PARAMETER = { bytes: 40, operations: 16, mode: 24, level: 26, variable: 32 } as const;

/** Bytes of .data for each parameter: its value, or a struct kparam_array or kparam_string and the value behind it. */
const VALUE_BYTES = 96;

const isArray = ({ type, room }: ParameterSpec): boolean => room !== undefined && type !== 'string';

const operationsOf = (parameter: ParameterSpec): string =>
  `param_${isArray(parameter) ? 'array_ops' : `ops_${parameter.type}`}`;

/** What stands between the parameter and its value (include/linux/moduleparam.h). */
function between(
  parameter: ParameterSpec,
  values: DataView,
  at: number,
  to: (field: number, symbol: string, addend?: number) => void,
): void {
  const { type, room = 0 } = parameter;
  if (parameter.room === undefined) return;
  values.setUint32(at, room, true);
  if (isArray(parameter)) {
    values.setUint32(at + 4, 4, true);
    to(at + 16, `param_ops_${type}`);
    to(at + 24, '__values', at + 32);
  } else to(at + 8, '__values', at + 32);
}

function parameterParts(list: readonly ParameterSpec[]): Parts {
  if (list.length === 0) return { sections: [], symbols: [], relocations: [] };
  const table = new Uint8Array(list.length * PARAMETER.bytes);
  const view = new DataView(table.buffer);
  const relocations: RelocationSpec[] = [];
  const symbols: SymbolSpec[] = [{ name: '__values', section: '.data.values', binding: 'local' }];
  const values = new Uint8Array(list.length * VALUE_BYTES);
  let names = '';
  list.forEach((parameter, i) => {
    const { name, mode = 0o644 } = parameter;
    const at = i * PARAMETER.bytes;
    const label = `__param_name_${i}`;
    symbols.push({ name: label, section: '.rodata.names', value: names.length, binding: 'local' });
    names += `${name}\0`;
    view.setUint16(at + PARAMETER.mode, mode, true);
    view.setInt8(at + PARAMETER.level, -1);
    const to = (field: number, symbol: string, addend = 0) =>
      relocations.push({ section: '__param', offset: at + field, type: 1, symbol, addend });
    to(0, label);
    to(PARAMETER.operations, operationsOf(parameter));
    to(PARAMETER.variable, '__values', i * VALUE_BYTES);
    between(parameter, new DataView(values.buffer), i * VALUE_BYTES, (field, symbol, addend = 0) =>
      relocations.push({ section: '.data.values', offset: field, type: 1, symbol, addend }),
    );
  });
  return {
    sections: [
      { name: '__param', flags: SHF.ALLOC, bytes: table, align: 8 },
      { name: '.rodata.names', flags: SHF.ALLOC, bytes: text(names) },
      {
        name: '.data.values',
        flags: SHF.ALLOC | SHF.WRITE,
        bytes: values,
        align: 16,
      },
    ],
    symbols,
    relocations,
  };
}

/** Pointers to the code in struct module. */
function startParts(kernel: KernelFile, { init, exit }: ModuleSpec): Omit<Parts, 'sections'> {
  const code = [
    ['init', init, INIT_AT],
    ['exit', exit, EXIT_AT],
  ] as const;
  const used = code.filter(([, bytes]) => bytes !== undefined);
  return {
    symbols: used.map(([name, , value]) => ({ name: `${name}_module`, section: '.text', value, type: 2 })),
    relocations: used.map(([name]) => ({
      section: '.gnu.linkonce.this_module',
      offset: kernel.types.field(`module.${name}`).offset,
      type: 1,
      symbol: `${name}_module`,
    })),
  };
}

const parameterOperations = ({ parameters = [] }: ModuleSpec): string[] => [
  ...new Set(parameters.flatMap((one) => [operationsOf(one), `param_ops_${one.type}`])),
];

function thisModule(kernel: KernelFile, spec: ModuleSpec): SectionSpec[] {
  const { offset } = kernel.types.field('module.name');
  const { size, flags, type, copies } = {
    size: kernel.moduleBytes ?? 896,
    flags: SHF.WRITE | SHF.ALLOC,
    type: SHT.PROGBITS,
    copies: 1,
    ...spec.thisModule,
  };
  const bytes = new Uint8Array(size);
  const name = text(spec.structName ?? spec.name ?? NAME).subarray(0, 55);
  if (offset + name.length <= size) bytes.set(name, offset);
  const one: SectionSpec = { name: '.gnu.linkonce.this_module', type, flags, bytes, align: 64 };
  return Array.from({ length: copies }, () => one);
}

/** The finished file. */
export function buildModule(kernel: KernelFile, spec: ModuleSpec = {}): Built {
  const imports = [...(spec.imports ?? []), ...parameterOperations(spec)].map((one) =>
    typeof one === 'string' ? { name: one, weak: false } : { weak: false, ...one },
  );
  const exported = exportSections(spec.exports ?? []);
  const parameters = parameterParts(spec.parameters ?? []);
  const start = startParts(kernel, spec);
  const symbols: SymbolSpec[] = [
    ...imports.map(
      ({ name, weak }): SymbolSpec => ({ name, binding: weak ? 'weak' : 'global', section: SHN.UNDEF }),
    ),
    ...exported.symbols,
    ...parameters.symbols,
    ...start.symbols,
    ...(spec.symbols ?? []),
  ];
  const relocations: RelocationSpec[] = [
    ...imports.map(({ name }, i): RelocationSpec => ({ offset: 64 + i * 8, type: 1, symbol: name })),
    ...exported.relocations,
    ...parameters.relocations,
    ...start.relocations,
    ...(spec.relocations ?? []),
  ];
  const code = new Uint8Array(TEXT_BYTES);
  const machine = machineOf(kernel);
  for (let at = 0; at < 64; at += 4) code.set(machine.ret, at);
  code.set(spec.init ?? [], INIT_AT);
  code.set(spec.exit ?? [], EXIT_AT);
  const info = spec.rawModinfo ?? strings(spec.modinfo ?? modinfo(kernel, spec.name));
  const sections: SectionSpec[] = [
    { name: '.text', flags: SHF.ALLOC | SHF.EXEC, bytes: code, align: 16 },
    { name: '.modinfo', flags: SHF.ALLOC, bytes: info },
  ];
  if (spec.versions !== false) {
    const names = imports.map(({ name }) => name);
    sections.push({
      name: '__versions',
      flags: SHF.ALLOC,
      bytes: versionsOf(kernel, spec, names),
      align: 32,
    });
  }
  sections.push(
    ...thisModule(kernel, spec),
    ...exported.sections,
    ...parameters.sections,
    ...(spec.sections ?? []),
  );
  if (kernel.machine === 'aarch64')
    for (const name of LEDGES.filter((one) => !spec.without?.includes(one)))
      sections.push({ name, flags: SHF.ALLOC | SHF.EXEC, type: SHT.NOBITS, size: 1 });
  return assemble(machine, sections, symbols, relocations);
}

function assemble(
  machine: Machine,
  body: readonly SectionSpec[],
  symbols: readonly SymbolSpec[],
  relocations: readonly RelocationSpec[],
): Built {
  const targets = [...new Set(relocations.map(({ section = '.text' }) => section))];
  const sections: SectionSpec[] = [{ name: '', type: SHT.NULL }, ...body];
  const indexOf = (name: string | number | undefined): number =>
    typeof name === 'number' ? name : sections.findIndex((one) => one.name === (name ?? '.text'));
  const ordered = [
    ...symbols.filter(({ binding }) => binding === 'local'),
    ...symbols.filter(({ binding }) => binding !== 'local'),
  ];
  const locals = ordered.filter(({ binding }) => binding === 'local').length;
  for (const target of targets) {
    const mine = relocations.filter(({ section = '.text' }) => section === target);
    sections.push({
      name: `.rela${target}`,
      type: SHT.RELA,
      bytes: relaBytes(mine, ordered, machine),
      link: '.symtab',
      info: target,
      entrySize: 24,
      align: 8,
    });
  }
  const names = new Names();
  sections.push({
    name: '.symtab',
    type: SHT.SYMTAB,
    bytes: symbolBytes(ordered, names, indexOf),
    link: '.strtab',
    info: locals + 1,
    entrySize: 24,
    align: 8,
  });
  sections.push({ name: '.strtab', type: SHT.STRTAB, bytes: names.bytes });
  const sectionNames = new Names();
  const nameOffsets = [...sections.map(({ name }) => sectionNames.at(name)), sectionNames.at('.shstrtab')];
  sections.push({ name: '.shstrtab', type: SHT.STRTAB, bytes: sectionNames.bytes });
  return layOut(machine, sections, nameOffsets, ordered, indexOf);
}

class Names {
  private text = '\0';
  at(name: string): number {
    if (name === '') return 0;
    const start = this.text.length;
    this.text += `${name}\0`;
    return start;
  }
  get bytes(): Uint8Array {
    return text(this.text);
  }
}

function relaBytes(
  list: readonly RelocationSpec[],
  symbols: readonly SymbolSpec[],
  { types }: Machine,
): Uint8Array {
  const bytes = new Uint8Array(list.length * 24);
  const view = new DataView(bytes.buffer);
  list.forEach(({ offset, type, symbol, addend = 0 }, i) => {
    view.setBigUint64(i * 24, BigInt(offset), true);
    view.setUint32(i * 24 + 8, type === 1 || type === 2 ? types[type] : type, true);
    view.setUint32(i * 24 + 12, symbols.findIndex(({ name }) => name === symbol) + 1, true);
    view.setBigInt64(i * 24 + 16, BigInt(addend), true);
  });
  return bytes;
}

const BINDINGS = { local: 0, global: 1, weak: 2 } as const;

function symbolBytes(
  symbols: readonly SymbolSpec[],
  names: Names,
  indexOf: (name: string | number | undefined) => number,
): Uint8Array {
  const bytes = new Uint8Array((symbols.length + 1) * 24);
  const view = new DataView(bytes.buffer);
  symbols.forEach(({ name, binding = 'global', section, value = 0, size = 0, type = 0 }, i) => {
    const at = (i + 1) * 24;
    view.setUint32(at, names.at(name), true);
    view.setUint8(at + 4, (BINDINGS[binding] << 4) | type);
    view.setUint16(at + 6, indexOf(section), true);
    view.setBigUint64(at + 8, BigInt(value), true);
    view.setBigUint64(at + 16, BigInt(size), true);
  });
  return bytes;
}

function layOut(
  machine: Machine,
  sections: readonly SectionSpec[],
  names: readonly number[],
  symbols: readonly SymbolSpec[],
  indexOf: (name: string | number | undefined) => number,
): Built {
  const round = (value: number, align: number) => Math.ceil(value / align) * align;
  const offsets: number[] = [];
  let end = 64;
  for (const { bytes, align = 1 } of sections) {
    end = round(end, Math.min(Math.max(align, 1), 4096));
    offsets.push(end);
    end += bytes?.length ?? 0;
  }
  const table = round(end, 8);
  const file = new Uint8Array(table + sections.length * 64);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 1, true);
  view.setUint16(18, machine.number, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(40, BigInt(table), true);
  view.setUint16(52, 64, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, sections.length, true);
  view.setUint16(62, sections.length - 1, true);
  sections.forEach((section, i) => {
    const {
      type = i === 0 ? SHT.NULL : SHT.PROGBITS,
      flags = 0,
      bytes,
      size,
      align = 1,
      link,
      info = 0,
      entrySize = 0,
    } = section;
    if (bytes !== undefined) file.set(bytes, offsets[i]);
    const at = table + i * 64;
    if (i === 0) return;
    view.setUint32(at, names[i], true);
    view.setUint32(at + 4, type, true);
    view.setBigUint64(at + 8, BigInt(flags), true);
    view.setBigUint64(at + 24, BigInt(offsets[i]), true);
    view.setBigUint64(at + 32, BigInt(size ?? bytes?.length ?? 0), true);
    view.setUint32(at + 40, link === undefined ? 0 : indexOf(link), true);
    view.setUint32(at + 44, typeof info === 'number' ? info : indexOf(info), true);
    view.setBigUint64(at + 48, BigInt(align), true);
    view.setBigUint64(at + 56, BigInt(entrySize), true);
  });
  const index = (name: string) => sections.findIndex((one) => one.name === name);
  return {
    bytes: file,
    header: (name) => table + index(name) * 64,
    contents: (name) => offsets[index(name)] ?? 0,
    symbol: (name) =>
      (offsets[index('.symtab')] ?? 0) + (symbols.findIndex((one) => one.name === name) + 1) * 24,
  };
}
