import { describe, expect, it } from 'vitest';
import { BadMagic, FormatError, Truncated, Unsupported } from '../../src/bytes/errors.ts';
import { Btf } from '../../src/ctypes/btf.ts';
import { writeBtf } from '../../src/ctypes/btf-blob.ts';
import { INT_BOOL, INT_SIGNED, Kind } from '../../src/ctypes/btf-layout.ts';
import { packBtf, unpackBtf } from '../../src/ctypes/btf-pack.ts';
import { subsetOf } from '../../src/ctypes/btf-subset.ts';
import { CTypeError } from '../../src/ctypes/error.ts';
import { TypeTable } from '../../src/ctypes/table.ts';
import { spell } from '../../src/ctypes/type.ts';
import fc from '../properties.ts';
import { BtfBuilder } from './btf-builder.ts';

/**
 * struct list { struct list *next; };
 * enum state { LIVE, GONE = -2 };
 * typedef unsigned int u32;
 * struct thing {
 *   struct list list; char name[16];
 *   union { u32 flags; struct { u32 low : 3, high : 13; }; };
 *   struct other *other; enum state state; int (*go)(struct thing *, u32, ...);
 * };
 * int use(struct thing *thing, _Bool now);
 */
function sample(littleEndian: boolean): { bytes: Uint8Array; ids: { thing: number } } {
  const b = new BtfBuilder(littleEndian);
  const int = b.int('int', 4, INT_SIGNED);
  const unsigned = b.int('unsigned int', 4, 0);
  const char = b.int('char', 1, INT_SIGNED);
  const bool = b.int('_Bool', 1, INT_BOOL);
  const u32 = b.add(Kind.Typedef, 'u32', unsigned);
  const list = 6;
  b.add(Kind.Struct, 'list', 8, 1, [b.name('next'), list + 1, 0]);
  b.add(Kind.Pointer, '', list);
  const name = b.add(Kind.Array, '', 0, 0, [char, unsigned, 16]);
  const bits = b.add(
    Kind.Struct,
    '',
    4,
    2,
    [b.name('low'), u32, (3 << 24) | 0, b.name('high'), u32, (13 << 24) | 3],
    true,
  );
  const union = b.add(Kind.Union, '', 4, 2, [b.name('flags'), u32, 0, 0, bits, 0]);
  const other = b.add(Kind.Forward, 'other', 0);
  const otherPointer = b.add(Kind.Pointer, '', other);
  const state = b.add(Kind.Enum, 'state', 4, 2, [b.name('LIVE'), 0, b.name('GONE'), -2]);
  const thing = 14;
  const members: [string, number, number][] = [
    ['list', list, 0],
    ['name', name, 64],
    ['', union, 192],
    ['other', otherPointer, 256],
    ['state', state, 320],
    ['go', thing + 3, 384],
  ];
  b.add(
    Kind.Struct,
    'thing',
    56,
    members.length,
    members.flatMap(([n, type, at]) => [b.name(n), type, at]),
  );
  const thingPointer = b.add(Kind.Pointer, '', b.add(Kind.Const, '', thing));
  b.add(Kind.Pointer, '', thing + 4);
  b.add(Kind.FunctionPrototype, '', int, 3, [0, thingPointer, 0, u32, 0, 0]);
  const proto = b.add(Kind.FunctionPrototype, '', int, 2, [
    b.name('thing'),
    thingPointer,
    b.name('now'),
    bool,
  ]);
  b.add(Kind.Function, 'use', proto, 1);
  return { bytes: b.bytes(), ids: { thing } };
}

describe.each([
  ['little-endian', true],
  ['big-endian', false],
] as const)('BTF, %s', (_, littleEndian) => {
  const table = () => new TypeTable(new Btf(sample(littleEndian).bytes));

  it('gives sizes, offsets and kinds by dotted path', () => {
    const types = table();
    expect(types.sizeof('thing')).toBe(56);
    expect(types.offset('thing.list.next')).toBe(0);
    expect(types.field('thing.name')).toMatchObject({
      kind: 'array',
      offset: 8,
      size: 16,
      count: 16,
      elementSize: 1,
    });
    expect(types.field('thing.name[3]')).toMatchObject({
      kind: 'integer',
      offset: 11,
      size: 1,
      signed: true,
    });
    expect(types.field('thing.other')).toMatchObject({ kind: 'pointer', offset: 32, size: 8 });
    expect(types.layout('thing').fields.map((f) => f.name)).toEqual([
      'list',
      'name',
      '',
      'other',
      'state',
      'go',
    ]);
  });

  it('sees through anonymous records, and gives bit-fields as a shift within their unit', () => {
    const types = table();
    expect(types.offset('thing.flags')).toBe(24);
    const shift = (low: number, width: number) => (littleEndian ? low : 32 - low - width);
    expect(types.field('thing.low')).toMatchObject({
      offset: 24,
      size: 4,
      bitOffset: shift(0, 3),
      bitSize: 3,
    });
    expect(types.field('thing.high')).toMatchObject({
      offset: 24,
      size: 4,
      bitOffset: shift(3, 13),
      bitSize: 13,
    });
    expect(() => types.offset('thing.low')).toThrow(/bit-field/);
  });

  it('knows enumerations, functions and spellings', () => {
    const types = table();
    expect([types.enumerator('LIVE'), types.enumerator('GONE')]).toEqual([0, -2]);
    const use = types.prototype('use')!;
    expect([use.returnClass, ...use.parameters.map((p) => p.class)]).toEqual(['i32', 'pointer', 'bool']);
    expect(spell(types.field('thing.go').type, 'go')).toBe('int (*go)(struct thing *, u32, ...)');
  });

  it('names what is missing, and why', () => {
    const types = table();
    expect(() => types.field('thing.gone')).toThrow(/struct thing has no field 'gone'/);
    expect(() => types.field('nothing.x')).toThrow(/no type 'nothing'/);
    expect(() => types.field('thing.other.x')).toThrow(/read the pointer/);
    expect(() => types.sizeof('struct other')).toThrow(/declared .* but not defined/);
    expect(() => types.field('thing.name[16]')).toThrow(/outside/);
    expect(types.has('thing.gone')).toBe(false);
    expect(types.has('thing.state')).toBe(true);
  });

  it('saves a part of itself: records whole, what they point to as declarations', () => {
    const btf = new Btf(sample(littleEndian).bytes);
    const part = subsetOf(btf, { names: ['thing', 'enum state', 'absent'], functionPointers: false });
    expect(part.missing).toEqual(['absent']);
    const types = new TypeTable(new Btf(part.parts));
    expect(types.model.littleEndian).toBe(littleEndian);
    expect(types.layout('thing').fields.map((f) => [f.name, f.offset, f.size])).toEqual(
      table()
        .layout('thing')
        .fields.map((f) => [f.name, f.offset, f.size]),
    );
    expect(types.field('thing.high').bitSize).toBe(13);
    expect(types.enumerator('GONE')).toBe(-2);
    expect(types.type('use')).toBeUndefined();
  });

  it('comes back from packing byte for byte', () => {
    const { bytes } = sample(littleEndian);
    expect(writeBtf(unpackBtf(packBtf(new Btf(bytes))))).toEqual(bytes);
  });
});

describe('split BTF', () => {
  it('refers to types and strings of its base', () => {
    const base = new Btf(sample(true).bytes);
    const b = new BtfBuilder(true, base);
    const id = b.add(Kind.Struct, 'user', 56, 1, [b.name('it'), 14, 0]);
    expect(id).toBe(base.endId);
    const types = new TypeTable(new Btf(b.bytes(), { base }));
    expect(types.offset('user.it.other')).toBe(32);
    expect(types.sizeof('thing')).toBe(56);
    expect(types.enumerator('GONE')).toBe(-2);
  });
});

describe('malformed BTF', () => {
  it('says what is wrong', () => {
    expect(() => new Btf(new Uint8Array(3))).toThrow(Truncated);
    expect(() => new Btf(new Uint8Array(64))).toThrow(BadMagic);
    const { bytes } = sample(true);
    expect(() => new Btf(bytes.subarray(0, bytes.length - 1))).toThrow(Truncated);
    const version = bytes.slice();
    version[2] = 9;
    expect(() => new Btf(version)).toThrow(Unsupported);
  });

  it('ends where types form rings', () => {
    const b = new BtfBuilder(true);
    b.add(Kind.Const, '', 1); // const of itself
    b.add(Kind.Typedef, 'ring', 3);
    b.add(Kind.Typedef, 'ring2', 2);
    b.add(Kind.Struct, 'self', 8, 2, [b.name('a'), 4, 0, 0, 4, 0]);
    b.add(Kind.Pointer, '', 5);
    b.add(Kind.Array, '', 0, 0, [6, 6, 0xffffffff]);
    const btf = new Btf(b.bytes());
    const types = new TypeTable(btf);
    expect(() => btf.type(1)).toThrow(FormatError);
    expect(types.layout('ring').size).toBe(0);
    expect(types.layout('self').align).toBeGreaterThan(0);
    expect(types.has('self.zzz')).toBe(false);
    expect(spell(btf.type(5))).toContain('...');
    expect(() => btf.type(6)).toThrow(FormatError);
  });

  it('never fails in another way, whatever byte is changed', () => {
    const { bytes } = sample(true);
    const change = fc.record({ at: fc.nat(bytes.length - 1), to: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const damaged = bytes.slice();
        for (const { at, to } of changes) damaged[at] = to;
        try {
          const btf = new Btf(damaged);
          const types = new TypeTable(btf);
          for (let id = 1; id < btf.endId; id++) spell(btf.type(id));
          for (const path of ['thing.low', 'thing.name[2]', 'thing.list.next', 'thing.nothing'])
            types.has(path);
          for (const name of types.names('struct')) types.type(name) && types.layout(name);
          types.prototype('use');
          subsetOf(btf, { names: ['thing', 'use'], functionPointers: true });
          unpackBtf(packBtf(btf));
        } catch (error) {
          if (!(error instanceof FormatError || error instanceof CTypeError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});
