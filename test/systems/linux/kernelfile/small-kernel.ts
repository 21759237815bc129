/** A kernel image of a few hundred bytes: what a real one has for modules, and nothing else. */
import { gzipSync } from 'fflate';
import { INT_SIGNED, Kind } from '../../../../src/ctypes/btf-layout.ts';
import { BtfBuilder } from '../../../ctypes/btf-builder.ts';
import { concat, ElfBuilder } from '../../../formats/build-elf.ts';

export interface SmallExport {
  readonly name: string;
  readonly address: number;
  readonly crc: number;
  readonly gplOnly?: boolean;
  readonly namespace?: string;
}

export const TEXT = -0x7f000000;
export const RODATA = TEXT + 0x10000;
const KSYMTAB = TEXT + 0x20000;
const KSYMTAB_GPL = TEXT + 0x21000;
const STRINGS = TEXT + 0x22000;
export const DATA = TEXT + 0x30000;

export const EXPORTS: readonly SmallExport[] = [
  { name: 'kfree', address: TEXT + 0x10, crc: 0x11111111 },
  // "free" is stored as the tail of "kfree": the section is suffix-merged by the linker.
  { name: 'free', address: TEXT + 0x40, crc: 0x22222222 },
  { name: 'jiffies', address: DATA + 8, crc: 0xffffffff },
  { name: 'this_cpu_off', address: 0x18, crc: 0x33333333 },
  { name: 'secret', address: TEXT + 0x80, crc: 0x44444444, gplOnly: true, namespace: 'CRYPTO_INTERNAL' },
  { name: 'hidden', address: TEXT + 0x90, crc: 0x55555555, gplOnly: true },
];

const encoder = new TextEncoder();
const text = (...strings: string[]) => encoder.encode(strings.map((s) => `${s}\0`).join(''));

export interface Shape {
  readonly bits?: 32 | 64;
  readonly littleEndian?: boolean;
  /** Pointers instead of relative references. */
  readonly pointers?: boolean;
  readonly namespaces?: boolean;
  readonly release?: string;
  /** Further strings of the read-only data. */
  readonly strings?: readonly string[];
  /** Text of an embedded configuration. */
  readonly config?: string;
}

export function smallKernel(shape: Shape = {}): Uint8Array {
  const { bits = 64, littleEndian = true, release = '6.1.0-small' } = shape;
  const elf = new ElfBuilder(bits, littleEndian);
  elf.type = 2;
  const strings = text('CRYPTO_INTERNAL', 'kfree', 'jiffies', 'this_cpu_off', 'secret', 'hidden');
  const data = (name: string, address: number, flags: number, bytes: Uint8Array, type = 1) =>
    elf.add({ name, type, flags, address, data: bytes });
  data('.text', TEXT, 6, new Uint8Array(0x100));
  data(
    '.rodata',
    RODATA,
    3,
    concat([text(...rodataStrings(release, shape.strings)), configBytes(shape.config)]),
  );
  for (const [suffix, gplOnly, address] of [
    ['', false, KSYMTAB],
    ['_gpl', true, KSYMTAB_GPL],
  ] as const) {
    const rows = EXPORTS.filter((e) => (e.gplOnly === true) === gplOnly);
    data(`__ksymtab${suffix}`, address, 2, table(elf, rows, address, strings, shape));
    data(`__kcrctab${suffix}`, address + 0x800, 2, concat(rows.map((e) => elf.word(e.crc, 4))));
  }
  data('__ksymtab_strings', STRINGS, 0x32, strings);
  data('.data', DATA, 3, new Uint8Array(64));
  data('.data..percpu', 0, 3, new Uint8Array(64));
  if (bits === 64) data('.BTF', RODATA + 0x4000, 2, types(littleEndian));
  elf.add({ name: '.bss', type: 8, flags: 3, address: DATA + 0x1000, size: 0x100 });
  return elf.build();
}

function rodataStrings(release: string, more: readonly string[] = []): string[] {
  const banner = `Linux version ${release} (someone) (gcc 12) #1 SMP Debian 6.1 (2026-01-01)`;
  const magic = `${release} SMP preempt mod_unload modversions `;
  return ['', banner, 'Linux version %s', magic, 'disagrees about version of symbol', ...more];
}

function configBytes(config: string | undefined): Uint8Array {
  if (config === undefined) return new Uint8Array(0);
  return concat([encoder.encode('IKCFG_ST'), gzipSync(encoder.encode(config)), encoder.encode('IKCFG_ED')]);
}

function table(
  elf: ElfBuilder,
  rows: readonly SmallExport[],
  address: number,
  strings: Uint8Array,
  { pointers = false, namespaces = true }: Shape,
): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = address;
  for (const row of rows) {
    const space = row.namespace === undefined ? 0 : nameAddress(strings, row.namespace);
    for (const target of [row.address, nameAddress(strings, row.name), ...(namespaces ? [space] : [])]) {
      const word = pointers ? elf.long(target) : elf.word(target === 0 ? 0 : target - at, 4);
      parts.push(word);
      at += word.length;
    }
  }
  return concat(parts);
}

function nameAddress(strings: Uint8Array, name: string): number {
  return STRINGS + new TextDecoder().decode(strings).indexOf(`${name}\0`);
}

/** struct module { char name[56]; int state; }; int this_cpu_off; int use(int); */
function types(littleEndian: boolean): Uint8Array {
  const b = new BtfBuilder(littleEndian);
  const int = b.int('int', 4, INT_SIGNED);
  const char = b.int('char', 1, INT_SIGNED);
  const name = b.add(Kind.Array, '', 0, 0, [char, int, 56]);
  b.add(Kind.Struct, 'module', 60, 2, [b.name('name'), name, 0, b.name('state'), int, 448]);
  const variable = b.add(Kind.Variable, 'this_cpu_off', int, 0, [1]);
  b.add(Kind.DataSection, '.data..percpu', 64, 1, [variable, 0x18, 4]);
  const proto = b.add(Kind.FunctionPrototype, '', int, 1, [b.name('x'), int]);
  b.add(Kind.Function, 'idempotent_init_module', proto);
  return b.bytes();
}
