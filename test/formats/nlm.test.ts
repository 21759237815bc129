import { describe, expect, it } from 'vitest';
import { FormatError, Unsupported } from '../../src/bytes/errors.ts';
import type { NlmParts } from '../../src/formats/nlm/file.ts';
import { FIXED, PACKED } from '../../src/formats/nlm/layout.ts';
import { NLM_SECTION, readNlmObject } from '../../src/formats/nlm/object.ts';
import { isPacked, readFixedHeader, readMessages, readNlm } from '../../src/formats/nlm/read.ts';
import { writeNlm } from '../../src/formats/nlm/write.ts';
import fc from '../properties.ts';
import { mutations } from '../real/mutate.ts';

const name = fc.string({ unit: fc.constantFrom(...'ABCxyz_@09'), minLength: 1, maxLength: 12 });
const blob = (max: number) => fc.uint8Array({ maxLength: max });
const dos = fc.string({ unit: fc.constantFrom(...'abc 123 äöüßéÇ'), maxLength: 60 });

/** Any module: records point at words inside of its images. */
const parts: fc.Arbitrary<NlmParts> = fc
  .record({
    code: fc.uint8Array({ minLength: 8, maxLength: 64 }),
    data: fc.uint8Array({ minLength: 8, maxLength: 64 }),
  })
  .chain(({ code, data }) => {
    const place = fc.oneof(
      fc.record({ image: fc.constant('code' as const), offset: fc.nat(code.length - 4) }),
      fc.record({ image: fc.constant('data' as const), offset: fc.nat(data.length - 4) }),
    );
    const fixup = place.chain((at) =>
      fc.constantFrom('code' as const, 'data' as const).map((target) => ({ target, ...at })),
    );
    const reference = place.chain((at) => fc.boolean().map((absolute) => ({ absolute, ...at })));
    return fc.record<NlmParts>({
      name: name.map((one) => one.toUpperCase()),
      type: fc.nat(16),
      flags: fc.nat(0x5f),
      description: dos,
      stackSize: fc.nat(0xffffffff),
      screenName: dos,
      threadName: dos,
      version: fc.record({
        major: fc.nat(99),
        minor: fc.nat(99),
        revision: fc.nat(26),
        year: fc.integer({ min: 1980, max: 2010 }),
        month: fc.integer({ min: 1, max: 12 }),
        day: fc.integer({ min: 1, max: 31 }),
      }),
      copyright: dos,
      messages: fc.record({
        languageId: fc.nat(15),
        count: fc.nat(9),
        file: fc.uint8Array({ minLength: 1, maxLength: 40 }),
      }),
      help: fc.uint8Array({ minLength: 1, maxLength: 20 }),
      productId: fc.nat(1000),
      customHeaders: fc.array(
        fc.record({
          stamp: fc.constant('CyGnUsEx'),
          data: fc.uint8Array({ minLength: 1, maxLength: 20 }),
          rest: blob(5),
        }),
        { maxLength: 2 },
      ),
      customData: blob(30),
      code: fc.constant(code),
      data: fc.constant(data),
      uninitializedSize: fc.nat(5000),
      fixups: fc.array(fixup, { maxLength: 5 }),
      imports: fc.array(fc.record({ name, references: fc.array(reference, { maxLength: 4 }) }), {
        maxLength: 5,
      }),
      publics: fc.array(
        fc.record({ name, image: fc.constant('code' as const), offset: fc.nat(code.length) }),
        { maxLength: 4 },
      ),
      dependencies: fc.array(name, { maxLength: 3 }),
      debug: fc.array(
        fc.record({
          name,
          type: fc.constantFrom('data' as const, 'code' as const, 'absolute' as const),
          offset: fc.nat(100),
        }),
        { maxLength: 4 },
      ),
      start: fc.nat(code.length - 1),
      exit: fc.nat(code.length - 1),
      check: fc.nat(code.length - 1),
    });
  });

const small: NlmParts = {
  name: 'TINY.NLM',
  type: 0,
  flags: 0,
  description: 'A tiny module',
  stackSize: 8192,
  screenName: 'System Console',
  threadName: 'TINY__P',
  version: { major: 1, minor: 2, revision: 3, year: 1994, month: 5, day: 6 },
  copyright: 'nobody',
  customHeaders: [],
  customData: new Uint8Array(0),
  code: Uint8Array.of(0xe8, 0xfc, 0xff, 0xff, 0xff, 0xc3, 0, 0),
  data: Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0),
  uninitializedSize: 16,
  fixups: [{ target: 'code', image: 'data', offset: 4 }],
  imports: [{ name: 'ConsolePrintf', references: [{ absolute: false, image: 'code', offset: 1 }] }],
  publics: [{ name: 'Tiny', image: 'code', offset: 5 }],
  dependencies: ['CLIB'],
  debug: [{ name: 'Tiny', type: 'code', offset: 5 }],
  start: 0,
  exit: 5,
  check: 0,
};

describe('NLM', () => {
  it('reads back what it writes', () => {
    fc.assert(
      fc.property(parts, (given) => {
        expect(readNlm(writeNlm(given))).toMatchObject(given);
      }),
      { numRuns: 300 },
    );
  });

  it('lays out the headers as the format says, field by field', () => {
    const bytes = writeNlm(small);
    const view = new DataView(bytes.buffer);
    const ascii = (at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));
    expect(ascii(0, 24)).toBe('NetWare Loadable Module\x1a');
    expect(view.getUint32(0x18, true)).toBe(4);
    expect(bytes[0x1c]).toBe(8);
    expect(ascii(0x1d, 13)).toBe('TINY.NLM\0\0\0\0\0');
    expect(view.getUint32(0x2e, true)).toBe(8);
    expect(view.getUint32(0x3a, true)).toBe(16);
    expect(view.getUint32(0x72, true)).toBe(5);
    expect(bytes[0x82]).toBe(13);
    expect(ascii(0x83, 14)).toBe('A tiny module\0');
    expect(view.getUint32(0x91, true)).toBe(8192);
    expect(ascii(0x99, 5)).toBe(' LONG');
    const version = 0x99 + 5 + 16 + 9;
    expect(ascii(version, 8)).toBe('VeRsIoN#');
    expect([0, 1, 2, 3, 4, 5].map((i) => view.getUint32(version + 8 + i * 4, true))).toEqual([
      1, 2, 3, 1994, 5, 6,
    ]);
    expect(ascii(version + 32, 10)).toBe('CoPyRiGhT=');
    const references = view.getUint32(0x56, true);
    expect(bytes[references]).toBe(13);
    // One place, relative, in the code image, at offset 1.
    expect(view.getUint32(references + 14, true)).toBe(1);
    expect(view.getUint32(references + 18, true)).toBe(0x40000001);
    // Target code, place in data, offset 4.
    expect(view.getUint32(view.getUint32(0x4e, true), true)).toBe(0x80000004);
  });

  it('gives a neutral object file', () => {
    const object = readNlmObject(writeNlm(small));
    expect(object.sections[NLM_SECTION.data].size).toBe(24);
    expect(object.symbols.map((symbol) => symbol.name)).toEqual([
      '',
      'code',
      'data',
      'ConsolePrintf',
      'Tiny',
    ]);
    expect(object.relocations(NLM_SECTION.code)).toEqual([
      { section: 1, offset: 1, type: 2, symbol: 3, addend: undefined },
    ]);
  });

  it('refuses a packed module by name, and still reads its fixed header', () => {
    const bytes = writeNlm(small);
    bytes[FIXED.version] |= PACKED;
    expect(isPacked(readFixedHeader(bytes))).toBe(true);
    expect(() => readNlm(bytes)).toThrow(Unsupported);
    expect(() => readNlm(bytes)).toThrow(/TINY\.NLM is compressed by NLMPACK/);
  });

  it('reads the texts of a message file in its code page', () => {
    const file = new Uint8Array(140);
    file.set(new TextEncoder().encode('NetWare Message File: '));
    const view = new DataView(file.buffer);
    view.setUint32(106, 7, true);
    view.setUint32(110, 2, true);
    view.setUint32(118, 126, true);
    view.setUint32(122, 130, true);
    file.set([0x47, 0x81, 0x74, 0, 0x9b, 0], 126);
    expect(readMessages(file, 437)).toEqual({ languageId: 7, texts: ['Güt', '¢'] });
    expect(readMessages(file, 850).texts[1]).toBe('ø');
  });

  it('meets every cut and every kind of damage with a typed error', () => {
    const bytes = writeNlm(small);
    const read = (damaged: Uint8Array, what: string) => {
      try {
        const object = readNlmObject(damaged);
        for (const section of object.sections) object.relocations(section.index);
      } catch (error) {
        if (!(error instanceof FormatError)) throw new Error(what, { cause: error });
      }
    };
    for (let end = 0; end < bytes.length; end++) read(bytes.slice(0, end), `cut at ${end}`);
    const hot = [{ offset: 0x18, length: 0x70 }];
    const count = process.env.LKM_FULL ? 20_000 : 3000;
    for (const mutant of mutations(bytes, 11, { count, hot })) read(mutant.bytes, mutant.what);
  });
});
