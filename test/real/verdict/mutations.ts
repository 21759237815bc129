/**
 * Modules that are broken at random, one field each: what the list of cases does by hand. The same seed and kernel give the
 * same modules.
 */
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { type Random, seeded } from '../random.ts';
import { buildModule, type ModuleSpec, modinfo, SHF, SHN, SHT } from './module-builder.ts';
import type { LoadStep } from './qemu.ts';

/** Names that mean something to a loader. */
const SPECIAL = [
  '.modinfo',
  '__versions',
  '.gnu.linkonce.this_module',
  '.text',
  '.init.text',
  '.exit.text',
  '.init.data',
  '.data..percpu',
  '.data..ro_after_init',
  '__ksymtab',
  '__ksymtab_gpl',
  '__kcrctab',
  '__kcrctab_gpl',
  '__kflagstab',
  '__ksymtab_strings',
  '__obsparm',
  '.ctors',
  '.init_array',
  '.noinstr.text',
  '.orc_unwind',
  '.orc_unwind_ip',
  '.orc_header',
  '.note.gnu.build-id',
  '.note.other',
  'BTF',
  '.BTF',
  '__dyndbg',
  '__version_ext_crcs',
  '__version_ext_names',
  '_kprobe_blacklist',
  '.rodata',
  '.rodata.str1.1',
  '.bss',
  '.comment',
  '.symtab',
  '.strtab',
  '',
] as const;

interface Base {
  readonly what: string;
  readonly bytes: Uint8Array;
}

function bases(kernel: KernelFile, others: readonly Base[]): Base[] {
  const made = (what: string, spec: ModuleSpec): Base => ({ what, bytes: buildModule(kernel, spec).bytes });
  const data = { name: '.data', flags: SHF.WRITE | SHF.ALLOC, bytes: new Uint8Array(64), align: 32 };
  const constants = { name: '.rodata', flags: SHF.ALLOC, bytes: new Uint8Array(32).fill(65), align: 8 };
  const zeros = { name: '.bss', type: SHT.NOBITS, flags: SHF.WRITE | SHF.ALLOC, size: 256, align: 64 };
  const note = { name: '.note.x', type: SHT.NOTE, flags: SHF.ALLOC, bytes: new Uint8Array(20), align: 4 };
  const comment = { name: '.comment', bytes: new Uint8Array(12).fill(66) };
  const own = [
    { name: 'own', section: '.text', value: 8, size: 8, type: 2, binding: 'local' as const },
    { name: 'field', section: '.data', value: 4, size: 4, type: 1 },
    { name: 'fixed', section: SHN.ABS, value: 0x77 },
  ];
  const plain = {
    imports: ['_printk', 'kfree', { name: 'no_such_symbol_w', weak: true }],
    sections: [data, constants, zeros, note, comment],
    symbols: own,
    relocations: [
      { offset: 128, type: 2, symbol: 'own' },
      { offset: 144, type: 11, symbol: 'field', addend: 8 },
      { section: '.data', offset: 8, type: 1, symbol: 'own', addend: 1 },
      { offset: 160, type: 4, symbol: '_printk', addend: -4 },
    ],
  };
  return [
    made('plain', plain),
    made('plain', plain),
    made('small', { imports: ['_printk'] }),
    made('exports', {
      imports: ['_printk'],
      exports: [
        { name: 'verdict_a', crc: 1 },
        { name: 'verdict_b', gpl: true, crc: 2 },
      ],
    }),
    made('out-of-tree', { ...plain, modinfo: ['license=Proprietary', ...modinfo(kernel).slice(2)] }),
    ...others,
  ];
}

/** Where things lie in a file of the builder, or of a compiler. */
class Shape {
  readonly view: DataView;
  readonly shoff: number;
  readonly count: number;
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.shoff = Number(this.view.getBigUint64(40, true));
    this.count = this.view.getUint16(60, true);
  }
  header = (index: number): number => this.shoff + index * 64;
  type = (index: number): number => this.view.getUint32(this.header(index) + 4, true);
  offset = (index: number): number => Number(this.view.getBigUint64(this.header(index) + 24, true));
  size = (index: number): number => Number(this.view.getBigUint64(this.header(index) + 32, true));
  name(index: number): string {
    const names = this.offset(this.view.getUint16(62, true));
    let at = names + this.view.getUint32(this.header(index), true);
    let text = '';
    for (; this.bytes[at] !== 0; at++) text += String.fromCharCode(this.bytes[at]);
    return text;
  }
  find(test: (index: number) => boolean): number[] {
    return Array.from({ length: this.count }, (_, i) => i).filter((i) => i > 0 && test(i));
  }
}

const WORDS32 = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 0x10, 0x40, 0xff, 0x7fffffff, 0x80000000, 0xffffffff,
] as const;

function number(random: Random, shape: Shape): number {
  const near = [shape.count, shape.count - 1, shape.count + 1, shape.bytes.length, shape.bytes.length - 1];
  return random.pick([...WORDS32, ...near, random.below(64), random.below(0x10000)]);
}

function wide(random: Random, shape: Shape): bigint {
  const far = [1n << 31n, 1n << 32n, 1n << 33n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n];
  return random.below(3) === 0 ? random.pick(far) : BigInt(number(random, shape));
}

/** The file header: a field of two bytes, or one byte of e_ident. */
function breakHeader(random: Random, shape: Shape): string {
  const field = random.below(10);
  if (field < 2) {
    const at = random.below(16);
    shape.view.setUint8(at, random.below(256));
    return `ident ${at} = ${shape.view.getUint8(at)}`;
  }
  if (field < 4) {
    const at = random.pick([24, 32, 40]);
    const value = wide(random, shape);
    shape.view.setBigUint64(at, value, true);
    return `header ${at} = ${value}`;
  }
  const at = random.pick([16, 18, 20, 48, 52, 54, 56, 58, 60, 60, 62, 62]);
  const value = number(random, shape) & 0xffff;
  shape.view.setUint16(at, value, true);
  return `header ${at} = ${value}`;
}

const SHORT = ['name', 'type', 'link', 'info'] as const;
const LONG = ['flags', 'addr', 'offset', 'size', 'align', 'entsize'] as const;
const PLACES = {
  name: 0,
  type: 4,
  flags: 8,
  addr: 16,
  offset: 24,
  size: 32,
  link: 40,
  info: 44,
  align: 48,
  entsize: 56,
};

function breakSection(random: Random, shape: Shape): string {
  const index = random.below(shape.count);
  const field = random.pick([...SHORT, ...LONG, 'type', 'flags', 'size']);
  const at = shape.header(index) + PLACES[field as keyof typeof PLACES];
  const where = `section ${index} ${shape.name(index)} ${field}`;
  if ((SHORT as readonly string[]).includes(field)) {
    const value =
      field === 'type' && random.below(2) === 0
        ? random.pick([...Object.values(SHT), 14, 16, 17, 0x6ffffff5, 0x70000001])
        : number(random, shape);
    shape.view.setUint32(at, value, true);
    return `${where} = ${value}`;
  }
  const old = shape.view.getBigUint64(at, true);
  let value = wide(random, shape);
  if (field === 'flags' && random.below(3) > 0) value = old ^ BigInt(random.pick([1, 2, 4, 0x10, 0x400]));
  if (field === 'size' && random.below(2) === 0)
    value = old + BigInt(random.pick([-24, -8, -1, 1, 8, 12, 64]));
  shape.view.setBigUint64(at, BigInt.asUintN(64, value), true);
  return `${where} = ${value}`;
}

/** A section gets the name of another one, or one that means something. */
function renameSection(random: Random, shape: Shape): string {
  const index = 1 + random.below(shape.count - 1);
  const before = shape.name(index);
  if (random.below(3) === 0) {
    const like = random.below(shape.count);
    shape.view.setUint32(shape.header(index), shape.view.getUint32(shape.header(like), true), true);
    return `section ${index} ${before} is called ${shape.name(like)}`;
  }
  // The table of names is written anew at the end of the file.
  const table = shape.view.getUint16(62, true);
  const name = random.pick(SPECIAL);
  const old = shape.bytes.slice(shape.offset(table), shape.offset(table) + shape.size(table));
  const grown = new Uint8Array(shape.bytes.length + old.length + name.length + 1);
  grown.set(shape.bytes);
  grown.set(old, shape.bytes.length);
  grown.set(new TextEncoder().encode(name), shape.bytes.length + old.length);
  const view = new DataView(grown.buffer);
  view.setBigUint64(shape.header(table) + 24, BigInt(shape.bytes.length), true);
  view.setBigUint64(shape.header(table) + 32, BigInt(old.length + name.length + 1), true);
  view.setUint32(shape.header(index), old.length, true);
  grownBytes.set(shape, grown);
  return `section ${index} ${before} is called '${name}'`;
}

const grownBytes = new WeakMap<Shape, Uint8Array>();

function breakSymbol(random: Random, shape: Shape): string {
  const [table] = shape.find((i) => shape.type(i) === SHT.SYMTAB);
  const index = random.below(Math.max(1, shape.size(table) / 24));
  const at = shape.offset(table) + index * 24;
  const field = random.pick(['name', 'info', 'info', 'other', 'shndx', 'shndx', 'shndx', 'value', 'size']);
  const where = `symbol ${index} ${field}`;
  if (field === 'name') {
    const value = random.below(3) === 0 ? number(random, shape) : random.below(40);
    shape.view.setUint32(at, value, true);
    return `${where} = ${value}`;
  }
  if (field === 'info' || field === 'other') {
    const value = random.pick([0, 1, 2, 3, 4, 6, 10, 0x10, 0x11, 0x12, 0x16, 0x20, 0x21, 0x22, 0xa0, 0xff]);
    shape.view.setUint8(at + (field === 'info' ? 4 : 5), value);
    return `${where} = ${value}`;
  }
  if (field === 'shndx') {
    const value = random.pick([
      0,
      1,
      shape.count - 1,
      shape.count,
      0xfff1,
      0xfff2,
      0xff20,
      0xff00,
      0xffff,
      random.below(shape.count),
    ]);
    shape.view.setUint16(at + 6, value, true);
    return `${where} = ${value}`;
  }
  const value = wide(random, shape);
  shape.view.setBigUint64(at + (field === 'value' ? 8 : 16), value, true);
  return `${where} = ${value}`;
}

function breakRelocation(random: Random, shape: Shape): string {
  const tables = shape.find((i) => shape.type(i) === SHT.RELA && shape.size(i) > 0);
  if (tables.length === 0) return breakHeader(random, shape);
  const table = random.pick(tables);
  const index = random.below(shape.size(table) / 24);
  const at = shape.offset(table) + index * 24;
  const target = shape.view.getUint32(shape.header(table) + 44, true);
  const where = `relocation ${index} of ${shape.name(table)}`;
  switch (random.below(4)) {
    case 0: {
      // Outside of the section anything may be hit.
      const value = random.below(Math.max(1, shape.size(target) - 8));
      shape.view.setBigUint64(at, BigInt(value), true);
      return `${where} at ${value}`;
    }
    case 1:
    case 2: {
      const value = random.below(2) === 0 ? random.below(45) : number(random, shape);
      shape.view.setUint32(at + 8, value, true);
      return `${where} type ${value}`;
    }
    default: {
      const value = wide(random, shape);
      shape.view.setBigUint64(at + 16, value, true);
      return `${where} addend ${value}`;
    }
  }
}

/** A byte of a section that the loader reads as text or numbers. */
function breakContents(random: Random, shape: Shape): string {
  const wanted = /^(\.modinfo|__versions|__kcrctab.*|__ksymtab_strings|\.strtab|\.shstrtab|\.note.*)$/;
  const table = random.pick(shape.find((i) => wanted.test(shape.name(i)) && shape.size(i) > 0));
  const at = random.below(shape.size(table));
  const value = random.pick([0, 0, 1, 0x20, 0x2c, 0x3d, 0x41, 0x5f, 0x7f, 0x80, 0xff, random.below(256)]);
  shape.bytes[shape.offset(table) + at] = value;
  return `byte ${at} of ${shape.name(table)} = ${value}`;
}

const TAGS = ['license', 'intree', 'retpoline', 'depends', 'name', 'vermagic'];
const MORE = [
  'livepatch=Y',
  'staging=Y',
  'test=Y',
  'import_ns=',
  'import_ns=ANY',
  'import_ns=module:x',
  'name=second',
  'license=GPL',
  'license=Proprietary',
  'vermagic=',
  'intree=',
  'retpoline=N',
  'no equals sign',
  '=',
  'parm=x:y',
  'version=1',
  'srcversion=',
  'alias=*',
  'softdep=pre: x',
  'depends=a,b',
  'firmware=x',
  'license',
  'name',
];

/** A string more, one less, another order. */
function breakModinfo(random: Random, kernel: KernelFile): Base {
  let list = modinfo(kernel);
  const what: string[] = [];
  for (let n = 1 + random.below(2); n > 0; n--) {
    const kind = random.below(5);
    const at = random.below(list.length);
    if (kind === 0) {
      what.push(`without ${list[at]}`);
      list = list.filter((_, i) => i !== at);
    } else if (kind === 1) {
      const one = random.pick(MORE);
      what.push(`'${one}' at ${at}`);
      list = [...list.slice(0, at), one, ...list.slice(at)];
    } else if (kind === 2) {
      what.push(`${list[at]} is last`);
      list = [...list.filter((_, i) => i !== at), list[at]];
    } else if (kind === 3) {
      const tag = random.pick(TAGS);
      const value = random.pick([
        '',
        ' ',
        'x',
        'GPL',
        'GPL v2',
        '1',
        'N',
        'a b',
        'é',
        '%s%n',
        'x'.repeat(60),
      ]);
      what.push(`${tag}=${value}`);
      list = list.map((one) => (one.startsWith(`${tag}=`) ? `${tag}=${value}` : one));
    } else {
      const tag = random.pick(TAGS);
      const case_ = (one: string) => (random.below(2) === 0 ? one.toUpperCase() : ` ${one}`);
      what.push(`${tag} is changed in case or blank`);
      list = list.map((one) => (one.startsWith(`${tag}=`) ? case_(one) : one));
    }
    if (list.length === 0) list = ['license=GPL'];
  }
  return { what: what.join(', '), bytes: buildModule(kernel, { imports: ['_printk'], modinfo: list }).bytes };
}

/** A section more, with a name that means something and contents that mean nothing. */
function addSection(random: Random, kernel: KernelFile): Base {
  const name = random.pick(SPECIAL);
  const flags = random.pick([0, SHF.ALLOC, SHF.ALLOC | SHF.WRITE, SHF.ALLOC | SHF.EXEC]);
  const type = random.pick([1, 1, 1, SHT.NOBITS, SHT.NOTE, 14, SHT.STRTAB]);
  const size = random.pick([0, 1, 4, 8, 12, 24, 64, 100]);
  const align = random.pick([0, 1, 4, 8, 64, 4096]);
  const spec: ModuleSpec = {
    imports: ['_printk'],
    sections: [
      { name, flags, type, align, ...(type === SHT.NOBITS ? { size } : { bytes: new Uint8Array(size) }) },
    ],
  };
  return {
    what: `section '${name}' more: type ${type}, flags ${flags}, ${size} bytes, alignment ${align}`,
    bytes: buildModule(kernel, spec).bytes,
  };
}

/** Sections whose contents a loader follows blindly: nonsense in them crashes any kernel. */
const BLIND = /^(\.gnu\.linkonce\.this_module|__ksymtab(_gpl)?|__param|__(jump|ex|bug)_table|\.orc.*)$/;

const KINDS = [
  breakHeader,
  breakSection,
  breakSection,
  breakSection,
  renameSection,
  breakSymbol,
  breakSymbol,
] as const;

/** @param others modules of the kernel's own build, that may be loaded without harm */
export function brokenAtRandom(
  kernel: KernelFile,
  seed: number,
  count: number,
  others: readonly Base[] = [],
): (LoadStep & { readonly what: string })[] {
  const random = seeded(seed);
  const from = bases(kernel, others);
  return Array.from({ length: count }, (_, i) => {
    const made = breakOne(random, kernel, from);
    const flags = random.below(16) === 0 ? random.pick([1, 2, 3]) : 0;
    const how = random.below(12) === 0 && flags === 0 ? 'init' : 'finit';
    return { name: `random-${seed}-${i}`, how, flags, bytes: made.bytes, what: made.what };
  });
}

function breakOne(random: Random, kernel: KernelFile, from: readonly Base[]): Base {
  const kind = random.below(14);
  if (kind === 0 || kind === 1) return breakModinfo(random, kernel);
  if (kind === 2 || kind === 3) return addSection(random, kernel);
  const base = random.pick(from);
  const shape = new Shape(base.bytes.slice());
  const change = kind === 4 || kind === 5 ? breakContents : kind === 6 ? breakRelocation : random.pick(KINDS);
  const what = `${base.what}: ${change(random, shape)}`;
  return { what, bytes: grownBytes.get(shape) ?? shape.bytes };
}

export const isBlind = (section: string): boolean => BLIND.test(section);
