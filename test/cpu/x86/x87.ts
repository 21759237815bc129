/** Random programs for the coprocessor: loads of random numbers of each kind, operations, stores; as cases for the host. */
import { type Case, WINDOW_BASE, windowOf } from './cases.ts';
import type { Outcome } from './native.ts';
import { Random } from './random.ts';

const LITTLE = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 255);

/** Opcode and ModRM.reg of loads, by the bytes that they read. */
const LOADS: readonly (readonly [opcode: number, reg: number])[] = [
  [0xd9, 0],
  [0xdd, 0],
  [0xdb, 5],
  [0xdb, 0],
  [0xdf, 0],
  [0xdf, 5],
];
const STORES: readonly (readonly [opcode: number, reg: number])[] = [
  ...([0xd9, 0xdb, 0xdd, 0xdf] as const).flatMap((opcode) => [2, 3].map((reg) => [opcode, reg] as const)),
  [0xdb, 7],
  [0xdf, 7],
  [0xdf, 6],
  [0xdb, 1],
  [0xdd, 1],
  [0xdf, 1],
];
/** Between registers, one byte each: fchs, fabs, ftst, fxam, constants, fdecstp, fincstp, fsqrt, frndint, fxtract, fprem1, fprem, fscale. */
const ALONE = [
  0xe0, 0xe1, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xf6, 0xf7, 0xfa, 0xfa, 0xfc, 0xfc, 0xf4,
  0xf5, 0xf8, 0xfd,
];

/** fabs, which clears C1: for behind instructions after which processors differ in it. */
const CLEAR_C1 = [0xd9, 0xe1];

class Writer {
  readonly bytes: number[] = [];
  readonly random: Random;
  private readonly bits: 32 | 64;
  /** Where results go: behind what is read. */
  private out = 4096;

  constructor(random: Random, bits: 32 | 64) {
    this.random = random;
    this.bits = bits;
  }

  memory(opcode: number, reg: number, offset: number): void {
    // An absolute address: ModRM 5 in 32-bit code, a SIB byte without base in long mode.
    const form = this.bits === 32 ? [(reg << 3) | 5] : [(reg << 3) | 4, 0x25];
    this.bytes.push(opcode, ...form, ...LITTLE(WINDOW_BASE + offset));
  }

  read(opcode: number, reg: number): void {
    this.memory(opcode, reg, this.random.below(400) * 10);
  }

  write(opcode: number, reg: number, bytes = 16): void {
    this.memory(opcode, reg, this.out);
    this.out += bytes;
  }

  statusWord(): void {
    this.write(0xdd, 7, 2);
  }
}

function step(w: Writer): void {
  const { random } = w;
  const register = random.below(8);
  switch (random.below(16)) {
    case 0:
    case 1:
    case 2: {
      const [opcode, reg] = random.pick(LOADS);
      w.read(opcode, reg);
      break;
    }
    case 3:
    case 4: {
      const [opcode, reg] = random.pick(STORES);
      w.write(opcode, reg);
      break;
    }
    case 5:
      w.read(random.pick([0xd8, 0xdc, 0xda, 0xde]), random.below(8));
      break;
    case 6:
    case 7:
    case 8:
      w.bytes.push(0xd8, 0xc0 | (random.below(8) << 3) | random.below(3));
      break;
    case 9:
      w.bytes.push(0xdc, 0xc0 | (random.pick([0, 1, 4, 5, 6, 7]) << 3) | random.below(3));
      break;
    case 10:
      w.bytes.push(0xde, 0xc0 | (random.pick([0, 1, 4, 5, 6, 7]) << 3) | random.below(3));
      break;
    case 11:
      w.bytes.push(0xd9, random.pick(ALONE));
      break;
    case 12:
      w.bytes.push(0xd9, 0xc0 | (random.below(2) << 3) | register);
      break;
    case 13:
      w.bytes.push(0xdd, 0xc0 | (random.pick([0, 2, 3, 4, 5]) << 3) | random.below(4), ...CLEAR_C1);
      break;
    case 14:
      // fcmov, fcomi, fucomi, and those that pop: the flags that they leave are seen at the end.
      w.bytes.push(random.pick([0xda, 0xdb]), 0xc0 | (random.below(4) << 3) | random.below(4));
      w.bytes.push(random.pick([0xdb, 0xdf]), random.pick([0xe8, 0xf0]) | random.below(4), ...CLEAR_C1);
      break;
    default:
      w.bytes.push(
        ...random.pick([
          [0xde, 0xd9],
          [0xda, 0xe9],
          [0xdb, 0xe2],
          [0xdf, 0xe0],
        ]),
      );
  }
  w.statusWord();
}

/** Numbers that random bits would hardly ever be: small integers, near ones, infinities, NaNs, denormals. */
function numbers(random: Random): number[] {
  const values = [
    0,
    1,
    -1,
    2,
    3,
    0.5,
    1e300,
    -1e-300,
    5e-324,
    Infinity,
    -Infinity,
    NaN,
    1e38,
    1e-40,
    4294967296,
    Math.PI,
  ];
  return Array.from(
    { length: 8 },
    () => random.pick(values) * (random.oneIn(3) ? 1 + random.below(1000) / 7 : 1),
  );
}

/** A program of so many steps. All exceptions are masked; precision and rounding are any. */
export function coprocessorCase(seed: number, steps: number, bits: 32 | 64): Case {
  const random = new Random(seed);
  const w = new Writer(random, bits);
  // What empty registers hold can be seen by fxam: zeros, then fninit.
  for (let n = 0; n < 8; n++) w.bytes.push(0xd9, 0xee);
  w.bytes.push(0xdb, 0xe3);
  // A control word, and some well-known numbers: mov to memory, then loads from there.
  const control = 0x7f | (random.pick([0, 2, 3, 3, 3]) << 8) | (random.below(4) << 10);
  const view = new DataView(new ArrayBuffer(8));
  const put = (offset: number, word: number): void => {
    const form = bits === 32 ? [0x05] : [0x04, 0x25];
    w.bytes.push(0xc7, ...form, ...LITTLE(WINDOW_BASE + offset), ...LITTLE(word));
  };
  put(4000, control);
  w.memory(0xd9, 5, 4000);
  numbers(random).forEach((value, n) => {
    view.setFloat64(0, value);
    put(n * 10, view.getInt32(4));
    put(n * 10 + 4, view.getInt32(0));
    if (n < 5) w.memory(0xdd, 0, n * 10);
  });
  for (let n = 0; n < steps; n++) step(w);
  // Everything that is left, to the last bit; empty registers give what an underflow does.
  for (let n = 0; n < 8; n++) w.write(0xdb, 7);
  w.statusWord();
  return {
    seed,
    bits,
    code: Uint8Array.from(w.bytes),
    gpr: new BigUint64Array(16),
    xmm: new Uint8Array(256),
    flags: 0x202,
    names: ['x87'],
    text: [`${steps} coprocessor instructions`],
    undefinedFlags: 0,
    looseRegister: -1,
  };
}

/** An instruction of d9 f0 to ff, with ranges of its arguments that are defined. */
export interface UnitFunction {
  readonly name: string;
  readonly modrm: number;
  /** Results are exact by definition. */
  readonly exact?: boolean;
  readonly x: (random: Random) => number;
  readonly y: (random: Random) => number;
}

const anything = (random: Random): number => {
  const kind = random.below(24);
  if (kind === 0) return random.pick([0, -0, 1, -1, Infinity, -Infinity, NaN, 5e-324, 2, 0.5]);
  const size = 2 ** (random.below(kind < 12 ? 8 : 60) - (kind < 12 ? 4 : 30));
  return ((random.bits() / 2 ** 31 + random.bits() / 2 ** 62) * size) as number;
};
const small = (limit: number) => (random: Random) => {
  const value = (random.bits() / 2 ** 31) * limit;
  return random.oneIn(3) ? value * 2 ** -random.below(60) : value;
};
const positive = (random: Random): number => Math.abs(anything(random));

export const FUNCTIONS: readonly UnitFunction[] = [
  { name: 'f2xm1', modrm: 0xf0, x: small(1), y: anything },
  { name: 'fyl2x', modrm: 0xf1, x: positive, y: anything },
  { name: 'fptan', modrm: 0xf2, x: anything, y: anything },
  { name: 'fpatan', modrm: 0xf3, x: anything, y: anything },
  { name: 'fxtract', modrm: 0xf4, exact: true, x: anything, y: anything },
  { name: 'fprem1', modrm: 0xf5, exact: true, x: anything, y: anything },
  { name: 'fprem', modrm: 0xf8, exact: true, x: anything, y: anything },
  { name: 'fyl2xp1', modrm: 0xf9, x: small(0.29), y: anything },
  { name: 'fsincos', modrm: 0xfb, x: anything, y: anything },
  { name: 'fscale', modrm: 0xfd, exact: true, x: anything, y: small(60000) },
  { name: 'fsin', modrm: 0xfe, x: anything, y: anything },
  { name: 'fcos', modrm: 0xff, x: anything, y: anything },
];

const RESULTS = 4096;
const STATUS_AT = RESULTS + 64;

/** One of these functions of two doubles: three registers and the status word are written back. */
export function functionCase(seed: number, { name, modrm, x, y }: UnitFunction, bits: 32 | 64): Case {
  const random = new Random(seed);
  const w = new Writer(random, bits);
  const view = new DataView(new ArrayBuffer(8));
  const [a, b] = [x(random), y(random)];
  w.bytes.push(0xdb, 0xe3);
  [b, a].forEach((value, n) => {
    view.setFloat64(0, value);
    for (const half of [0, 4]) {
      const form = bits === 32 ? [0x05] : [0x04, 0x25];
      w.bytes.push(0xc7, ...form, ...LITTLE(WINDOW_BASE + n * 8 + 4 - half), ...LITTLE(view.getInt32(half)));
    }
    w.memory(0xdd, 0, n * 8);
  });
  w.bytes.push(0xd9, modrm);
  w.memory(0xdd, 7, STATUS_AT);
  for (let n = 0; n < 3; n++) w.memory(0xdb, 7, RESULTS + n * 16);
  return {
    seed,
    bits,
    code: Uint8Array.from(w.bytes),
    gpr: new BigUint64Array(16),
    xmm: new Uint8Array(256),
    flags: 0x202,
    names: [name],
    text: [`${name} of ${a} and ${b}`],
    undefinedFlags: 0,
    looseRegister: -1,
  };
}

/** Units in the last place by which a function may differ from a processor's. Next to the zeros of a sine more is lost. */
const toleranceOf = ({ name, exact }: UnitFunction): number =>
  exact ? 0 : /^f(sin|cos|tan|sincos|ptan)$/.test(name) ? 64 : 1;

export const withinTolerance = (f: UnitFunction, found: string): boolean =>
  found === 'same' || (/^\d+ ulp$/.test(found) && Number.parseInt(found, 10) <= toleranceOf(f));

/** A register as a whole number in which neighbours differ by one; NaN as undefined. */
function ordinal(bytes: Uint8Array): bigint | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const head = view.getUint16(8, true);
  const mantissa = view.getBigUint64(0, true);
  if ((head & 0x7fff) === 0x7fff && mantissa << 1n !== 1n << 64n) return undefined;
  const magnitude = (BigInt(head & 0x7fff) << 63n) | (mantissa & ((1n << 63n) - 1n));
  return head & 0x8000 ? -magnitude : magnitude;
}

/** Exceptions but inexact and rounding up, and the condition codes: where both sides must agree. */
const COMPARED_STATUS = 0x7dff & ~0x220;

/** `same`, `N ulp` for the greatest distance of the registers, or what else differs. */
export function functionErrors(seed: number, native: Outcome, guest: Outcome): string {
  const window = (outcome: Outcome): Uint8Array => {
    const bytes = windowOf(seed).slice(RESULTS, RESULTS + 128);
    for (const [at, value] of outcome.changes)
      if (at >= RESULTS && at < RESULTS + 128) bytes[at - RESULTS] = value;
    return bytes;
  };
  const [a, b] = [window(native), window(guest)];
  const status = (bytes: Uint8Array): number => bytes[64] | (bytes[65] << 8);
  if (native.ending !== guest.ending) return `ending ${native.ending} ${guest.ending}`;
  let worst = 0n;
  for (let n = 0; n < 3; n++) {
    const [x, y] = [a, b].map((bytes) => ordinal(bytes.slice(n * 16, n * 16 + 16)));
    if (x === undefined || y === undefined) {
      if (x !== y) return `register ${n}: a NaN on one side`;
      continue;
    }
    const distance = x > y ? x - y : y - x;
    if (distance > worst) worst = distance;
  }
  if ((status(a) ^ status(b)) & COMPARED_STATUS)
    return `status: native ${status(a).toString(16)}, ours ${status(b).toString(16)}`;
  return worst === 0n ? 'same' : worst > 1000n ? 'far apart' : `${worst} ulp`;
}
