/** Random programs for the coprocessor: loads of random numbers of each kind, operations, stores; as cases for the host. */
import { type Case, WINDOW_BASE } from './cases.ts';
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
  [0xdb, 1],
  [0xdd, 1],
  [0xdf, 1],
];
/** Between registers, one byte each: fchs, fabs, ftst, fxam, constants, fdecstp, fincstp, fsqrt, frndint. */
const ALONE = [
  0xe0, 0xe1, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xf6, 0xf7, 0xfa, 0xfa, 0xfc, 0xfc,
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
