/** Walking the stack of x64 code by its unwind information ("x64 exception handling", Microsoft's published description). */

import { FormatError } from '../../bytes/errors.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { type RuntimeFunction, readRuntimeFunctions } from '../../formats/pe/exceptions.ts';
import type { Frame, Thread } from '../../kernel/thread.ts';
import { type Address, GuestFault } from '../../memory/space.ts';
import type { DriverImage } from './images.ts';
import type { Windows } from './windows.ts';

export const UnwindFlag = { EXCEPTION_HANDLER: 1, TERMINATION_HANDLER: 2, CHAINED: 4 } as const;

const Op = {
  PUSH_NONVOL: 0,
  ALLOC_LARGE: 1,
  ALLOC_SMALL: 2,
  SET_FPREG: 3,
  SAVE_NONVOL: 4,
  SAVE_NONVOL_FAR: 5,
  EPILOG: 6,
  SAVE_XMM: 8,
  SAVE_XMM_FAR: 9,
  MACHINE_FRAME: 10,
} as const;

export const RSP = 4;
const MAX_CHAIN = 32;
const MAX_DEPTH = 24;

/** Registers at one point of the stack: general by hardware number, all 64 bits. */
export interface Registers {
  readonly gpr: bigint[];
  rip: bigint;
  readonly xmm: Uint8Array[];
}

/** A place on the stack: registers, and which frame of the scheduler the code belongs to. */
export interface StackPlace {
  readonly registers: Registers;
  /** Index in thread.frames of the machine code's frame. */
  frame: number;
}

export interface FrameFacts {
  readonly image: DriverImage;
  readonly entry: RuntimeFunction;
  readonly entryAddress: Address;
  /** Where the function's frame is: what handlers are given. */
  readonly establisher: bigint;
  /** Language handler and its data, when there is one of the kind asked for; 0 otherwise. */
  readonly handler: Address;
  readonly handlerData: Address;
}

const signed = (value: bigint): Address => Number(BigInt.asIntN(64, value));
const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);

export function captureRegisters(cpu: Cpu): Registers {
  return {
    gpr: Array.from({ length: 16 }, (_, n) => cpu.gprBig(n)),
    rip: wrap(BigInt(cpu.rip)),
    xmm: Array.from({ length: 16 }, (_, n) => cpu.xmm(n).slice()),
  };
}

export function copyRegisters({ gpr, rip, xmm }: Registers): Registers {
  return { gpr: [...gpr], rip, xmm: xmm.map((value) => value.slice()) };
}

export function restoreRegisters(cpu: Cpu, { gpr, rip, xmm }: Registers): void {
  gpr.forEach((value, n) => {
    cpu.setGprBig(n, value);
  });
  xmm.forEach((value, n) => {
    cpu.xmm(n).set(value);
  });
  cpu.rip = signed(rip);
}

/** The function table in order; one that is damaged describes nothing, which is no reason not to load its image. */
function functionsOf(image: DriverImage): RuntimeFunction[] {
  try {
    return readRuntimeFunctions(image.pe).sort((a, b) => a.begin - b.begin);
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}

/** The function that holds an address of an image. */
export function functionAt(image: DriverImage, rva: number): RuntimeFunction | undefined {
  image.functions ??= functionsOf(image);
  let low = 0;
  let high = image.functions.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (image.functions[middle].begin <= rva) low = middle + 1;
    else high = middle;
  }
  const found = image.functions[low - 1];
  return found !== undefined && rva < found.end ? found : undefined;
}

/** The innermost frame of machine code. */
export function topGuestFrame(thread: Thread): number {
  for (let i = thread.frames.length - 1; i >= 0; i--) if (thread.frames[i].kind === 'guest') return i;
  return -1;
}

/**
 * Undoes one function: registers become those of its caller.
 * @param wanted UnwindFlag of the handlers asked for
 * @returns facts of the function left, undefined for one without unwind information, 'end' at the bottom of the stack
 */
export function unwindOne(
  k: Windows,
  thread: Thread,
  place: StackPlace,
  wanted: number,
): FrameFacts | undefined | 'end' {
  const { registers } = place;
  if (signed(registers.rip) === k.returnGate) return crossHost(thread, place) ? undefined : 'end';
  const image = k.drivers.at(signed(registers.rip));
  const rva = image === undefined ? 0 : signed(registers.rip) - image.base;
  const entry = image === undefined ? undefined : functionAt(image, rva);
  if (image === undefined || entry === undefined) {
    popReturn(k, registers);
    return undefined;
  }
  return applyEntry(k, image, entry, rva, registers, wanted);
}

/** From code that TypeScript called to the code that called that TypeScript. */
function crossHost(thread: Thread, place: StackPlace): boolean {
  const frame: Frame | undefined = thread.frames[place.frame];
  if (frame?.kind !== 'guest') return false;
  for (let i = place.frame - 1; i >= 0; i--) {
    if (thread.frames[i].kind !== 'guest') continue;
    place.registers.gpr[RSP] = wrap(BigInt(frame.mark.stack));
    place.registers.rip = wrap(BigInt(frame.mark.instruction));
    place.frame = i;
    return true;
  }
  return false;
}

function popReturn(k: Windows, registers: Registers): void {
  const at = signed(registers.gpr[RSP]);
  registers.rip = k.memory.u64(at);
  registers.gpr[RSP] = wrap(BigInt(at) + 8n);
}

function applyEntry(
  k: Windows,
  image: DriverImage,
  entry: RuntimeFunction,
  rva: number,
  registers: Registers,
  wanted: number,
): FrameFacts {
  let info = image.base + entry.unwind;
  let offset = rva - entry.begin;
  const inEpilogue = isEpilogue(k, image, entry, signed(registers.rip), info);
  let establisher: bigint | undefined;
  let handler = 0;
  let handlerData = 0;
  let machineFrame = false;
  for (let chain = 0; chain < MAX_CHAIN; chain++) {
    const { memory } = k;
    const flags = memory.u8(info) >> 3;
    const codes = memory.u8(info + 2);
    const frameRegister = memory.u8(info + 3) & 15;
    const inProlog = chain === 0 && offset < memory.u8(info + 1);
    establisher ??= establisherOf(k, info, codes, offset, frameRegister, registers, inProlog);
    if (inEpilogue) break;
    machineFrame = applyCodes(k, info, codes, inProlog ? offset : 256, registers) || machineFrame;
    const tail = info + 4 + ((codes + 1) & ~1) * 2;
    if ((flags & UnwindFlag.CHAINED) === 0) {
      if ((flags & wanted) !== 0 && !inProlog) {
        handler = image.base + memory.u32(tail);
        handlerData = tail + 4;
      }
      break;
    }
    info = image.base + memory.u32(tail + 8);
    offset = 256;
  }
  if (inEpilogue) finishEpilogue(k, registers);
  if (!machineFrame) popReturn(k, registers);
  const table = image.pe.directory(3).address;
  const index = image.functions?.indexOf(entry) ?? 0;
  return {
    image,
    entry,
    entryAddress: image.base + table + index * 12,
    establisher: establisher ?? 0n,
    handler,
    handlerData,
  };
}

/** Instructions that an epilogue may have before its pops: what moves rsp back, by a constant or from the frame pointer. */
function stackMove(
  k: Windows,
  at: Address,
  frameRegister: number,
): { bytes: number; rsp?: (gpr: readonly bigint[]) => bigint } {
  const byte = (i: number) => k.memory.u8(at + i);
  const imm8 = (i: number) => BigInt((byte(i) << 24) >> 24);
  const imm32 = (i: number) => BigInt(k.memory.u32(at + i) | 0);
  // add rsp, imm8 / imm32
  if (byte(0) === 0x48 && byte(1) === 0x83 && byte(2) === 0xc4) {
    const by = imm8(3);
    return { bytes: 4, rsp: (gpr) => wrap(gpr[RSP] + by) };
  }
  if (byte(0) === 0x48 && byte(1) === 0x81 && byte(2) === 0xc4) {
    const by = imm32(3);
    return { bytes: 7, rsp: (gpr) => wrap(gpr[RSP] + by) };
  }
  // lea rsp, [frame + disp8 / disp32], where the function has a frame register
  const rex = frameRegister >= 8 ? 0x49 : 0x48;
  const modrm = byte(2);
  if (frameRegister === 0 || byte(0) !== rex || byte(1) !== 0x8d || (modrm & 0x38) !== 0x20)
    return { bytes: 0 };
  if ((modrm & 7) !== (frameRegister & 7) || (modrm & 7) === 4) return { bytes: 0 };
  if (modrm >> 6 === 1) {
    const by = imm8(3);
    return { bytes: 4, rsp: (gpr) => wrap(gpr[frameRegister] + by) };
  }
  if (modrm >> 6 !== 2) return { bytes: 0 };
  const by = imm32(3);
  return { bytes: 7, rsp: (gpr) => wrap(gpr[frameRegister] + by) };
}

/** `pop r64`: its length and register. */
function popAt(k: Windows, at: Address): { bytes: number; register: number } | undefined {
  const first = k.memory.u8(at);
  if ((first & 0xf8) === 0x58) return { bytes: 1, register: first & 7 };
  const second = first === 0x41 || first === 0x48 ? k.memory.u8(at + 1) : 0;
  if ((second & 0xf8) !== 0x58) return undefined;
  return { bytes: 2, register: (second & 7) | (first === 0x41 ? 8 : 0) };
}

/** What an epilogue ends with: a return, or a jump out of the function, as tail calls make it. */
function endsFunction(k: Windows, image: DriverImage, entry: RuntimeFunction, at: Address): boolean {
  const [first, second] = [k.memory.u8(at), k.memory.u8(at + 1)];
  if (first === 0xc3 || first === 0xc2 || (first === 0xf3 && second === 0xc3)) return true;
  const outside = (target: Address) => target < image.base + entry.begin || target >= image.base + entry.end;
  if (first === 0xeb) return outside(at + 2 + ((second << 24) >> 24));
  if (first === 0xe9) return outside(at + 5 + (k.memory.u32(at + 1) | 0));
  // jmp through a register or memory; rex.W marks it as the end of a function.
  return (
    (first === 0xff && second === 0x25) ||
    (first === 0x48 && second === 0xff && (k.memory.u8(at + 2) & 0x38) === 0x20)
  );
}

/**
 * Does the code from here on do nothing but leave the function? Such code is not described by unwind codes: what is left
 * of it is done in its place ("Epilog code" in the description of the conventions).
 */
function isEpilogue(
  k: Windows,
  image: DriverImage,
  entry: RuntimeFunction,
  rip: Address,
  info: Address,
): boolean {
  try {
    const frameRegister = k.memory.u8(info + 3) & 15;
    let at = rip + stackMove(k, rip, frameRegister).bytes;
    const end = image.base + entry.end;
    for (let pop = popAt(k, at); pop !== undefined && at < end; pop = popAt(k, at)) at += pop.bytes;
    return at < end && endsFunction(k, image, entry, at);
  } catch (error) {
    // Code that is not there any more is what the exception is about.
    if (error instanceof GuestFault) return false;
    throw error;
  }
}

/** Executes the rest of an epilogue up to its last instruction. */
function finishEpilogue(k: Windows, registers: Registers): void {
  const { gpr } = registers;
  const rip = signed(registers.rip);
  // Whichever register the function's frame hangs on, the instruction itself names it.
  const named = (k.memory.u8(rip + 2) & 7) | (k.memory.u8(rip) === 0x49 ? 8 : 0);
  const move = stackMove(k, rip, named);
  if (move.rsp !== undefined) gpr[RSP] = move.rsp(gpr);
  let at = rip + move.bytes;
  for (let pop = popAt(k, at); pop !== undefined; pop = popAt(k, at)) {
    gpr[pop.register] = k.memory.u64(signed(gpr[RSP]));
    gpr[RSP] = wrap(gpr[RSP] + 8n);
    at += pop.bytes;
  }
}

/** The frame pointer's base once it is set, the stack pointer otherwise. */
function establisherOf(
  k: Windows,
  info: Address,
  codes: number,
  offset: number,
  frameRegister: number,
  registers: Registers,
  inProlog: boolean,
): bigint {
  if (frameRegister === 0) return registers.gpr[RSP];
  const scaled = BigInt((k.memory.u8(info + 3) >> 4) * 16);
  if (!inProlog) return wrap(registers.gpr[frameRegister] - scaled);
  for (let i = 0; i < codes; i++) {
    const at = info + 4 + i * 2;
    if ((k.memory.u8(at + 1) & 15) === Op.SET_FPREG && offset >= k.memory.u8(at)) {
      return wrap(registers.gpr[frameRegister] - scaled);
    }
  }
  return registers.gpr[RSP];
}

/** Undoes the prologue's steps up to `offset`. @returns whether a machine frame ended it */
function applyCodes(k: Windows, info: Address, codes: number, offset: number, registers: Registers): boolean {
  const { memory } = k;
  const frameRegister = memory.u8(info + 3) & 15;
  const frameOffset = BigInt((memory.u8(info + 3) >> 4) * 16);
  const { gpr } = registers;
  const frame = frameRegister === 0 ? gpr[RSP] : wrap(gpr[frameRegister] - frameOffset);
  for (let i = 0; i < codes; ) {
    const at = info + 4 + i * 2;
    const op = memory.u8(at + 1) & 15;
    const operand = memory.u8(at + 1) >> 4;
    const slots = slotsOf(op, operand);
    const done = memory.u8(at) <= offset;
    i += slots;
    if (!done) continue;
    const near = memory.u16(at + 2);
    if (op === Op.PUSH_NONVOL) {
      gpr[operand] = memory.u64(signed(gpr[RSP]));
      gpr[RSP] = wrap(gpr[RSP] + 8n);
    } else if (op === Op.ALLOC_LARGE)
      gpr[RSP] = wrap(gpr[RSP] + BigInt(operand === 0 ? near * 8 : memory.u32(at + 2)));
    else if (op === Op.ALLOC_SMALL) gpr[RSP] = wrap(gpr[RSP] + BigInt(operand * 8 + 8));
    else if (op === Op.SET_FPREG) gpr[RSP] = frame;
    else if (op === Op.SAVE_NONVOL) gpr[operand] = memory.u64(signed(wrap(frame + BigInt(near * 8))));
    else if (op === Op.SAVE_NONVOL_FAR)
      gpr[operand] = memory.u64(signed(wrap(frame + BigInt(memory.u32(at + 2)))));
    else if (op === Op.SAVE_XMM)
      registers.xmm[operand] = memory.bytes(signed(wrap(frame + BigInt(near * 16))), 16);
    else if (op === Op.SAVE_XMM_FAR)
      registers.xmm[operand] = memory.bytes(signed(wrap(frame + BigInt(memory.u32(at + 2)))), 16);
    else if (op === Op.MACHINE_FRAME) {
      const base = signed(gpr[RSP]) + operand * 8;
      registers.rip = memory.u64(base);
      gpr[RSP] = memory.u64(base + 24);
      return true;
    }
  }
  return false;
}

function slotsOf(op: number, operand: number): number {
  if (op === Op.ALLOC_LARGE) return operand === 0 ? 2 : 3;
  if (op === Op.SAVE_NONVOL || op === Op.SAVE_XMM || op === Op.EPILOG) return 2;
  if (op === Op.SAVE_NONVOL_FAR || op === Op.SAVE_XMM_FAR) return 3;
  return 1;
}

/** Instruction addresses from the innermost out, as far as the stack can be followed. */
export function callStack(k: Windows, at?: Address): Address[] {
  const thread = k.scheduler.current;
  const first = at ?? k.cpu.rip;
  if (thread === undefined || k.word !== 8) return [first];
  const place = { registers: captureRegisters(k.cpu), frame: topGuestFrame(thread) };
  place.registers.rip = wrap(BigInt(first));
  const out: Address[] = [];
  try {
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      const rip = signed(place.registers.rip);
      if (rip !== k.returnGate) out.push(rip);
      if (unwindOne(k, thread, place, 0) === 'end') break;
    }
  } catch (error) {
    // The stack is part of the damage: what was found so far is all there is to say.
    if (!(error instanceof GuestFault)) throw error;
  }
  return out;
}
