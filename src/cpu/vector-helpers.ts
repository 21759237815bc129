/**
 * Vector instructions, one function each, run by the vector helper: those that WebAssembly has no way to say, those of MMX, and
 * floating-point operations whose result is a NaN. The others are operations (ops/simd.ts).
 */
import type { HelperCall, HelperFunction, HelperHost } from './helper-host.ts';
import { BuiltinHelper } from './helper-ids.ts';
import { Reg } from './ir.ts';
import { ARITHMETIC, FLAG, FLOAT_CONTROL, MXCSR, USUAL_FLOATS } from './state.ts';
import {
  type Beside,
  type Control,
  controlOf,
  type ExactOperation,
  exactOperation,
  raised,
} from './vector-exact.ts';
import * as F from './vector-float.ts';
import * as L from './vector-lanes.ts';
import * as M from './vector-more.ts';

/** What a mixed operation sees besides its vectors. */
interface General extends Beside {
  readonly host: HelperHost;
  readonly register: number;
}

type MixedOperation = (d: DataView, s: DataView, imm: number, general: General) => void;

const integer: Record<string, L.LaneOperation> = {};
for (const [suffix, size] of [
  ['b', 1],
  ['w', 2],
  ['d', 4],
] as const) {
  integer[`padd${suffix}`] = L.each(size, true, (a, b) => a + b);
  integer[`psub${suffix}`] = L.each(size, true, (a, b) => a - b);
  integer[`pcmpeq${suffix}`] = L.each(size, true, (a, b) => (a === b ? -1 : 0));
  integer[`pcmpgt${suffix}`] = L.each(size, true, (a, b) => (a > b ? -1 : 0));
  integer[`pabs${suffix}`] = L.each(size, true, (_, b) => Math.abs(b));
  integer[`psign${suffix}`] = L.each(size, true, (a, b) => (b === 0 ? 0 : b < 0 ? -a : a));
  integer[`pmins${suffix}`] = L.each(size, true, Math.min);
  integer[`pmaxs${suffix}`] = L.each(size, true, Math.max);
  integer[`pminu${suffix}`] = L.each(size, false, Math.min);
  integer[`pmaxu${suffix}`] = L.each(size, false, Math.max);
}

const saturating: Record<string, L.LaneOperation> = {
  paddsb: L.each(1, true, (a, b) => L.signed8(a + b)),
  paddsw: L.each(2, true, (a, b) => L.signed16(a + b)),
  paddusb: L.each(1, false, (a, b) => L.unsigned8(a + b)),
  paddusw: L.each(2, false, (a, b) => L.unsigned16(a + b)),
  psubsb: L.each(1, true, (a, b) => L.signed8(a - b)),
  psubsw: L.each(2, true, (a, b) => L.signed16(a - b)),
  psubusb: L.each(1, false, (a, b) => L.unsigned8(a - b)),
  psubusw: L.each(2, false, (a, b) => L.unsigned16(a - b)),
  packsswb: L.pack(2, L.signed8),
  packssdw: L.pack(4, L.signed16),
  packuswb: L.pack(2, L.unsigned8),
  packusdw: L.pack(4, L.unsigned16),
};

const products: Record<string, L.LaneOperation> = {
  pavgb: L.each(1, false, (a, b) => (a + b + 1) >> 1),
  pavgw: L.each(2, false, (a, b) => (a + b + 1) >> 1),
  pmullw: L.each(2, true, (a, b) => a * b),
  pmulhw: L.each(2, true, (a, b) => (a * b) >> 16),
  pmulhuw: L.each(2, false, (a, b) => (a * b) >>> 16),
  pmulhrsw: L.each(2, true, (a, b) => (((a * b) >> 14) + 1) >> 1),
  pmulld: L.each(4, true, Math.imul),
  pmuludq: L.evenProducts(false),
  pmuldq: L.evenProducts(true),
  pmaddwd: L.multiplyAdd,
  psadbw: L.sumOfDifferences,
  paddq: L.each64((a, b) => a + b),
  psubq: L.each64((a, b) => a - b),
  pcmpeqq: L.each64((a, b) => (a === b ? -1n : 0n)),
  pcmpgtq: L.each64((a, b) => (a > b ? -1n : 0n)),
};

const pairs = (imm: number): number[] => [0, 1, 2, 3].map((n) => L.bitPair(imm, n));

const moves: Record<string, L.LaneOperation> = {
  punpcklbw: L.unpack(1, false),
  punpcklwd: L.unpack(2, false),
  punpckldq: L.unpack(4, false),
  punpcklqdq: L.unpack(8, false),
  punpckhbw: L.unpack(1, true),
  punpckhwd: L.unpack(2, true),
  punpckhdq: L.unpack(4, true),
  punpckhqdq: L.unpack(8, true),
  unpcklps: L.unpack(4, false),
  unpcklpd: L.unpack(8, false),
  unpckhps: L.unpack(4, true),
  unpckhpd: L.unpack(8, true),
  // Lanes of s are numbered after those of d.
  pshufd: L.select(4, (imm) => pairs(imm).map((lane) => 4 + lane)),
  pshuflw: L.select(2, (imm) => [...pairs(imm).map((lane) => 8 + lane), 12, 13, 14, 15]),
  pshufhw: L.select(2, (imm) => [8, 9, 10, 11, ...pairs(imm).map((lane) => 12 + lane)]),
  shufps: L.select(4, (imm) => pairs(imm).map((lane, n) => (n < 2 ? lane : 4 + lane))),
  shufpd: L.select(8, (imm) => [imm & 1, 2 + ((imm >> 1) & 1)]),
  movsldup: L.select(4, () => [4, 4, 6, 6]),
  movshdup: L.select(4, () => [5, 5, 7, 7]),
  movddup: L.select(8, () => [2, 2]),
  pslldq: L.shuffle((imm) => Array.from({ length: 16 }, (_, n) => (n >= imm ? n - imm : -1))),
  psrldq: L.shuffle((imm) => Array.from({ length: 16 }, (_, n) => (n + imm < 16 ? n + imm : -1))),
  // s is the low half of the 32 bytes that are shifted.
  palignr: L.shuffle((imm) =>
    Array.from({ length: 16 }, (_, n) => (n + imm > 31 ? -1 : n + imm < 16 ? 16 + n + imm : n + imm - 16)),
  ),
  pblendw: L.select(2, (imm) => Array.from({ length: 8 }, (_, n) => ((imm >> n) & 1 ? 8 + n : n))),
  blendps: L.select(4, (imm) => Array.from({ length: 4 }, (_, n) => ((imm >> n) & 1 ? 4 + n : n))),
  blendpd: L.select(8, (imm) => Array.from({ length: 2 }, (_, n) => ((imm >> n) & 1 ? 2 + n : n))),
  pshufb: (d, s) => {
    const from = new Uint8Array(d.buffer.slice(d.byteOffset, d.byteOffset + 16));
    const control = new Uint8Array(s.buffer.slice(s.byteOffset, s.byteOffset + 16));
    control.forEach((byte, n) => {
      d.setUint8(n, byte & 0x80 ? 0 : from[byte & 15]);
    });
  },
  pmovsxbw: L.extend(1, 2, true),
  pmovsxbd: L.extend(1, 4, true),
  pmovsxbq: L.extend(1, 8, true),
  pmovsxwd: L.extend(2, 4, true),
  pmovsxwq: L.extend(2, 8, true),
  pmovsxdq: L.extend(4, 8, true),
  pmovzxbw: L.extend(1, 2, false),
  pmovzxbd: L.extend(1, 4, false),
  pmovzxbq: L.extend(1, 8, false),
  pmovzxwd: L.extend(2, 4, false),
  pmovzxwq: L.extend(2, 8, false),
  pmovzxdq: L.extend(4, 8, false),
};

/** Shifts: by the immediate when the instruction has one (s is d then), else by the low half of s. */
const shifts: Record<string, (d: DataView, count: bigint) => void> = {
  psllw: L.shift(2, 'left'),
  pslld: L.shift(4, 'left'),
  psllq: L.shift(8, 'left'),
  psrlw: L.shift(2, 'right'),
  psrld: L.shift(4, 'right'),
  psrlq: L.shift(8, 'right'),
  psraw: L.shift(2, 'arithmetic'),
  psrad: L.shift(4, 'arithmetic'),
};

const floating: Record<string, L.LaneOperation> = { ...F.conversions };
for (const suffix of F.FLOAT_SUFFIXES) {
  floating[`add${suffix}`] = F.arithmetic(suffix, (a, b) => a + b);
  floating[`sub${suffix}`] = F.arithmetic(suffix, (a, b) => a - b);
  floating[`mul${suffix}`] = F.arithmetic(suffix, (a, b) => a * b);
  floating[`div${suffix}`] = F.arithmetic(suffix, (a, b) => a / b);
  floating[`min${suffix}`] = F.extreme(suffix, (a, b) => a < b);
  floating[`max${suffix}`] = F.extreme(suffix, (a, b) => a > b);
  floating[`sqrt${suffix}`] = F.squareRoot(suffix);
  floating[`cmp${suffix}`] = F.compare(suffix);
}

const mixed: Record<string, MixedOperation> = {
  pmovmskb: (_d, s, _imm, g) => {
    g.result = BigInt(L.signMask(s, 1));
  },
  movmskps: (_d, s, _imm, g) => {
    g.result = BigInt(L.signMask(s, 4));
  },
  movmskpd: (_d, s, _imm, g) => {
    g.result = BigInt(L.signMask(s, 8));
  },
  pextrb: (_d, s, imm, g) => {
    g.result = BigInt(s.getUint8(imm & 15));
  },
  pextrw: (_d, s, imm, g) => {
    g.result = BigInt(s.getUint16((imm & 7) * 2, true));
  },
  pextrd: extractLong,
  extractps: extractLong,
  pextrq: (_d, s, imm, g) => {
    g.result = s.getBigUint64((imm & 1) * 8, true);
  },
  pinsrb: (d, _s, imm, g) => d.setUint8(imm & 15, Number(g.value & 0xffn)),
  pinsrw: (d, _s, imm, g) => d.setUint16((imm & 7) * 2, Number(g.value & 0xffffn), true),
  pinsrd: (d, _s, imm, g) => d.setUint32((imm & 3) * 4, Number(g.value & 0xffffffffn), true),
  pinsrq: (d, _s, imm, g) => d.setBigUint64((imm & 1) * 8, g.value, true),
  ptest: (d, s, _imm, g) => {
    const both = [0, 8].map((at) => [d.getBigUint64(at, true), s.getBigUint64(at, true)] as const);
    const zero = both.every(([a, b]) => (a & b) === 0n) ? FLAG.ZF : 0;
    g.flags = zero | (both.every(([a, b]) => (~a & b) === 0n) ? FLAG.CF : 0);
  },
};

function extractLong(_d: DataView, s: DataView, imm: number, g: General): void {
  g.result = BigInt(s.getUint32((imm & 3) * 4, true));
}

for (const [suffix, isDouble] of [
  ['ss', false],
  ['sd', true],
] as const) {
  mixed[`cvtsi2${suffix}`] = (d, _s, _imm, g) => {
    F.fromInteger(d, BigInt.asIntN(g.size * 8, g.value), isDouble);
  };
  for (const [name, truncate] of [
    [`cvt${suffix}2si`, false],
    [`cvtt${suffix}2si`, true],
  ] as const) {
    mixed[name] = (_d, s, _imm, g) => {
      g.result = F.toInteger(s, 0, isDouble, truncate, g.size);
    };
  }
  for (const name of [`comi${suffix}`, `ucomi${suffix}`]) {
    mixed[name] = (d, s, _imm, g) => {
      g.flags = F.orderFlags(d, s, isDouble);
    };
  }
}

const lanes: Record<string, L.LaneOperation> = {
  ...integer,
  ...saturating,
  ...products,
  ...moves,
  ...floating,
  ...M.moreLanes,
};

/** pcmpestri and its kin: an index to ecx or a mask to the first register, and what was found in the flags. */
for (const name of ['pcmpestri', 'pcmpestrm', 'pcmpistri', 'pcmpistrm']) {
  const explicit = name[4] === 'e';
  const index = name.endsWith('i');
  mixed[name] = (d, s, imm, g) => {
    const length = (register: number): bigint => BigInt.asIntN(g.size * 8, g.host.gprBig(register));
    const lengths = explicit ? ([length(Reg.RAX), length(Reg.RDX)] as const) : undefined;
    const found = M.compareStrings(d, s, imm, lengths);
    if (index) g.result = BigInt(M.indexOf(found, (imm & 0x40) !== 0));
    else M.maskOf(found, (imm & 0x40) !== 0, viewOf(g.host, 0));
    g.flags =
      (found.bits !== 0 ? FLAG.CF : 0) |
      (found.endOfSecond ? FLAG.ZF : 0) |
      (found.endOfFirst ? FLAG.SF : 0) |
      (found.bits & 1 ? FLAG.OF : 0);
  };
}

/** Every operation by number; the number is part of the translated code of this process only. */
const NAMES = [...Object.keys(lanes), ...Object.keys(shifts), ...Object.keys(mixed)];
const NUMBERS = new Map(NAMES.map((name, number) => [name, number]));

/** Number of an operation, undefined when there is none of that name. */
export function vectorOperation(name: string): number | undefined {
  return NUMBERS.get(name);
}

/** What one lane operation does, for MMX. */
export const laneOperation = (name: string): L.LaneOperation | undefined => lanes[name];
export const shiftOperation = (name: string): ((d: DataView, count: bigint) => void) | undefined =>
  shifts[name];

const REGISTER_BITS = 5;
const NUMBER_SHIFT = 2 * REGISTER_BITS + 8;

/** In the upper half of the payload, with the general register: it is of 8 bytes. */
const WIDE = 32;
const HIGH = 4294967296;

/** The payload of a call: operation, registers, immediate; the general register and its size. */
export function packVectorCall(
  name: string,
  dst: number,
  src: number,
  immediate: number,
  general: number = Reg.ZERO,
  size = 8,
): number {
  const low =
    ((NUMBERS.get(name) ?? 0) << NUMBER_SHIFT) |
    ((immediate & 255) << (2 * REGISTER_BITS)) |
    (src << REGISTER_BITS) |
    dst;
  return (general | (size === 8 ? WIDE : 0)) * HIGH + low;
}

function viewOf(host: HelperHost, register: number): DataView {
  const bytes = host.xmm(register);
  return new DataView(bytes.buffer, bytes.byteOffset, 16);
}

function run(call: HelperCall): number | undefined {
  const dst = call.imm & 31;
  const src = (call.imm >> REGISTER_BITS) & 31;
  const imm = (call.imm >> (2 * REGISTER_BITS)) & 255;
  const name = NAMES[call.imm >> NUMBER_SHIFT];
  const d = viewOf(call.host, dst);
  const s = viewOf(call.host, src);
  const lane = lanes[name];
  const exact = isUnusual(call.host) ? exactOperation(name) : undefined;
  if (exact !== undefined) return runExact(call, exact, d, src === dst ? copyOf(s) : s, imm);
  if (lane !== undefined) lane(d, src === dst ? copyOf(s) : s, imm);
  else if (shifts[name] !== undefined)
    shifts[name](d, call.scale === 1 ? BigInt(imm) : s.getBigUint64(0, true));
  else runMixed(call, mixed[name], d, s, imm);
  return undefined;
}

const SIMD_FAULT = 19;
const isUnusual = ({ view }: HelperHost): boolean =>
  (view.getInt32(MXCSR, true) & FLOAT_CONTROL) !== USUAL_FLOATS;

/** By MXCSR, whose flags it changes. @returns undefined when d is to have its result, else the exception */
function byControl(host: HelperHost, run: (control: Control) => void): number | undefined {
  const control = controlOf(host.mxcsr);
  run(control);
  const { flags, faults } = raised(control);
  host.mxcsr |= flags;
  return faults ? host.raise(SIMD_FAULT) : undefined;
}

/** A lane operation that MXCSR may have a say in. */
export function runLane(host: HelperHost, name: string, d: DataView, s: DataView): number | undefined {
  const exact = isUnusual(host) ? exactOperation(name) : undefined;
  if (exact !== undefined) return byControl(host, (c) => exact(c, d, s, 0, { value: 0n, size: 8 }));
  lanes[name]?.(d, s, 0);
  return undefined;
}

function runExact(
  call: HelperCall,
  exact: ExactOperation,
  d: DataView,
  s: DataView,
  imm: number,
): number | undefined {
  const general = generalOf(call);
  const result = copyOf(d);
  const fault = byControl(call.host, (control) => exact(control, result, s, imm, general));
  if (fault !== undefined) return fault;
  for (const at of [0, 8]) d.setBigUint64(at, result.getBigUint64(at, true), true);
  setGeneral(call, general);
  return undefined;
}

function copyOf(view: DataView): DataView {
  return new DataView(view.buffer.slice(view.byteOffset, view.byteOffset + 16));
}

function generalOf({ host, imm }: HelperCall): General {
  const high = Math.floor(imm / HIGH);
  const size = high & WIDE ? 8 : 4;
  const register = high & (WIDE - 1);
  return { host, register, value: BigInt.asUintN(size * 8, host.gprBig(register)), size };
}

function setGeneral({ host }: HelperCall, { register, size, result, flags }: General): void {
  // A 32-bit result clears the upper half of its register.
  if (result !== undefined) host.setGprBig(register, BigInt.asUintN(size * 8, result));
  if (flags !== undefined) host.rflags = (host.rflags & ~ARITHMETIC) | flags;
}

function runMixed(call: HelperCall, operation: MixedOperation, d: DataView, s: DataView, imm: number): void {
  const general = generalOf(call);
  operation(d, s, imm, general);
  setGeneral(call, general);
}

export const vectorHelpers: ReadonlyMap<number, HelperFunction> = new Map([[BuiltinHelper.VECTOR, run]]);
