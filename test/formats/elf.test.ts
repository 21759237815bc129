import { describe, expect, it } from 'vitest';
import { FormatError, type FormatErrorKind } from '../../src/bytes/errors.ts';
import { ByteView } from '../../src/bytes/view.ts';
import { dynamicEntries, sectionGroups } from '../../src/formats/elf/dynamic.ts';
import { readElfHeader, readSectionHeader } from '../../src/formats/elf/headers.ts';
import { EM, ET, SHF, SHN, SHT } from '../../src/formats/elf/layout.ts';
import { buildId, elfNotes } from '../../src/formats/elf/notes.ts';
import { elfMachine, readElfObject } from '../../src/formats/elf/object.ts';
import { readElf } from '../../src/formats/elf/read.ts';
import { relocationName, relocationNames } from '../../src/formats/elf/relocation-names.ts';
import { relativeRelocations } from '../../src/formats/elf/relocations.ts';
import { versionDefinitions, versionNeeds } from '../../src/formats/elf/versions.ts';
import fc from '../properties.ts';
import { concat, ElfBuilder } from './build-elf.ts';

const VARIANTS = [
  [64, true],
  [64, false],
  [32, true],
  [32, false],
] as const;

function failure(run: () => unknown): { kind: FormatErrorKind; what: string; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof FormatError) return { kind: error.kind, what: error.what, message: error.message };
    throw error;
  }
  throw new Error('no error was thrown');
}

/** .text, .bss, symbols of every place, and relocations against .text in both forms. */
function sample(bits: 32 | 64, littleEndian: boolean): ElfBuilder {
  const elf = new ElfBuilder(bits, littleEndian);
  const text = elf.add({
    name: '.text',
    type: SHT.PROGBITS,
    flags: 6,
    alignment: 16,
    data: new Uint8Array(32).fill(0x90),
  });
  elf.add({ name: '.bss', type: SHT.NOBITS, flags: 3, alignment: 32, size: 4096 });
  const symtab = elf.addSymbols(
    [
      { name: 'local', section: text, value: 4, size: 8, info: 2 },
      { name: 'printk', info: 0x10 },
      { name: 'absolute', section: SHN.ABS, value: 0x1234, info: 0x20 },
      { name: 'shared', section: SHN.COMMON, value: 8, size: 64, info: 0x11 },
    ],
    2,
  );
  const info = (symbol: number, type: number): Uint8Array =>
    elf.long(bits === 64 ? (BigInt(symbol) << 32n) | BigInt(type) : (symbol << 8) | type);
  const rela = concat([
    elf.long(4),
    info(2, 4),
    elf.long(-4),
    elf.long(16),
    info(1, 1),
    elf.long(0x7fffffff),
  ]);
  const link = { link: symtab, info: text, alignment: 8 };
  elf.add({ name: '.rela.text', type: SHT.RELA, entrySize: bits === 64 ? 24 : 12, data: rela, ...link });
  elf.add({
    name: '.rel.text',
    type: SHT.REL,
    entrySize: bits / 4,
    data: concat([elf.long(24), info(3, 2)]),
    ...link,
  });
  return elf;
}

describe.each(VARIANTS)('a relocatable file of %i bits, little endian %s', (bits, littleEndian) => {
  const bytes = sample(bits, littleEndian).build();

  it('has its sections, symbols and relocations', () => {
    const elf = readElf(bytes);
    expect(elf.bits).toBe(bits);
    expect(elf.littleEndian).toBe(littleEndian);
    expect(elf.sections.map((section) => section.name)).toEqual([
      '',
      '.text',
      '.bss',
      '.strtab',
      '.symtab',
      '.rela.text',
      '.rel.text',
      '.shstrtab',
    ]);
    expect(elf.data(elf.section('.text')!)).toEqual(new Uint8Array(32).fill(0x90));
    expect(elf.data(elf.section('.bss')!)).toHaveLength(0);
    const symbols = elf.symbols()!;
    expect(symbols.firstGlobal).toBe(2);
    expect(symbols.all().map(({ name, place, value }) => [name, place, value])).toEqual([
      ['', 'undefined', 0],
      ['local', 'section', 4],
      ['printk', 'undefined', 0],
      ['absolute', 'absolute', 0x1234],
      ['shared', 'common', 8],
    ]);
    const rela = elf.relocations(elf.section('.rela.text')!);
    expect([[...rela.offsets], [...rela.symbols], [...rela.types], [...rela.addends]]).toEqual([
      [4, 16],
      [2, 1],
      [4, 1],
      [-4, 0x7fffffff],
    ]);
    expect(rela.exactAddend(0)).toBe(-4n);
    expect(elf.relocations(elf.section('.rel.text')!).explicitAddends).toBe(false);
  });

  it('becomes a neutral object file', () => {
    const object = readElfObject(bytes);
    expect([object.format, object.machine, object.bits, object.kind]).toEqual([
      'elf',
      'x86-64',
      bits,
      'relocatable',
    ]);
    expect(object.sections[1]).toMatchObject({
      allocated: true,
      executable: true,
      writable: false,
      alignment: 16,
    });
    expect(object.sections[2]).toMatchObject({ zeroFill: true, size: 4096, writable: true });
    expect(object.symbols[2]).toMatchObject({ name: 'printk', binding: 'global', place: 'undefined' });
    expect(object.symbols[3]).toMatchObject({ binding: 'weak', place: 'absolute' });
    expect(object.relocations(1)).toEqual([
      { section: 1, offset: 4, type: 4, symbol: 2, addend: -4 },
      { section: 1, offset: 16, type: 1, symbol: 1, addend: 0x7fffffff },
      { section: 1, offset: 24, type: 2, symbol: 3, addend: undefined },
    ]);
    expect(object.relocations(2)).toEqual([]);
  });

  it('offers the unjudged structs', () => {
    const header = readElfHeader(bytes);
    expect(header).toMatchObject({ type: ET.REL, machine: EM.X86_64, shnum: 8, shstrndx: 7 });
    const section = readSectionHeader(
      new ByteView(bytes, littleEndian),
      header.shoff + header.shentsize,
      bits,
    );
    expect(section).toMatchObject({ type: SHT.PROGBITS, flags: 6, size: 32 });
  });

  it('cut anywhere gives a typed error or a result', () => {
    for (let length = 0; length < bytes.length; length++) everything(bytes.slice(0, length));
  });
});

/** Reads all there is; anything but a FormatError fails the test. */
function everything(bytes: Uint8Array): void {
  try {
    const object = readElfObject(bytes);
    const elf = readElf(bytes);
    for (const step of [
      () => object.symbols,
      () => elfNotes(elf),
      () => sectionGroups(elf),
      () => versionNeeds(elf),
    ]) {
      try {
        step();
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
    for (const section of object.sections) object.relocations(section.index);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
}

describe('addresses', () => {
  it('are signed numbers in 64-bit files and exact for kernel addresses', () => {
    const elf = new ElfBuilder(64, true);
    const address = 0xffffffff81000000n;
    elf.add({ name: '.text', type: SHT.PROGBITS, flags: 6, address: Number(BigInt.asIntN(64, address)) });
    elf.addSymbols([{ name: '_stext', section: 1, value: address }]);
    const file = readElf(elf.build());
    expect(file.section('.text')!.address).toBe(-2130706432);
    expect(file.symbols()!.value(1)).toBe(-2130706432);
    expect(file.symbols()!.exactValue(1)).toBe(address);
  });

  it('of any 64-bit value keep all bits in exactValue', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.boolean(), (value, littleEndian) => {
        const elf = new ElfBuilder(64, littleEndian);
        elf.addSymbols([{ name: 'x', section: SHN.ABS, value }]);
        const symbols = readElf(elf.build()).symbols()!;
        expect(symbols.exactValue(1)).toBe(value);
        expect(symbols.value(1)).toBe(Number(BigInt.asIntN(64, value)));
      }),
    );
  });
});

describe('extended numbering', () => {
  it.each(VARIANTS)('takes the counts from section 0 (%i bits, little endian %s)', (bits, littleEndian) => {
    const elf = sample(bits, littleEndian);
    elf.extended = true;
    elf.segments.push({ type: 1, offset: 0, fileSize: 16 });
    const file = readElf(elf.build());
    expect(file.sections).toHaveLength(8);
    expect(file.segments).toHaveLength(1);
    expect(file.section('.text')!.index).toBe(1);
    expect(file.segmentData(file.segments[0])).toHaveLength(16);
  });

  it('takes section indexes of symbols from SHT_SYMTAB_SHNDX', () => {
    const elf = new ElfBuilder(64, true);
    elf.add({ name: '.text', type: SHT.PROGBITS, flags: 6, data: new Uint8Array(4) });
    const link = elf.addSymbols([{ name: 'far', section: SHN.XINDEX }]);
    elf.add({
      name: '.symtab_shndx',
      type: SHT.SYMTAB_SHNDX,
      link,
      data: concat([elf.word(0, 4), elf.word(1, 4)]),
    });
    expect(readElf(elf.build()).symbols()!.get(1)).toMatchObject({ place: 'section', section: 1 });
  });

  it('refuses SHN_XINDEX without that section', () => {
    const elf = new ElfBuilder(64, true);
    elf.addSymbols([{ name: 'far', section: SHN.XINDEX }]);
    expect(failure(() => readElf(elf.build()).symbols()).kind).toBe('Invalid');
  });
});

describe('refusals', () => {
  const bytes = sample(64, true).build();
  const set = (at: number, value: number, size: 1 | 2 | 4 | 8): Uint8Array => {
    const copy = bytes.slice();
    const view = new DataView(copy.buffer);
    if (size === 1) view.setUint8(at, value);
    else if (size === 2) view.setUint16(at, value, true);
    else if (size === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    return copy;
  };
  const shoff = readElfHeader(bytes).shoff;

  it.each([
    ['no ELF', new Uint8Array([1, 2, 3, 4]), 'BadMagic', 'e_ident'],
    ['no bytes', new Uint8Array(0), 'BadMagic', 'e_ident'],
    ['only the magic', bytes.slice(0, 4), 'Truncated', 'e_ident'],
    ['class 3', set(4, 3, 1), 'Unsupported', 'EI_CLASS'],
    ['byte order 0', set(5, 0, 1), 'Unsupported', 'EI_DATA'],
    ['version 2', set(20, 2, 4), 'Unsupported', 'e_version'],
    ['half a header', bytes.slice(0, 40), 'Truncated', 'ELF header'],
    ['section table beyond the end', set(40, bytes.length, 8), 'Truncated', 'e_shoff'],
    ['section size 65', set(58, 65, 2), 'Invalid', 'e_shentsize'],
    ['too many sections', set(60, 60000, 2), 'Truncated', 'e_shnum'],
    ['name table out of range', set(62, 500, 2), 'Invalid', 'e_shstrndx'],
    ['name table of another type', set(62, 1, 2), 'Invalid', 'e_shstrndx'],
    ['section beyond the end', set(shoff + 64 + 32, 1e6, 8), 'Truncated', 'section 1'],
    ['section name out of range', set(shoff + 64, 1e6, 4), 'Invalid', 'section 1'],
  ])('%s', (_, input, kind, what) => {
    expect(failure(() => readElf(input))).toMatchObject({ kind, what });
  });

  it('of symbols and relocations come when they are asked for', () => {
    const badName = set(readElf(bytes).section('.symtab')!.offset + 24, 999999, 4);
    expect(failure(() => readElf(badName).symbols())).toMatchObject({
      kind: 'Invalid',
      what: 'symbol 1 of .symtab',
    });
    const rela = readElf(bytes).section('.rela.text')!;
    const badSymbol = readElf(set(rela.offset + 12, 77, 4));
    expect(failure(() => badSymbol.relocations(rela))).toMatchObject({ what: 'relocation 0 of .rela.text' });
  });

  it('of an alignment that is no power of two', () => {
    for (const alignment of [3, 24, 2 ** 52 + 1]) {
      const elf = new ElfBuilder(64, true);
      elf.add({ name: '.text', type: SHT.PROGBITS, flags: 6, alignment });
      expect(
        failure(() => readElfObject(elf.build())),
        `${alignment}`,
      ).toMatchObject({ what: 'section 1 .text' });
    }
  });

  it('of a name as long as the file', () => {
    const elf = new ElfBuilder(64, true);
    elf.addSymbols([{ name: 'x'.repeat(9000) }]);
    expect(failure(() => readElf(elf.build()).symbols()!.name(1)).kind).toBe('Unsupported');
  });

  it('says what, where and which value', () => {
    const { message } = failure(() => readElf(set(58, 65, 2)));
    expect(message).toBe('e_shentsize: must be 64 in this class (value 0x41, at offset 0x3a)');
  });
});

describe('relocations of odd machines', () => {
  it.each([true, false])('64-bit MIPS packs three operations (little endian %s)', (littleEndian) => {
    const elf = new ElfBuilder(64, littleEndian);
    elf.machine = EM.MIPS;
    const link = elf.addSymbols([{ name: 'a' }, { name: 'b' }]);
    const data = concat([elf.long(8), elf.word(2, 4), Uint8Array.of(0, 5, 24, 7), elf.long(1)]);
    elf.add({ name: '.rela', type: SHT.RELA, link, info: 0, data });
    const list = readElf(elf.build());
    const { symbols, types } = list.relocations(list.section('.rela')!);
    expect([symbols[0], types[0] & 0xff, (types[0] >> 8) & 0xff, types[0] >> 16]).toEqual([2, 7, 24, 5]);
  });

  it('64-bit SPARC keeps data in the type', () => {
    const elf = new ElfBuilder(64, false);
    elf.machine = EM.SPARCV9;
    const link = elf.addSymbols([{ name: 'a' }]);
    const data = concat([elf.long(8), elf.word(1, 4), elf.word((-3 << 8) | 33, 4), elf.long(1)]);
    elf.add({ name: '.rela', type: SHT.RELA, link, info: 0, data });
    const file = readElf(elf.build());
    const list = file.relocations(file.section('.rela')!);
    expect([list.types[0], list.extra(0), list.symbols[0]]).toEqual([33, -3, 1]);
  });

  it.each(VARIANTS)('RELR bitmaps unfold (%i bits, little endian %s)', (bits, littleEndian) => {
    const elf = new ElfBuilder(bits, littleEndian);
    elf.add({
      name: '.relr.dyn',
      type: SHT.RELR,
      data: concat([elf.long(0x1000), elf.long(0b1011), elf.long(0x11)]),
    });
    const file = readElf(elf.build());
    const word = bits / 8;
    const second = 0x1000 + word + (bits - 1) * word;
    expect([...relativeRelocations(file.view, file.section('.relr.dyn')!, bits)]).toEqual([
      0x1000,
      0x1000 + word,
      0x1000 + 3 * word,
      second + 3 * word,
    ]);
  });
});

describe('relocation names', () => {
  it.each([
    [EM.X86_64, 11, 'R_X86_64_32S'],
    [EM.X86_64, 42, 'R_X86_64_REX_GOTPCRELX'],
    [EM[386], 2, 'R_386_PC32'],
    [EM.AARCH64, 283, 'R_AARCH64_CALL26'],
    [EM.ARM, 28, 'R_ARM_CALL'],
    [EM.PPC64, 252, 'R_PPC64_REL16_HA'],
    [EM.S390, 20, 'R_390_PLT32DBL'],
    [EM.MIPS, 6, 'R_MIPS_LO16'],
    [EM.RISCV, 19, 'R_RISCV_CALL_PLT'],
    [EM.SPARCV9, 32, 'R_SPARC_64'],
    [EM.IA_64, 0x49, 'R_IA64_PCREL21B'],
    [EM.PARISC, 12, 'R_PARISC_PCREL17F'],
    [EM.LOONGARCH, 66, 'R_LARCH_B26'],
    [EM.ALPHA, 1, 'R_ALPHA_REFLONG'],
    [EM['68K'], 4, 'R_68K_PC32'],
    [EM.SH, 1, 'R_SH_DIR32'],
  ])('machine %i type %i is %s', (machine, type, name) => {
    expect(relocationName(machine, type)).toBe(name);
  });

  it('of unknown numbers say so', () => {
    expect(relocationName(EM.X86_64, 200)).toBe('type 200');
    expect(relocationNames(9999).size).toBe(0);
  });

  it('are distinct in each machine', () => {
    for (const machine of Object.values(EM)) {
      const names = [...relocationNames(machine).values()];
      expect(new Set(names).size).toBe(names.length);
    }
  });
});

describe('smaller structures', () => {
  it('notes of either padding', () => {
    const elf = new ElfBuilder(64, false);
    const note = (owner: string, type: number, bytes: number[], unit: number): Uint8Array => {
      const name = new TextEncoder().encode(`${owner}\0`);
      const pad = (length: number): Uint8Array => new Uint8Array((unit - (length % unit)) % unit);
      const head = concat([elf.word(name.length, 4), elf.word(bytes.length, 4), elf.word(type, 4), name]);
      return concat([head, pad(head.length), Uint8Array.from(bytes), pad(bytes.length)]);
    };
    const four = concat([note('Linux', 257, [1, 2, 3, 4, 5], 4), note('GNU', 3, [0xde, 0xad], 4)]);
    elf.add({ name: '.note', type: SHT.NOTE, alignment: 4, data: four });
    elf.add({ name: '.note.gnu.property', type: SHT.NOTE, alignment: 8, data: note('GNU', 5, [9], 8) });
    const file = readElf(elf.build());
    expect(elfNotes(file).map(({ owner, type, description }) => [owner, type, [...description]])).toEqual([
      ['Linux', 257, [1, 2, 3, 4, 5]],
      ['GNU', 3, [0xde, 0xad]],
      ['GNU', 5, [9]],
    ]);
    expect(buildId(file)).toBe('dead');
  });

  it('groups name their signature and members', () => {
    const elf = new ElfBuilder(64, true);
    const member = elf.add({
      name: '.text.f',
      type: SHT.PROGBITS,
      flags: SHF.GROUP,
      data: new Uint8Array(1),
    });
    const link = elf.addSymbols([{ name: 'f', section: member }]);
    const data = concat([elf.word(1, 4), elf.word(member, 4)]);
    elf.add({ name: '.group', type: SHT.GROUP, link, info: 1, data });
    expect(sectionGroups(readElf(elf.build()))).toMatchObject([
      { signature: 'f', comdat: true, members: [member] },
    ]);
  });

  it('dynamic entries end at DT_NULL', () => {
    const elf = new ElfBuilder(32, true);
    elf.type = ET.DYN;
    const data = concat([1, 10, 14, 11, 0, 0, 5, 5].map((value) => elf.word(value, 4)));
    elf.add({ name: '.dynamic', type: SHT.DYNAMIC, data });
    expect(dynamicEntries(readElf(elf.build()))).toEqual([
      { tag: 1, value: 10 },
      { tag: 14, value: 11 },
    ]);
  });

  it('version lists that turn in circles end', () => {
    const elf = new ElfBuilder(64, true);
    const link = elf.add({ name: '.dynstr', type: SHT.STRTAB, data: new Uint8Array(16) });
    const record = concat([
      elf.word(1, 2),
      elf.word(0xffff, 2),
      ...[0, 16, 16, 0].map((value) => elf.word(value, 4)),
    ]);
    const data = concat(Array.from({ length: 4000 }, () => record.slice(0, 16)));
    const rest = { link, info: 0xffffffff, data };
    elf.add({ name: '.gnu.version_r', type: SHT.GNU_VERNEED, ...rest });
    elf.add({ name: '.gnu.version_d', type: SHT.GNU_VERDEF, ...rest });
    const file = readElf(elf.build());
    for (const read of [versionNeeds, versionDefinitions]) expect(() => read(file)).toThrow(FormatError);
  });

  it('tables that lie on the same bytes are refused', () => {
    const elf = sample(64, true);
    const file = readElf(elf.build());
    const table = file.section('.rela.text')!;
    const many = Array.from({ length: 200 }, (_, index) => ({ ...table, index: 100 + index }));
    expect(failure(() => many.map((section) => file.relocations(section))).message).toMatch(
      /overlaps other tables/,
    );
  });

  it('names that repeat the same bytes are refused', () => {
    const elf = new ElfBuilder(64, true);
    const link = elf.add({
      name: '.strtab',
      type: SHT.STRTAB,
      data: new Uint8Array(8000).fill(0x78, 1, 7999),
    });
    const symbol = concat([elf.word(1, 4), new Uint8Array(20)]);
    const data = concat(Array.from({ length: 1000 }, () => symbol));
    elf.add({ name: '.symtab', type: SHT.SYMTAB, link, entrySize: 24, data });
    expect(failure(() => readElf(elf.build()).symbols()!.all()).kind).toBe('Unsupported');
  });

  it('linked files sort their relocations into sections by address', () => {
    const elf = new ElfBuilder(64, true);
    elf.type = ET.DYN;
    elf.add({ name: '.text', type: SHT.PROGBITS, flags: 6, address: 0x1000, data: new Uint8Array(64) });
    elf.add({ name: '.data', type: SHT.PROGBITS, flags: 3, address: 0x2000, data: new Uint8Array(64) });
    const data = concat([0x2008, 8, 0x10, 0x1010, 8, 0x20].map((value) => elf.long(value)));
    elf.add({ name: '.rela.dyn', type: SHT.RELA, flags: SHF.ALLOC, address: 0x3000, data });
    const object = readElfObject(elf.build());
    expect(object.kind).toBe('shared');
    expect(object.relocations(1)).toEqual([{ section: 1, offset: 0x1010, type: 8, symbol: 0, addend: 0x20 }]);
    expect(object.relocations(2)).toEqual([{ section: 2, offset: 0x2008, type: 8, symbol: 0, addend: 0x10 }]);
  });

  it('entries of SHT_RELR become relative relocations without addend, and empty entries are passed over', () => {
    const elf = new ElfBuilder(64, true);
    elf.type = ET.DYN;
    elf.add({ name: '.data', type: SHT.PROGBITS, flags: 3, address: 0x2000, data: new Uint8Array(64) });
    elf.add({
      name: '.rela.dyn',
      type: SHT.RELA,
      flags: SHF.ALLOC,
      address: 0x3000,
      data: new Uint8Array(24),
    });
    const data = concat([elf.long(0x2000), elf.long(0b11)]);
    elf.add({ name: '.relr.dyn', type: SHT.RELR, flags: SHF.ALLOC, address: 0x3100, data });
    const relative = { section: 1, type: 8, symbol: 0, addend: undefined };
    expect(readElfObject(elf.build()).relocations(1)).toEqual([
      { ...relative, offset: 0x2000 },
      { ...relative, offset: 0x2008 },
    ]);
    elf.machine = EM.PARISC;
    expect(failure(() => readElfObject(elf.build()).relocations(1)).kind).toBe('Unsupported');
  });

  it('the class decides between machines of one number', () => {
    expect([elfMachine(EM.S390, 32), elfMachine(EM.S390, 64), elfMachine(EM.MIPS, 64)]).toEqual([
      's390',
      's390x',
      'mips64',
    ]);
    expect(elfMachine(4711, 64)).toBe('unknown');
  });
});

describe('any damage', () => {
  it('of a small file gives a typed error or a result', () => {
    const bytes = sample(64, true).build();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (changes) => {
          const copy = bytes.slice();
          for (const [at, value] of changes) copy[at] = value;
          everything(copy);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
