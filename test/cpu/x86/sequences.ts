/** Sequences of instructions for differential tests: flags, registers and memory live on from one to the next. */
import { vectorOperation } from '../../../src/cpu/vector-helpers.ts';
import { type Instruction, RIP_BASE } from '../../../src/cpu/x86/decode.ts';
import { printInstruction } from '../../../src/cpu/x86/print.ts';
import {
  type Case,
  CODE_BASE,
  decodeOne,
  everyRegister,
  farBit,
  GS_BASE,
  generated,
  makeInstruction,
  memoryOf,
  randomState,
  undefinedResult,
  WINDOW_BASE,
} from './cases.ts';
import type { Encoded, Wish } from './encode.ts';
import { definedFlags, readsFlags, STATUS, undefinedFlags } from './flags.ts';
import { Random } from './random.ts';

/** One register stays a pointer into the window, rsp a stack pointer. */
const pointerOf = (bits: 32 | 64): number => (bits === 64 ? 15 : 5);

const inSequence = (bits: 32 | 64): Wish => ({
  bits,
  registers: everyRegister(bits).filter((reg) => reg !== 4 && reg !== pointerOf(bits)),
  bases: [pointerOf(bits)],
  indexes: [],
  memory: true,
  shortAddress: false,
});
const WISHES = { 32: inSequence(32), 64: inSequence(64) };

/** Left out: stack pointer changes by hand, implicit pointers, what faults or is undefined too often. */
const UNFIT =
  /^(leave|enter|xlat|movs|cmps|stos|lods|scas|cld|std|cmpxchg8b|div|idiv|ud\d|bs[fr]|bound|popa|aam)$/;
const VECTOR_MOVE = /^(mov[a-z]*|lddqu|p?(and|or|xor)|p?andn|(and|or|xor|andn)p[sd])$/;

function fits(name: string): boolean {
  if (UNFIT.test(name)) return false;
  const vector = name.endsWith('.sse') ? name.slice(0, -4) : undefined;
  // maskmovdqu has an implicit pointer.
  return vector === undefined || VECTOR_MOVE.test(vector) || vectorOperation(vector) !== undefined;
}

const namesOf = (bits: 32 | 64): { general: string[]; vector: string[] } => {
  const fitting = generated(bits).filter(fits);
  return {
    general: fitting.filter((name) => !name.endsWith('.sse')),
    vector: fitting.filter((name) => name.endsWith('.sse')),
  };
};
const NAMES = { 32: namesOf(32), 64: namesOf(64) };

interface Draft {
  readonly bits: 32 | 64;
  bytes: number[];
  names: string[];
  text: string[];
  undefinedFlags: number;
}

/** Appends one random instruction, after a `cmp` when it would read undefined flags. */
function append(random: Random, draft: Draft, stack = true): void {
  const name = random.pick(random.oneIn(5) ? NAMES[draft.bits].vector : NAMES[draft.bits].general);
  const encoded = makeInstruction(random, name, WISHES[draft.bits]);
  if (encoded === undefined || (!stack && /^(push|pop)/.test(name))) return;
  const probe = decodeOne(Uint8Array.from(encoded.bytes), 0, draft.bits);
  if (probe === undefined || undefinedResult(name, probe) || farBit(name, probe)) return;
  if (readsFlags(probe) && draft.undefinedFlags !== 0) appendCompare(random, draft);
  push(draft, name, aimInSequence(random, draft, encoded, probe).bytes);
  draft.undefinedFlags = (draft.undefinedFlags & ~definedFlags(probe)) | undefinedFlags(probe);
}

function aimInSequence(random: Random, draft: Draft, encoded: Encoded, probe: Instruction): Encoded {
  if (encoded.dispAt < 0) return encoded;
  const unit = memoryOf(probe) === 16 ? 16 : 1;
  const pointer = pointerOf(draft.bits);
  const gs = draft.bits === 64 && probe.base !== pointer && random.oneIn(4);
  const bytes = gs ? [0x65, ...encoded.bytes] : encoded.bytes;
  const dispAt = encoded.dispAt + (gs ? 1 : 0);
  let disp = WINDOW_BASE + 1024 + random.below(2048 / unit) * unit - (gs ? GS_BASE : 0);
  if (probe.base === RIP_BASE) disp -= CODE_BASE + draft.bytes.length + bytes.length;
  else if (probe.base === pointer) disp = (random.below(1024 / unit) - 512 / unit) * unit;
  for (let n = 0; n < 4; n++) bytes[dispAt + n] = (disp >> (8 * n)) & 255;
  return { bytes, dispAt };
}

function push(draft: Draft, name: string, bytes: readonly number[]): void {
  const at = draft.bytes.length;
  draft.bytes.push(...bytes);
  draft.names.push(name);
  draft.text.push(printInstruction(decodeOne(Uint8Array.from(draft.bytes), at, draft.bits)!));
}

/** `cmp reg,reg`, which defines every status flag. */
function appendCompare(random: Random, draft: Draft): void {
  const [a, b] = [random.below(4), random.below(4)];
  push(draft, 'cmp', [...wide(draft), 0x39, 0xc0 | (a << 3) | b]);
  draft.undefinedFlags = 0;
}

/** A prefix for 64-bit operands, where there are any. */
const wide = ({ bits }: Draft): number[] => (bits === 64 ? [0x48] : []);

const bytes32 = (value: number) => [0, 8, 16, 24].map((shift) => (value >> shift) & 255);

/** A string instruction with its registers set up first; sometimes backwards. */
function appendString(random: Random, draft: Draft): void {
  const somewhere = () => WINDOW_BASE + 1024 + random.below(4096);
  push(draft, 'mov', [0xbe, ...bytes32(somewhere())]);
  push(draft, 'mov', [0xbf, ...bytes32(somewhere())]);
  push(draft, 'mov', [0xb9, ...bytes32(random.below(40))]);
  const backwards = random.oneIn(4);
  if (backwards) push(draft, 'std', [0xfd]);
  const compares = random.oneIn(3);
  const opcode = random.pick(compares ? [0xa6, 0xae] : [0xa4, 0xaa, 0xac]) | random.below(2);
  const rep = random.pick([[], [0xf3], [0xf3], [0xf2]]);
  // cmps and scas leave the flags alone when rcx is 0.
  if (compares && draft.undefinedFlags !== 0) appendCompare(random, draft);
  push(draft, 'string', [...rep, ...random.pick([[], wide(draft), [0x66]]), opcode]);
  if (backwards) push(draft, 'cld', [0xfc]);
}

/** A division that fits: rdx is 0 and the divisor is not. */
function appendDivision(random: Random, draft: Draft): void {
  push(draft, 'mov', [...wide(draft), 0xc7, 0xc1, ...bytes32(random.bits() | 1)]);
  push(draft, 'xor', [0x31, 0xd2]);
  push(draft, 'div', [...(random.oneIn(2) ? wide(draft) : []), 0xf7, 0xf1]);
  draft.undefinedFlags = STATUS;
}

/** call over a jump to a function that leaves the stack alone and returns. */
function appendCall(random: Random, draft: Draft): void {
  const at = draft.bytes.length;
  push(draft, 'call', [0xe8, 2, 0, 0, 0]);
  draft.bytes.push(0xeb, 0);
  draft.names.push('jmp');
  draft.text.push('jmp');
  for (let n = random.below(2); n >= 0; n--) append(random, draft, false);
  push(draft, 'ret', random.oneIn(2) ? [0xc3] : [0xc2, 8, 0]);
  draft.bytes[at + 6] = draft.bytes.length - at - 7;
}

/** A forward branch over the instructions that `body` appends: jcc, jmp, call with dropped return, loop, jrcxz. */
function appendBranch(random: Random, draft: Draft, body: () => void): void {
  const kind = random.below(8);
  if (kind < 5 && draft.undefinedFlags !== 0) appendCompare(random, draft);
  const opcode = kind < 5 ? 0x70 | random.below(16) : kind === 5 ? 0xe3 : kind === 6 ? 0xe2 : 0xeb;
  const at = draft.bytes.length;
  draft.bytes.push(opcode, 0);
  draft.names.push('branch');
  const textAt = draft.text.length;
  draft.text.push('');
  const before = draft.undefinedFlags;
  body();
  draft.undefinedFlags |= before;
  draft.bytes[at + 1] = draft.bytes.length - at - 2;
  draft.text[textAt] = printInstruction(decodeOne(Uint8Array.from(draft.bytes), at, draft.bits)!);
}

function appendSome(random: Random, draft: Draft): void {
  const kind = random.below(40);
  if (kind < 28) append(random, draft);
  else if (kind < 36) {
    appendBranch(random, draft, () => {
      for (let k = random.below(3); k >= 0; k--) append(random, draft);
    });
  } else if (kind === 36) appendString(random, draft);
  else if (kind === 37) appendDivision(random, draft);
  else appendCall(random, draft);
}

/** Several instructions with forward branches; flags live on from one to the next. */
export function sequenceCase(seed: number, length: number, bits: 32 | 64 = 64): Case {
  const random = new Random(seed);
  const { gpr, xmm, flags } = randomState(random, bits);
  gpr[pointerOf(bits)] = BigInt(WINDOW_BASE + 4096 - random.below(4) * 16);
  gpr[4] = BigInt(WINDOW_BASE + 6144 - random.below(8) * 8);
  const draft: Draft = { bits, bytes: [], names: [], text: [], undefinedFlags: 0 };
  for (let n = 0; n < length; n++) {
    appendSome(random, draft);
  }
  return {
    seed,
    bits,
    code: Uint8Array.from(draft.bytes),
    gpr,
    xmm,
    flags,
    names: draft.names,
    text: draft.text,
    undefinedFlags: draft.undefinedFlags,
    looseRegister: -1,
  };
}
