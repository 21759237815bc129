/**
 * MMX: eight registers of 64 bits, which are the mantissas of the coprocessor's (SDM volume 1, 9.2). Lanes are those of
 * the vector instructions of the same names, worked out in the low half of sixteen bytes.
 */
import { type HelperCall, type HelperFunction, type HelperHost, Vector } from './helper-host.ts';
import { Helper } from './ir.ts';
import { X87_REGISTERS, X87_STATUS, X87_VALID, XMM } from './state.ts';
import { laneOperation, runLane, shiftOperation } from './vector-helpers.ts';
import { signMask } from './vector-lanes.ts';

const TOP = 7 << 11;
const SUMMARY = 0x80;
const MATH_FAULT = 16;
const HALF = 8;

/** Operand codes of a call: MMX registers from 0, vector registers from 8 on. */
const FIRST_VECTOR = 8;
export const mmxCode = (register: number): number => register;
export const vectorCode = (register: number): number => FIRST_VECTOR + register;

/** Sixteen bytes: of a vector register, or of an MMX register with zeros behind it. */
function operand(host: HelperHost, code: number): DataView {
  const bytes = new Uint8Array(16);
  if (code >= FIRST_VECTOR) bytes.set(host.xmm(code - FIRST_VECTOR));
  else {
    const at = X87_REGISTERS + code * 16;
    bytes.set(host.bytes.subarray(at, at + HALF));
  }
  return new DataView(bytes.buffer);
}

function write(host: HelperHost, code: number, value: DataView, length: number): void {
  const bytes = new Uint8Array(value.buffer, value.byteOffset, length);
  if (code >= FIRST_VECTOR) {
    host.xmm(code - FIRST_VECTOR).set(bytes);
    return;
  }
  const at = X87_REGISTERS + code * 16;
  host.bytes.set(bytes.subarray(0, HALF), at);
  // What the coprocessor would find there is not a number.
  host.view.setUint16(at + HALF, 0xffff, true);
}

/** The results of a half of d and of s, which lie in different halves, side by side. */
function together(d: DataView): void {
  d.setInt32(4, d.getInt32(8, true), true);
}

function alignRight(d: DataView, s: DataView, imm: number): void {
  const both = (d.getBigUint64(0, true) << 64n) | s.getBigUint64(0, true);
  d.setBigUint64(0, BigInt.asUintN(64, both >> BigInt(imm * 8)), true);
}

type Operation = (d: DataView, s: DataView, imm: number) => void;

/** What differs from the vector instruction of the name. */
const OWN: Readonly<Record<string, Operation>> = {
  mov: (d, s) => d.setBigUint64(0, s.getBigUint64(0, true), true),
  por: (d, s) => bitwise(d, s, (a, b) => a | b),
  pand: (d, s) => bitwise(d, s, (a, b) => a & b),
  pxor: (d, s) => bitwise(d, s, (a, b) => a ^ b),
  pandn: (d, s) => bitwise(d, s, (a, b) => ~a & b),
  palignr: alignRight,
  pshufw: (d, s, imm) => named('pshuflw')(d, s, imm),
  pshufb: (d, s) => {
    for (let n = 0; n < HALF; n++) s.setUint8(n, s.getUint8(n) & 0x87);
    named('pshufb')(d, s, 0);
  },
  pmovmskb: (d, s) => d.setUint32(0, signMask(s, 1) & 0xff, true),
  pextrw: (d, s, imm) => d.setUint32(0, s.getUint16((imm & 3) * 2, true), true),
  pinsrw: (d, s, imm) => d.setUint16((imm & 3) * 2, s.getUint16(0, true), true),
};

function bitwise(d: DataView, s: DataView, f: (a: bigint, b: bigint) => bigint): void {
  d.setBigInt64(0, f(d.getBigInt64(0, true), s.getBigInt64(0, true)), true);
}

function named(name: string): Operation {
  const operation = laneOperation(name);
  if (operation === undefined) throw new Error(`no lanes are called ${name}`);
  return operation;
}

/** Their lanes of d and s go to different halves of a vector register. */
const HALVES = /^(pack|ph(add|sub))/;

function run(name: string, d: DataView, s: DataView, imm: number, shifts: boolean): void {
  const own = OWN[name];
  const shift = shiftOperation(name);
  if (own !== undefined) own(d, s, imm);
  else if (shift !== undefined) shift(d, shifts ? BigInt(imm) : s.getBigUint64(0, true));
  else if (name.startsWith('punpckh')) {
    // The upper halves of eight bytes are what the lower ones of sixteen give above.
    named(`punpckl${name.slice(7)}`)(d, s, 0);
    d.setBigUint64(0, d.getBigUint64(8, true), true);
  } else {
    named(name)(d, s, imm);
    if (HALVES.test(name)) together(d);
  }
}

/** Between numbers and integers: as the vector instruction of the other name, with MXCSR. */
const CONVERSIONS: Readonly<Record<string, string>> = {
  cvtpi2ps: 'cvtdq2ps',
  cvtpi2pd: 'cvtdq2pd',
  cvtps2pi: 'cvtps2dq',
  cvttps2pi: 'cvttps2dq',
  cvtpd2pi: 'cvtpd2dq',
  cvttpd2pi: 'cvttpd2dq',
};

/** Of the two lanes that there are. */
function convert(host: HelperHost, name: string, d: DataView, s: DataView): number | undefined {
  // What is behind them must not be met.
  if (s.byteLength === 16 && name !== 'cvtpd2dq' && name !== 'cvttpd2dq') s.setBigUint64(HALF, 0n, true);
  return runLane(host, name, d, s);
}

/** Every name that an MMX instruction may have, by number. */
const NAMES = (
  'mov por pand pxor pandn palignr pshufw pshufb pmovmskb pextrw pinsrw cvtpi2ps cvtpi2pd cvtps2pi cvttps2pi cvtpd2pi ' +
  'cvttpd2pi psllw pslld psllq psrlw psrld psrlq psraw psrad punpcklbw punpcklwd punpckldq punpckhbw punpckhwd punpckhdq ' +
  'packsswb packssdw packuswb pcmpgtb pcmpgtw pcmpgtd pcmpeqb pcmpeqw pcmpeqd paddb paddw paddd paddq psubb psubw psubd ' +
  'psubq paddsb paddsw paddusb paddusw psubsb psubsw psubusb psubusw pmullw pmulhw pmulhuw pmuludq pmaddwd pminub pmaxub ' +
  'pminsw pmaxsw pavgb pavgw psadbw phaddw phaddd phaddsw phsubw phsubd phsubsw pmaddubsw psignb psignw psignd pmulhrsw ' +
  'pabsb pabsw pabsd'
).split(' ');
const NUMBERS = new Map(NAMES.map((name, number) => [name, number]));

/** Number of an MMX operation, undefined when there is none of that name. */
export const mmxOperation = (name: string): number | undefined => NUMBERS.get(name);

/** The payload of a call. @param shifts the immediate is the count of a shift */
export function packMmxCall(number: number, d: number, s: number, imm: number, shifts: boolean): number {
  return (number << 19) | (shifts ? 1 << 18 : 0) | ((imm & 255) << 10) | (s << 5) | d;
}

/** Halves of 32 bits by themselves: what loops of the kernel's mostly do, without anything made on the way. */
type Halves = (a: number, b: number) => number;
const SIGNS = 0x80808080;
const QUICK: readonly (Halves | undefined)[] = NAMES.map(
  (name) =>
    (
      ({
        mov: (_, b) => b,
        por: (a, b) => a | b,
        pand: (a, b) => a & b,
        pxor: (a, b) => a ^ b,
        pandn: (a, b) => ~a & b,
        paddb: (a, b) => ((a & ~SIGNS) + (b & ~SIGNS)) ^ ((a ^ b) & SIGNS),
        pcmpgtb: (a, b) => {
          let mask = 0;
          for (let at = 0; at < 32; at += 8) if ((a << at) >> 24 > (b << at) >> 24) mask |= 0xff << (24 - at);
          return mask;
        },
      }) satisfies Readonly<Record<string, Halves>> as Readonly<Record<string, Halves>>
    )[name],
);

const placeOf = (code: number): number =>
  code < FIRST_VECTOR ? X87_REGISTERS + code * 16 : XMM + (code - FIRST_VECTOR) * 16;

function quickly({ view }: HelperHost, f: Halves, to: number, from: number): void {
  const [d, s] = [placeOf(to), placeOf(from)];
  const low = f(view.getInt32(d, true), view.getInt32(s, true));
  view.setInt32(d + 4, f(view.getInt32(d + 4, true), view.getInt32(s + 4, true)), true);
  view.setInt32(d, low, true);
  if (to < FIRST_VECTOR) view.setUint16(d + HALF, 0xffff, true);
}

/** Bytes that the operation changes in a vector register. */
const writtenTo = (name: string): number => (name === 'cvtpi2pd' ? 16 : HALF);

function mmx(call: HelperCall): number | undefined {
  const { host, imm } = call;
  const status = host.view.getUint16(X87_STATUS, true);
  if (status & SUMMARY) return host.raise(MATH_FAULT);
  host.view.setUint16(X87_STATUS, status & ~TOP, true);
  host.view.setUint8(X87_VALID, 0xff);
  const name = NAMES[imm >> 19];
  const [to, from] = [imm & 31, (imm >> 5) & 31];
  const quick = QUICK[imm >> 19];
  if (quick !== undefined) {
    quickly(host, quick, to, from);
    return undefined;
  }
  const d = operand(host, to);
  const conversion = CONVERSIONS[name];
  if (conversion !== undefined) {
    const fault = convert(host, conversion, d, operand(host, from));
    if (fault === undefined) write(host, to, d, writtenTo(name));
    return fault;
  }
  run(name, d, operand(host, from), (imm >> 10) & 255, ((imm >> 18) & 1) === 1);
  write(host, to, d, writtenTo(name));
  return undefined;
}

function empty({ host }: HelperCall): number | undefined {
  const status = host.view.getUint16(X87_STATUS, true);
  if (status & SUMMARY) return host.raise(MATH_FAULT);
  host.view.setUint16(X87_STATUS, status & ~TOP, true);
  host.view.setUint8(X87_VALID, 0);
  return undefined;
}

/** maskmovq and maskmovdqu: bytes of d whose byte of s has its top bit set, to the address in a register. */
function maskedStore({ host, a, imm, size }: HelperCall): number | undefined {
  const [d, s] = [operand(host, imm & 31), operand(host, (imm >> 5) & 31)];
  const at = host.gpr(a);
  const chosen = Array.from({ length: size === 8 ? HALF : 16 }, (_, n) => n).filter(
    (n) => s.getUint8(n) & 0x80,
  );
  for (const n of chosen) host.memory.cpuAccess(host.wrap(at + n), 1, 'write');
  for (const n of chosen) host.memory.set8(host.wrap(at + n), d.getUint8(n));
  if ((imm & 31) >= FIRST_VECTOR) return undefined;
  host.view.setUint16(X87_STATUS, host.view.getUint16(X87_STATUS, true) & ~TOP, true);
  host.view.setUint8(X87_VALID, 0xff);
  return undefined;
}

const refused: HelperFunction = ({ host }) => host.raise(Vector.UD, 0, 'unsupported');

export const mmxHelpers: readonly (readonly [number, HelperFunction])[] = [
  [Helper.MMX, (call) => (NAMES[call.imm >> 19] === undefined ? refused(call) : mmx(call))],
  [Helper.EMMS, empty],
  [Helper.MASKED_STORE, maskedStore],
];
