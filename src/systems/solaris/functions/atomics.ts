/** atomic_ops(9F) and membar_ops(9F): one processor runs at a time, and nothing comes between. */
import type { FunctionTable, KernelFunction } from '../../../kernel/functions.ts';
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';

interface Width {
  /** How names end: `atomic_inc_32`. */
  readonly name: string;
  readonly type: string;
  /** 0: a word of the machine. */
  readonly bits: 0 | 8 | 16 | 32 | 64;
}

const WIDTHS: readonly Width[] = [
  { name: '8', type: 'uint8_t', bits: 8 },
  { name: '16', type: 'uint16_t', bits: 16 },
  { name: '32', type: 'uint32_t', bits: 32 },
  { name: '64', type: 'uint64_t', bits: 64 },
  { name: 'uchar', type: 'uchar_t', bits: 8 },
  { name: 'ushort', type: 'ushort_t', bits: 16 },
  { name: 'uint', type: 'uint_t', bits: 32 },
  { name: 'ulong', type: 'ulong_t', bits: 0 },
  { name: 'ptr', type: 'void *', bits: 0 },
];

/** By letters what adds take: names of the standard types have no u there (atomic_add_char). */
const ADDS: Readonly<Record<string, string>> = { uchar: 'char', ushort: 'short', uint: 'int', ulong: 'long' };

const bitsOf = (k: Solaris, { bits }: Width): number => (bits === 0 ? k.bits : bits);

function load(k: Solaris, width: Width, at: Address): bigint {
  const bits = bitsOf(k, width);
  if (bits === 8) return BigInt(k.memory.u8(at));
  if (bits === 16) return BigInt(k.memory.u16(at));
  return bits === 32 ? BigInt(k.memory.u32(at)) : k.memory.u64(at);
}

function store(k: Solaris, width: Width, at: Address, value: bigint): void {
  const bits = bitsOf(k, width);
  const cut = BigInt.asUintN(bits, value);
  if (bits === 8) k.memory.set8(at, Number(cut));
  else if (bits === 16) k.memory.set16(at, Number(cut));
  else if (bits === 32) k.memory.set32(at, Number(cut));
  else k.memory.setU64(at, cut);
}

/** A value as a handler gives it back: words are addresses, which are signed numbers. */
function given(k: Solaris, width: Width, value: bigint): number | bigint {
  if (width.bits === 64) return BigInt.asUintN(64, value);
  if (width.bits !== 0) return Number(BigInt.asUintN(width.bits, value));
  return Number(k.bits === 64 ? BigInt.asIntN(64, value) : BigInt.asUintN(32, value));
}

type Change = (old: bigint, by: bigint) => bigint;

const CHANGES: Readonly<Record<'add' | 'and' | 'or', Change>> = {
  add: (old, by) => old + by,
  and: (old, by) => old & by,
  or: (old, by) => old | by,
};

function* changing(width: Width): Generator<KernelFunction<Solaris>> {
  const apply = (change: Change, by?: bigint) => (k: Solaris, at: Address, value: number | bigint) => {
    const result = change(load(k, width, at), by ?? BigInt(value));
    store(k, width, at, result);
    return given(k, width, result);
  };
  const both = (name: string, parameters: string, handler: ReturnType<typeof apply>) => [
    {
      prototype: `void ${name}(${parameters})`,
      handler: (...all: Parameters<typeof handler>) => void handler(...all),
    },
    { prototype: `${width.type} ${name}_nv(${parameters})`, handler },
  ];
  const to = `${width.type} *at`;
  if (width.name !== 'ptr') {
    yield* both(`atomic_inc_${width.name}`, to, apply(CHANGES.add, 1n));
    yield* both(`atomic_dec_${width.name}`, to, apply(CHANGES.add, -1n));
    for (const name of ['and', 'or'] as const)
      yield* both(`atomic_${name}_${width.name}`, `${to}, ${width.type} value`, apply(CHANGES[name]));
  }
  const by = width.name === 'ptr' ? 'ssize_t' : width.type;
  yield* both(`atomic_add_${ADDS[width.name] ?? width.name}`, `${to}, ${by} value`, apply(CHANGES.add));
}

function* exchanging(width: Width): Generator<KernelFunction<Solaris>> {
  const { type, name } = width;
  yield {
    prototype: `${type} atomic_swap_${name}(${type} *at, ${type} value)`,
    handler: (k: Solaris, at: Address, value: number | bigint) => {
      const old = load(k, width, at);
      store(k, width, at, BigInt(value));
      return given(k, width, old);
    },
  };
  yield {
    prototype: `${type} atomic_cas_${name}(${type} *at, ${type} expected, ${type} value)`,
    handler: (k: Solaris, at: Address, expected: number | bigint, value: number | bigint) => {
      const old = load(k, width, at);
      if (old === BigInt.asUintN(bitsOf(k, width), BigInt(expected))) store(k, width, at, BigInt(value));
      return given(k, width, old);
    },
  };
}

/** -1 when the bit was so already. */
const exclusive = (name: string, set: boolean): KernelFunction<Solaris> => ({
  prototype: `int ${name}(ulong_t *at, uint_t bit)`,
  handler: (k: Solaris, at: Address, bit: number) => {
    const width = WIDTHS[7];
    const mask = 1n << BigInt(bit % k.bits);
    const old = load(k, width, at);
    if (((old & mask) !== 0n) === set) return -1;
    store(k, width, at, old ^ mask);
    return 0;
  },
});

function* every(): Generator<KernelFunction<Solaris>> {
  for (const width of WIDTHS) {
    yield* changing(width);
    yield* exchanging(width);
  }
  yield exclusive('atomic_set_long_excl', true);
  yield exclusive('atomic_clear_long_excl', false);
  for (const name of ['enter', 'exit', 'producer', 'consumer', 'sync'])
    yield { prototype: `void membar_${name}(void)`, handler: () => undefined };
}

export const atomics: FunctionTable<Solaris> = new Map(
  [...every()].map((one) => [/(\w+)\(/.exec(one.prototype)?.[1] ?? '', one]),
);
