/** Random C records as text, for comparing our layouts with a compiler's. Every field name is used once. */
import fc from '../properties.ts';

const INTEGERS = [
  ...[
    'char',
    'signed char',
    'unsigned char',
    'short',
    'unsigned short',
    'int',
    'unsigned',
    'long',
    'unsigned long',
  ],
  ...['long long', 'unsigned long long', '_Bool'],
];
const SCALARS = [...INTEGERS, 'float', 'double', 'void *', 'enum colour'];

interface Node {
  readonly kind: 'scalar' | 'array' | 'bits' | 'record' | 'anonymous' | 'gap';
  readonly type: string;
  readonly count: number;
  readonly align: number;
  readonly union: boolean;
  readonly packed: boolean;
  readonly fields: readonly Node[];
}

const leaf = fc.record({
  kind: fc.constantFrom('scalar', 'scalar', 'array', 'bits', 'bits', 'gap'),
  type: fc.constantFrom(...SCALARS),
  count: fc.integer({ min: 1, max: 40 }),
  align: fc.constantFrom(0, 0, 0, 0, 0, 0, 2, 8, 16),
  union: fc.constant(false),
  packed: fc.constant(false),
  fields: fc.constant([]),
}) as fc.Arbitrary<Node>;

const { record } = fc.letrec<{ record: Node; node: Node }>((tie) => ({
  node: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, leaf, leaf, tie('record')),
  record: fc.record({
    kind: fc.constantFrom('record', 'anonymous'),
    type: fc.constant(''),
    count: fc.integer({ min: 1, max: 3 }),
    align: fc.constantFrom(0, 0, 0, 8),
    union: fc.boolean(),
    packed: fc.constantFrom(false, false, false, true),
    fields: fc.array(tie('node'), { minLength: 1, maxLength: 7 }),
  }) as fc.Arbitrary<Node>,
}));

export interface Flavour {
  /** Bit-fields wider or in odd types are where compilers differ most: they can be switched off. */
  readonly bitFields: boolean;
  readonly packed: boolean;
}

/** A declaration of `struct s0`. */
export function declaration(flavour: Flavour): fc.Arbitrary<string> {
  return fc.array(fc.oneof(leaf, leaf, record), { minLength: 1, maxLength: 12 }).map((fields) => {
    const names = { next: 0 };
    const body = fields.map((field) => member(field, flavour, names)).join(' ');
    return `enum colour { red, green, blue = 7 };\nstruct s0 { char first; ${body} };\n`;
  });
}

function member(node: Node, flavour: Flavour, names: { next: number }): string {
  const name = `f${names.next++}`;
  const align = node.align === 0 ? '' : ` __attribute__((aligned(${node.align})))`;
  switch (node.kind) {
    case 'scalar':
      return `${node.type} ${name}${align};`;
    case 'array':
      return `${node.type} ${name}[${node.count}]${align};`;
    case 'bits':
    case 'gap':
      return bitField(node, flavour, name);
    default: {
      const packed = node.packed && flavour.packed ? ' __attribute__((packed))' : '';
      // Without a named member C has no record at all, and each compiler its own idea of one.
      const named = node.fields.some((field) => field.kind !== 'gap');
      const last = named ? '' : ` char f${names.next++};`;
      const fields = node.fields.map((field) => member(field, flavour, names)).join(' ') + last;
      const declarator = node.kind === 'anonymous' ? '' : ` ${name}${align}`;
      return `${node.union ? 'union' : 'struct'} { ${fields} }${packed}${declarator};`;
    }
  }
}

const WIDTH: Readonly<Record<string, number>> = {
  char: 8,
  short: 16,
  int: 32,
  unsigned: 32,
  long: 32,
  _Bool: 1,
};

function bitField(node: Node, flavour: Flavour, name: string): string {
  const type = INTEGERS.includes(node.type) ? node.type : 'unsigned';
  if (!flavour.bitFields) return `${type} ${name};`;
  // `long` is as narrow as 32 bits in some of the models that one text is compiled for.
  const most = /long long/.test(type) ? 64 : (WIDTH[type.replace(/^(un)?signed (?=\w)/, '')] ?? 32);
  if (node.kind === 'gap')
    return node.count % 3 === 0 ? `${type} : 0;` : `${type} : ${(node.count % most) + 1};`;
  return `${type} ${name} : ${((node.count - 1) % most) + 1};`;
}
