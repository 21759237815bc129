import { describe, expect, it } from 'vitest';
import { Declarations } from '../../src/ctypes/declarations.ts';
import { CTypeError } from '../../src/ctypes/error.ts';
import { type DataModel, ILP32_I386, LLP64, LP64, LP64_BE } from '../../src/ctypes/model.ts';
import { TypeTable } from '../../src/ctypes/table.ts';
import { spell } from '../../src/ctypes/type.ts';
import fc from '../properties.ts';
import { declaration } from './random-declarations.ts';

const TYPEDEFS = `
  typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned long size_t; typedef u32 dev_t;
  typedef long long loff_t; typedef unsigned int gfp_t; typedef long long s64; typedef s64 ktime_t;
  typedef struct va_tag va_list[1];`;

/** `name: result (parameters)` with the classes of each. */
function classes(text: string, model: DataModel = LP64): string {
  const p = new Declarations(model).add(TYPEDEFS).prototype(text);
  const list = p.parameters.map((parameter) => `${parameter.class} ${parameter.name}`.trim());
  if (p.variadic) list.push('...');
  return `${p.name}: ${p.returnClass} (${list.join(', ')})`;
}

describe('prototypes', () => {
  it.each([
    [
      'int register_chrdev_region(dev_t first, unsigned count, const char *name)',
      'register_chrdev_region: i32 (u32 first, u32 count, pointer name)',
    ],
    [
      'void *kmemdup(const void *src, size_t len, gfp_t gfp);',
      'kmemdup: pointer (pointer src, ulong len, u32 gfp)',
    ],
    [
      'int sort_r(void *base, size_t num, size_t size, int (*cmp)(const void *, const void *, const void *), ...)',
      'sort_r: i32 (pointer base, ulong num, ulong size, pointer cmp, ...)',
    ],
    ['int printk(const char *fmt, ...)', 'printk: i32 (pointer fmt, ...)'],
    ['void schedule(void)', 'schedule: void ()'],
    [
      'u64 f(s64 a, long long b, loff_t c, _Bool d, va_list e)',
      'f: u64 (i64 a, i64 b, long c, bool d, valist e)',
    ],
    ['void (*signal(int, void (*)(int)))(int)', 'signal: pointer (i32, pointer)'],
    ['ktime_t g(char c, signed char s, unsigned char u, short h)', 'g: i64 (i8 c, i8 s, u8 u, i16 h)'],
    [
      'struct page *h(struct page **pages, char names[][8], int f(void))',
      'h: pointer (pointer pages, pointer names, pointer f)',
    ],
    [
      'unsigned long __must_check copy(void __user *to, const void *from, long unsigned n)',
      'copy: ulong (pointer to, pointer from, ulong n)',
    ],
    ['__printf(2, 3) int x(struct file *f, const char *fmt, ...)', 'x: i32 (pointer f, pointer fmt, ...)'],
    ['extern __attribute__((noreturn)) void panic(const char *fmt, ...)', 'panic: void (pointer fmt, ...)'],
    ['enum hrtimer_restart tick(struct hrtimer *t)', 'tick: u32 (pointer t)'],
    ['struct pair { int a, b; } both(struct pair p)', 'both: struct (struct p)'],
    ['double mean(float a, long double b)', 'mean: double (float a, double b)'],
  ])('%s', (text, expected) => {
    expect(classes(text)).toBe(expected);
  });

  it('follow the data model: long is 32 bits on Windows', () => {
    expect(classes('unsigned long f(size_t n, void *p)', LLP64)).toBe('f: u32 (u32 n, pointer p)');
  });

  it.each([
    ['int f(unknown_t x)', /'unknown_t' is no type/],
    ['int f(int x', /expected|'\)'/],
    ['int x', /expected a function prototype/],
    ['int f(int) garbage', /left over/],
    ['', /expected a type/],
    [`int f(${'('.repeat(500)}int x`, /nested|missing|expected/],
    ['int f(int @ x)', /unexpected character "@"/],
  ])('a wrong one is refused with its place: %s', (text, message) => {
    expect(() => classes(text)).toThrow(message);
    expect(() => classes(text)).toThrow(CTypeError);
  });
});

describe('records', () => {
  const offsets = (text: string, name: string, model: DataModel = LP64): [number, ...[string, number][]] => {
    const layout = new TypeTable(new Declarations(model).add(text)).layout(name);
    return [layout.size, ...layout.fields.map((f): [string, number] => [f.name, f.offset])];
  };

  it('are padded, packed and aligned', () => {
    expect(offsets('struct a { char c; long l; short s; };', 'struct a')).toEqual([
      24,
      ['c', 0],
      ['l', 8],
      ['s', 16],
    ]);
    const packed = 'struct b { char c; long l; } __attribute__((packed));';
    expect(offsets(packed, 'struct b')).toEqual([9, ['c', 0], ['l', 1]]);
    const aligned = 'struct c { char c; int i __attribute__((aligned(16))); };';
    expect(offsets(aligned, 'struct c')).toEqual([32, ['c', 0], ['i', 16]]);
    const pragma =
      '#pragma pack(push, 2)\nstruct d { char c; int i; };\n#pragma pack(pop)\nstruct e { char c; int i; };';
    expect(offsets(pragma, 'struct d')).toEqual([6, ['c', 0], ['i', 2]]);
    expect(offsets(pragma, 'struct e')).toEqual([8, ['c', 0], ['i', 4]]);
    expect(offsets('struct f { char c; long long l; };', 'struct f', ILP32_I386)).toEqual([
      12,
      ['c', 0],
      ['l', 4],
    ]);
  });

  it('take constants, enumerations and sizeof in array bounds', () => {
    const text = `
      #define NAME_LEN (64 - sizeof(unsigned long))
      enum { FEW = 3, MORE };
      struct m { char name[NAME_LEN]; int few[FEW << 1 | 1]; char rest[MORE > 3 ? 2 : 1][2]; };`;
    const types = new TypeTable(new Declarations(LP64).add(text));
    expect(types.field('m.name').count).toBe(56);
    expect(types.field('m.few').count).toBe(7);
    expect(types.field('m.rest').size).toBe(4);
  });

  it('refer to themselves and to later ones', () => {
    const text =
      'struct node { struct node *next; struct late *late; }; struct late { struct node node; int n; };';
    const types = new TypeTable(new Declarations(LP64).add(text));
    expect(types.sizeof('late')).toBe(24);
    const next = types.field('node.next').type;
    expect(next.kind === 'pointer' && next.target.kind === 'struct' && next.target.fields.length).toBe(2);
  });

  it('spell back what they were read from', () => {
    const d = new Declarations(LP64);
    for (const text of [
      'int (*)(void)',
      'char *[4]',
      'int (*)[3]',
      'void (*(*)(int))(char *)',
      'unsigned long',
    ]) {
      expect(spell(d.type(text))).toBe(text);
    }
  });

  it.each([
    ['struct a { struct b x; };', /struct b by value, which is not defined/],
    ['struct a { void x; };', /has no size/],
    ['struct a { int x : 33; };', /33 bits do not fit/],
    ['struct a { float x : 3; };', /must be an integer/],
    ['struct a { int x[-1]; };', /less than no elements/],
    ['struct a { int x[n]; };', /no constant that is known/],
    ['struct a { int x __attribute__((aligned(3))); };', /not a power of two/],
    ['struct a { int x;', /expected a type/],
    ['#if 1', /preprocessor line/],
  ])('a wrong one is refused: %s', (text, message) => {
    expect(() => new Declarations(LP64).add(text)).toThrow(message);
  });

  it('random ones have members in order, inside the record, and none overlapping', () => {
    fc.assert(
      fc.property(
        declaration({ bitFields: true, packed: true }),
        fc.constantFrom(LP64, LP64_BE, LLP64),
        (text, model) => {
          const layout = new TypeTable(new Declarations(model).add(text)).layout('struct s0');
          const type = layout.type;
          if (type.kind !== 'struct') throw new Error('no struct');
          let end = 0;
          for (const [i, field] of type.fields.entries()) {
            expect(field.bitOffset).toBeGreaterThanOrEqual(end);
            end = field.bitOffset + (field.bitSize ?? layout.fields[i]!.size * 8);
          }
          expect(end).toBeLessThanOrEqual(layout.size * 8);
          expect(layout.size % layout.align).toBe(0);
        },
      ),
    );
  });

  it('any text either is read or refused with a CTypeError', () => {
    const words = [
      'struct',
      'union',
      'enum',
      'a',
      'b',
      'int',
      '*',
      '(',
      ')',
      '{',
      '}',
      '[',
      ']',
      ';',
      ',',
      ':',
      '3',
    ];
    const more = [
      'typedef',
      'unsigned',
      '...',
      '=',
      '__attribute__((packed))',
      'sizeof',
      '-',
      '<<',
      'const',
      'void',
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words, ...more), { maxLength: 40 }), (tokens) => {
        try {
          new Declarations(LP64).add(tokens.join(' '));
        } catch (error) {
          if (!(error instanceof CTypeError)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });
});
