/** The ELF reader against readelf(1) of GNU binutils, on a sample of the modules of seven architectures. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EM, SHT } from '../../src/formats/elf/layout.ts';
import { buildId, elfNotes } from '../../src/formats/elf/notes.ts';
import { type ElfFile, readElf } from '../../src/formats/elf/read.ts';
import { relocationNames } from '../../src/formats/elf/relocation-names.ts';
import { concat, ElfBuilder } from '../formats/build-elf.ts';
import { seeded, testSeed } from './random.ts';
import { ARCHITECTURES, describeWith, moduleFiles, needs, needsTool } from './require.ts';

const PER_ARCHITECTURE = Number(process.env.LKM_SAMPLE ?? 12);
const readelf = needsTool('readelf');

function run(option: string, file: string): string[] {
  const options = { encoding: 'utf8', maxBuffer: 2 ** 30, env: { ...process.env, LC_ALL: 'C' } } as const;
  return execFileSync('readelf', ['-W', option, file], {
    ...options,
    stdio: ['ignore', 'pipe', 'ignore'],
  }).split('\n');
}

/** Unsigned hexadecimal without prefix, as readelf prints addresses. */
function address(value: number, bits: 32 | 64): string {
  return BigInt.asUintN(bits, BigInt(value)).toString(16);
}

function compareHeader(elf: ElfFile, file: string): void {
  const field = (name: string): number => {
    const line = run('-h', file).find((text) => text.trim().startsWith(name));
    return Number(/:\s+(\S+)/.exec(line ?? '')?.[1]);
  };
  expect(elf.header.shoff).toBe(field('Start of section headers'));
  expect(elf.sections.length).toBe(field('Number of section headers'));
  expect(elf.nameSection).toBe(field('Section header string table index'));
  expect(elf.header.flags).toBe(Number(/Flags:\s+(0x[0-9a-f]+)/.exec(run('-h', file).join('\n'))?.[1]));
}

const TYPE_NAMES: Record<string, number> = { ...SHT, REL: SHT.REL, LOOS: 0x60000000 };

function compareSections(elf: ElfFile, file: string): void {
  let seen = 0;
  for (const line of run('-S', file)) {
    const match =
      /^\s*\[\s*(\d+)\] (.*?)\s+(NULL|[A-Z_0-9a-f]+)\s+([0-9a-f]{8,16}) ([0-9a-f]{6,}) ([0-9a-f]{6,}) ([0-9a-f]{2,})\s+([A-Za-z]*)\s+(\d+)\s+(\d+)\s+(\d+)$/.exec(
        line,
      );
    if (match === null) continue;
    const [, index, name, type, at, offset, size, entry, , link, info, align] = match;
    const section = elf.sections[Number(index)];
    if (type in TYPE_NAMES) expect(section.type, line).toBe(TYPE_NAMES[type]);
    expect(section.name, line).toBe(name);
    expect(BigInt.asUintN(elf.bits, BigInt(section.address)), line).toBe(BigInt(`0x${at}`));
    expect([section.offset, section.size, section.entrySize], line).toEqual(
      [offset, size, entry].map((text) => Number.parseInt(text, 16)),
    );
    expect([section.link, section.info, section.alignment], line).toEqual([link, info, align].map(Number));
    seen++;
  }
  expect(seen).toBe(elf.sections.length);
}

const BINDING = ['LOCAL', 'GLOBAL', 'WEAK'];
const TYPE = ['NOTYPE', 'OBJECT', 'FUNC', 'SECTION', 'FILE', 'COMMON', 'TLS'];
const VISIBILITY = ['DEFAULT', 'INTERNAL', 'HIDDEN', 'PROTECTED'];

/** readelf shows control characters as ^A to ^_; compilers use them in the names of local labels. */
function visible(name: string): string {
  return name.replace(/[\x01-\x1f]/g, (char) => `^${String.fromCharCode(char.charCodeAt(0) + 64)}`);
}

function compareSymbols(elf: ElfFile, file: string): void {
  const symbols = elf.symbols();
  if (symbols === undefined) return;
  let seen = 0;
  for (const line of run('-s', file)) {
    const match =
      /^\s*(\d+): ([0-9a-f]+)\s+(\S+) (\w+)\s+(\w+)\s+(\w+)\s+(?:\[.*?\] )?\s*(\w+)(?: (.*))?$/.exec(line);
    if (match === null) continue;
    const [, index, value, size, type, binding, visibility, section, name] = match;
    const symbol = symbols.get(Number(index));
    expect(symbols.exactValue(symbol.index), line).toBe(BigInt(`0x${value}`));
    expect(symbol.size, line).toBe(Number(size));
    expect(BINDING[symbol.binding], line).toBe(binding);
    expect(TYPE[symbol.type], line).toBe(type);
    expect(VISIBILITY[symbol.other & 3], line).toBe(visibility);
    const where = {
      undefined: 'UND',
      absolute: 'ABS',
      common: 'COM',
      section: `${symbol.section}`,
      reserved: '?',
    };
    expect(where[symbol.place], line).toBe(section);
    const shown = symbol.type === 3 ? elf.sections[symbol.section].name : symbol.name;
    expect(visible(shown), line).toBe((name ?? '').trim());
    seen++;
  }
  expect(seen).toBe(symbols.count);
}

/** readelf puts 64-bit MIPS' second and third operation on lines of their own; the first is compared. */
function compareRelocations(elf: ElfFile, file: string): void {
  const names = relocationNames(elf.header.machine);
  const sections = elf.sections.filter((section) => section.type === SHT.RELA || section.type === SHT.REL);
  const expected: string[] = [];
  for (const line of run('-r', file)) {
    const match = /^([0-9a-f]+)\s+[0-9a-f]+ (R_\S+)(.*)$/.exec(line);
    if (match !== null)
      expected.push(`${BigInt(`0x${match[1]}`).toString(16)} ${match[2]} ${addend(match[3])}`);
  }
  const actual: string[] = [];
  for (const section of sections) {
    const list = elf.relocations(section);
    const symbols = elf.symbols(elf.sections[section.link]);
    for (let i = 0; i < list.count; i++) {
      const name = names.get(list.types[i] & (elf.header.machine === 8 ? 0xff : 0xffffffff));
      const shown = list.explicitAddends ? list.addends[i] : 0;
      expect(symbols?.count).toBeGreaterThan(list.symbols[i]);
      actual.push(`${address(list.offsets[i], elf.bits)} ${name} ${shown}`);
    }
  }
  expect(actual.length).toBe(expected.length);
  expect(actual.join('\n') === expected.join('\n') ? [] : firstDifference(actual, expected)).toEqual([]);
}

/** `0000000000000000 .text + 4c` -> 76; without a symbol the addend stands alone. */
function addend(rest: string): number {
  const signed = /([+-]) ([0-9a-f]+)$/.exec(rest);
  if (signed !== null) return Number.parseInt(signed[2], 16) * (signed[1] === '-' ? -1 : 1) || 0;
  const alone = /^\s+([0-9a-f]+)$/.exec(rest);
  return alone === null ? 0 : Number(BigInt.asIntN(64, BigInt(`0x${alone[1]}`)));
}

function firstDifference(actual: readonly string[], expected: readonly string[]): string[] {
  const at = actual.findIndex((line, i) => line !== expected[i]);
  return [`entry ${at}`, actual[at], expected[at]];
}

function compareNotes(elf: ElfFile, file: string): void {
  const lines = run('-n', file);
  const owners = lines
    .map((line) => /^ {2}(\S+)\s+0x[0-9a-f]{8}\s/.exec(line)?.[1])
    .filter((owner) => owner !== undefined);
  expect(elfNotes(elf).map((note) => note.owner)).toEqual(owners);
  const id = lines
    .map((line) => /Build ID: ([0-9a-f]+)/.exec(line)?.[1])
    .find((found) => found !== undefined);
  expect(buildId(elf)).toBe(id);
}

const BIG_ENDIAN = new Set<number>([EM.SPARCV9, EM.S390, EM.PARISC, EM.PPC, EM['68K']]);
/** Machines that readelf expects in 64-bit files. */
const WIDE = new Set<number>([EM.ALPHA, EM.RISCV]);

/** A file with one relocation of every type that has a name here. */
function everyRelocation(machine: number, bits: 32 | 64, types: readonly number[]): Uint8Array {
  const elf = new ElfBuilder(bits, !BIG_ENDIAN.has(machine));
  elf.machine = machine;
  const text = elf.add({ name: '.text', type: SHT.PROGBITS, flags: 6, data: new Uint8Array(16) });
  const link = elf.addSymbols([]);
  const data = concat(types.flatMap((type) => [elf.long(0), elf.long(type), elf.long(0)]));
  elf.add({ name: '.rela.text', type: SHT.RELA, link, info: text, entrySize: bits === 64 ? 24 : 12, data });
  return elf.build();
}

/** Numbers that binutils 2.40 does not know yet; from the processor supplements. */
function isNew(machine: number, type: number): boolean {
  if (machine === EM.RISCV) return type === 41 || type >= 59;
  return machine === EM.LOONGARCH && type >= 101;
}

describeWith(readelf, 'names of relocation types', () => {
  const machines = Object.entries(EM).filter(([, machine]) => relocationNames(machine).size > 0);
  it.each(machines)('of %s are those of readelf', (name, machine) => {
    const names = relocationNames(machine);
    const bits = [...names.keys()].some((type) => type > 255) || WIDE.has(machine) ? 64 : 32;
    const types = [...names.keys()];
    const folder = mkdtempSync(join(tmpdir(), 'lkm-elf-'));
    const file = join(folder, `${name}.o`);
    writeFileSync(file, everyRelocation(machine, bits, types));
    const shown = run('-r', file).map((line) => /^0+ +[0-9a-f]+ (R_\S+|unrecognized)/.exec(line)?.[1]);
    rmSync(folder, { recursive: true });
    const found = shown.filter((text) => text !== undefined);
    expect(found).toHaveLength(types.length);
    types.forEach((type, i) => {
      // A later release of readelf that knows the number must agree, but for R_RISCV 41, which had another meaning before.
      if (isNew(machine, type) && (found[i] === 'unrecognized' || type === 41)) return;
      expect(names.get(type), `type ${type}`).toBe(found[i]);
    });
  });
});

for (const architecture of ARCHITECTURES) {
  const kernel = needs(`debian-${architecture}`);
  describeWith(readelf && kernel, `modules of Debian ${architecture}`, (debian) => {
    const seed = testSeed();
    const sample = seeded(seed).sample(
      moduleFiles((debian as NonNullable<typeof kernel>).modules),
      PER_ARCHITECTURE,
    );
    describe(`sample of seed ${seed}`, () => {
      it.each(sample)('%s', (file) => {
        const elf = readElf(new Uint8Array(readFileSync(file)));
        expect(basename(file)).toMatch(/\.ko$/);
        compareHeader(elf, file);
        compareSections(elf, file);
        compareSymbols(elf, file);
        compareRelocations(elf, file);
        compareNotes(elf, file);
      });
    });
  });
}
