/** Cases for MMX: registers filled from the window, a few instructions, everything written back. */
import {
  type Case,
  CODE_BASE,
  decodeOne,
  everyRegister,
  makeInstruction,
  memoryOf,
  mmxNames,
  randomState,
  WINDOW_BASE,
} from './cases.ts';
import { Random } from './random.ts';

export const LITTLE = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 255);
const LEFT_OUT = /^(maskmovq|movntq)/;

/** An absolute address: ModRM 5 in 32-bit code, a SIB byte without base in long mode. */
export const absolute = (bits: 32 | 64, reg: number, at: number): number[] =>
  bits === 32 ? [(reg << 3) | 5, ...LITTLE(at)] : [(reg << 3) | 4, 0x25, ...LITTLE(at)];

/** `movq` of all eight registers from or to the window. */
const whole = (bits: 32 | 64, opcode: number, at: number): number[] =>
  Array.from({ length: 8 }, (_, n) => [0x0f, opcode, ...absolute(bits, n, WINDOW_BASE + at + n * 8)]).flat();

/** A program of so many MMX instructions, with memory operands in the window. */
export function mmxCase(seed: number, steps: number, bits: 32 | 64): Case {
  const random = new Random(seed);
  const names = mmxNames(bits).filter((name) => !LEFT_OUT.test(name));
  const state = randomState(random, bits);
  const bytes = whole(bits, 0x6f, random.below(200) * 8);
  const used: string[] = [];
  // Addresses are absolute; the stack pointer is left alone.
  const registers = everyRegister(bits).filter((reg) => reg !== 4);
  const wish = { bits, registers, bases: [], indexes: [], memory: true, shortAddress: false };
  for (let n = 0; n < steps; n++) {
    const name = random.pick(names);
    const encoded = makeInstruction(random, name, wish, true);
    const probe = encoded && decodeOne(Uint8Array.from(encoded.bytes), 0, bits);
    if (encoded === undefined || probe === undefined) continue;
    if (encoded.dispAt >= 0) {
      const unit = memoryOf(probe) === 16 ? 16 : 1;
      const at = WINDOW_BASE + 256 + random.below(3000 / unit) * unit;
      const relative = probe.base >= 0;
      const disp = relative ? at - (CODE_BASE + bytes.length + encoded.bytes.length) : at;
      LITTLE(disp).forEach((byte, i) => {
        encoded.bytes[encoded.dispAt + i] = byte;
      });
    }
    bytes.push(...encoded.bytes);
    used.push(name);
  }
  bytes.push(...whole(bits, 0x7f, 4096), 0x0f, 0x77);
  return {
    seed,
    bits,
    code: Uint8Array.from(bytes),
    ...state,
    names: ['mmx'],
    text: [used.join(' ')],
    undefinedFlags: 0,
    looseRegister: -1,
  };
}
