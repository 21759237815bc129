/** String instructions. A rep is done in pieces that end at page boundaries; each piece is complete. */

import type { Address } from '../memory/address.ts';
import { BOUNCE } from '../memory/layout.ts';
import { type HelperCall, type HelperFunction, type HelperHost, Vector } from './helper-host.ts';
import { BuiltinHelper } from './helper-ids.ts';

import { Reg } from './ir.ts';
import { FLAG, LEFT, OP, REGISTERS } from './state.ts';

const BUDGET_EXIT = 2;

/** State of one string instruction while it runs. */
interface Run {
  readonly host: HelperHost;
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly narrow: boolean;
  readonly sourceBase: Address;
  readonly step: number;
}

/** One step: up to `limit` elements. @returns how many were done, and whether rep ends here */
type Step = (run: Run, limit: number) => { done: number; stop: boolean };

const address = (run: Run, register: number): number =>
  run.narrow ? run.host.gpr(register) >>> 0 : run.host.gpr(register);

const sourceAddress = (run: Run): Address => run.host.wrap(run.sourceBase + address(run, Reg.RSI));

/** Addresses that were accessed are canonical: a number holds them and those next to them. */
function advance(run: Run, register: number, elements: number): void {
  const moved = address(run, register) + elements * run.step;
  run.host.setGpr(register, run.narrow ? moved >>> 0 : moved);
}

/** Whole elements from `va` to the end of its page in the direction of travel; 0 when the first one crosses. */
function inPage(run: Run, va: Address): number {
  const within = va & 4095;
  if (within + run.size > 4096) return 0;
  return run.step > 0 ? Math.floor((4096 - within) / run.size) : 1;
}

function read(run: Run, va: Address): bigint {
  const host = run.host.memory.cpuAccess(va, run.size, 'read');
  return BigInt.asUintN(run.size * 8, run.host.view.getBigUint64(host, true));
}

function write(run: Run, va: Address, value: bigint): void {
  const { memory, view } = run.host;
  const host = memory.cpuAccess(va, run.size, 'write');
  if (run.size === 8) view.setBigUint64(host, value, true);
  else if (run.size === 4) view.setUint32(host, Number(value), true);
  else if (run.size === 2) view.setUint16(host, Number(value), true);
  else view.setUint8(host, Number(value));
  if (host === BOUNCE) memory.commit(va, run.size);
}

const accumulator = (run: Run): bigint => BigInt.asUintN(run.size * 8, run.host.gprBig(Reg.RAX));

function setAccumulator(run: Run, value: bigint): void {
  const old = run.host.gprBig(Reg.RAX);
  const mask = (1n << BigInt(run.size * 8)) - 1n;
  run.host.setGprBig(Reg.RAX, run.size === 4 ? value : (old & ~mask) | value);
}

const moveStep: Step = (run, limit) => {
  const { host, bytes, size } = run;
  const from = sourceAddress(run);
  const to = address(run, Reg.RDI);
  const elements = Math.min(limit, inPage(run, from), inPage(run, to));
  if (elements < 1) write(run, to, read(run, from));
  else {
    const length = elements * size;
    const source = host.memory.cpuAccess(from, length, 'read');
    const target = host.memory.cpuAccess(to, length, 'write');
    // Reading what this very instruction has just written repeats a pattern, by whatever addresses that is one place.
    const piece = target > source && target < source + length ? size : length;
    for (let n = 0; n < length; n += piece) bytes.copyWithin(target + n, source + n, source + n + piece);
  }
  const done = Math.max(elements, 1);
  advance(run, Reg.RSI, done);
  advance(run, Reg.RDI, done);
  return { done, stop: false };
};

const storeStep: Step = (run, limit) => {
  const { host, bytes, size } = run;
  const to = address(run, Reg.RDI);
  const elements = Math.min(limit, inPage(run, to));
  if (elements < 2) write(run, to, accumulator(run));
  else {
    const target = host.memory.cpuAccess(to, elements * size, 'write');
    // The element comes from the register file; doubling copies fill the rest.
    bytes.copyWithin(target, REGISTERS, REGISTERS + size);
    for (let filled = size; filled < elements * size; filled *= 2) {
      bytes.copyWithin(target + filled, target, target + Math.min(filled, elements * size - filled));
    }
  }
  const done = Math.max(elements, 1);
  advance(run, Reg.RDI, done);
  return { done, stop: false };
};

const loadStep: Step = (run) => {
  setAccumulator(run, read(run, sourceAddress(run)));
  advance(run, Reg.RSI, 1);
  return { done: 1, stop: false };
};

/** Sets the flags of `left - right`. @returns whether they are equal */
function compare(run: Run, left: bigint, right: bigint): boolean {
  const bits = run.size * 8;
  const result = BigInt.asUintN(bits, left - right);
  const sign = (value: bigint): number => Number((value >> BigInt(bits - 1)) & 1n);
  const overflow = (sign(left) ^ sign(right)) & (sign(left) ^ sign(result));
  let parity = Number(result & 0xffn);
  parity ^= parity >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  const flags =
    (left < right ? FLAG.CF : 0) |
    ((parity & 1) === 0 ? FLAG.PF : 0) |
    ((left ^ right ^ result) & 0x10n ? FLAG.AF : 0) |
    (result === 0n ? FLAG.ZF : 0) |
    (sign(result) ? FLAG.SF : 0) |
    (overflow ? FLAG.OF : 0);
  const all = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.OF;
  run.host.rflags = (run.host.rflags & ~all) | flags;
  return result === 0n;
}

const compareStep =
  (scan: boolean, whileEqual: boolean | undefined): Step =>
  (run) => {
    // The source comes first: it is the one that faults when neither can be read.
    const left = scan ? accumulator(run) : read(run, sourceAddress(run));
    const right = read(run, address(run, Reg.RDI));
    const equal = compare(run, left, right);
    if (!scan) advance(run, Reg.RSI, 1);
    advance(run, Reg.RDI, 1);
    return { done: 1, stop: whileEqual !== undefined && equal !== whileEqual };
  };

const inStep: Step = (run) => {
  const to = address(run, Reg.RDI);
  // The page is checked first: what a port gave cannot be given back.
  run.host.memory.cpuAccess(to, run.size, 'write');
  write(run, to, BigInt(run.host.machine.in(port(run), run.size) >>> 0));
  advance(run, Reg.RDI, 1);
  return { done: 1, stop: false };
};

const outStep: Step = (run) => {
  const value = Number(read(run, sourceAddress(run)));
  run.host.machine.out(port(run), run.size, value);
  advance(run, Reg.RSI, 1);
  return { done: 1, stop: false };
};

const port = (run: Run): number => Number(run.host.gprBig(Reg.RDX) & 0xffffn);

function prepare(call: HelperCall): Run {
  const { host, size, a } = call;
  const down = (host.rflags & FLAG.DF) !== 0;
  return {
    host,
    bytes: host.bytes,
    size,
    narrow: call.imm === 4,
    sourceBase: a === Reg.ZERO ? 0 : host.gpr(a),
    step: down ? -size : size,
  };
}

/** Elements still to do, from rcx or ecx; rounded far beyond what any run could do. */
function remaining(run: Run): number {
  const count = run.host.gpr(Reg.RCX);
  if (run.narrow) return count >>> 0;
  return count < 0 ? count + 2 ** 64 : count;
}

function countDown(run: Run, by: number): void {
  const count = run.host.gpr(Reg.RCX);
  if (run.narrow) run.host.setGpr(Reg.RCX, (count - by) >>> 0);
  else if (Number.isSafeInteger(count)) run.host.setGpr(Reg.RCX, count - by);
  else run.host.setGprBig(Reg.RCX, run.host.gprBig(Reg.RCX) - BigInt(by));
}

/** Each iteration counts as one instruction; when the budget ends, the instruction is left to be resumed. */
function repeat(call: HelperCall, step: Step): number | undefined {
  const run = prepare(call);
  if (call.scale === 0) {
    step(run, 1);
    return;
  }
  const data = call.host.view;
  const allowed = Math.max(1, data.getInt32(LEFT, true) - data.getUint16(call.ip + OP.COUNT, true));
  let total = 0;
  for (let left = remaining(run); left > 0; left = remaining(run)) {
    if (total >= allowed) {
      call.host.rip = call.host.instructionAt(call.ip);
      return call.host.leaveWith(BUDGET_EXIT, total);
    }
    const { done, stop } = step(run, Math.min(left, allowed - total));
    countDown(run, done);
    total += done;
    if (stop) break;
  }
  if (total > 1) data.setInt32(LEFT, data.getInt32(LEFT, true) - (total - 1), true);
}

const compareHelper =
  (scan: boolean): HelperFunction =>
  (call) =>
    repeat(call, compareStep(scan, call.scale === 0 ? undefined : call.scale === 1));

const privileged =
  (step: Step): HelperFunction =>
  (call) =>
    call.host.cpl === 0 ? repeat(call, step) : call.host.raise(Vector.GP);

export const stringHelpers: readonly (readonly [number, HelperFunction])[] = [
  [BuiltinHelper.MOVS, (call) => repeat(call, moveStep)],
  [BuiltinHelper.STOS, (call) => repeat(call, storeStep)],
  [BuiltinHelper.LODS, (call) => repeat(call, loadStep)],
  [BuiltinHelper.CMPS, compareHelper(false)],
  [BuiltinHelper.SCAS, compareHelper(true)],
  [BuiltinHelper.INS, privileged(inStep)],
  [BuiltinHelper.OUTS, privileged(outStep)],
];
