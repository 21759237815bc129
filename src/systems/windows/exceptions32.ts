/**
 * Structured exceptions on x86: a list of registrations on the stack that begins at fs:[0], and the scope tables of
 * _except_handler3 (M. Pietrek, "A Crash Course on the Depths of Win32 Structured Exception Handling").
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import { type ExceptionFacts, ExceptionFlag, unhandled, writeRecord } from './exception-records.ts';
import type { Windows } from './windows.ts';

const END_OF_LIST = 0xffffffff;
const ESP = 4;
const EBP = 5;
/** CONTEXT of x86: what handlers look at, and its size. */
const CONTEXT = { FLAGS: 0, EBP: 0xb4, EIP: 0xb8, EFLAGS: 0xc0, ESP: 0xc4, BYTES: 0x2cc } as const;
/** Edi, Esi, Ebx, Edx, Ecx, Eax stand at 0x9c.. in this order of register numbers. */
const GENERAL = [7, 6, 3, 2, 1, 0];
const GENERAL_AT = 0x9c;
const CONTEXT_FULL = 0x10007;
/** More registrations than any stack holds. */
const MAX_FRAMES = 1024;
const CONTINUE_EXECUTION = 0;
const CONTINUE_SEARCH = 1;

/** Registration: next, handler; _except_handler3 adds scope table, try level and the saved ebp. */
const Frame = { NEXT: 0, HANDLER: 4, SCOPES: 8, LEVEL: 12, EBP: 16 } as const;
const NO_LEVEL = 0xffffffff;

export function* dispatch32(k: Windows, thread: Thread, facts: ExceptionFacts): Steps<void> {
  const { memory, cpu } = k;
  const saved = {
    registers: Array.from({ length: 8 }, (_, n) => cpu.gpr(n)),
    rip: cpu.rip,
    rflags: cpu.rflags,
  };
  const record = (cpu.gpr(ESP) - 0x400) & ~15;
  const at = { record: record >>> 0, context: (record >>> 0) + 0x60 };
  cpu.setGpr(ESP, at.record - 0x20);
  writeRecord(k, at.record, facts);
  writeContext32(k, at.context, saved);
  let frame = memory.ptr(k.processor.pcr);
  for (let n = 0; n < MAX_FRAMES && frame !== END_OF_LIST && frame !== 0; n++) {
    const next = memory.ptr(frame + Frame.NEXT);
    const answer = yield* callHandler(k, memory.ptr(frame + Frame.HANDLER), at.record, frame, at.context);
    if (answer === CONTINUE_EXECUTION) {
      restore32(k, at.context);
      return;
    }
    frame = next;
  }
  saved.registers.forEach((value, n) => {
    cpu.setGpr(n, value);
  });
  cpu.rip = saved.rip;
  if (thread.state !== 'dead') unhandled(k, facts, at);
}

function writeContext32(
  k: Windows,
  at: Address,
  { registers, rip, rflags }: { registers: readonly number[]; rip: number; rflags: number },
): void {
  k.memory.fill(at, CONTEXT.BYTES, 0);
  k.memory.set32(at + CONTEXT.FLAGS, CONTEXT_FULL);
  GENERAL.forEach((n, i) => {
    k.memory.set32(at + GENERAL_AT + i * 4, registers[n]);
  });
  k.memory.set32(at + CONTEXT.EBP, registers[EBP]);
  k.memory.set32(at + CONTEXT.EIP, rip);
  k.memory.set32(at + CONTEXT.EFLAGS, rflags);
  k.memory.set32(at + CONTEXT.ESP, registers[ESP]);
}

/** RtlCaptureContext takes ebp, eip and esp from the frame of its caller: they are those of the caller's caller. */
export function captureContext32(k: Windows, at: Address): void {
  const frame = k.cpu.gpr(EBP);
  const registers = Array.from({ length: 8 }, (_, n) => k.cpu.gpr(n));
  registers[EBP] = k.memory.u32(frame);
  registers[ESP] = frame + 8;
  writeContext32(k, at, { registers, rip: k.memory.u32(frame + 4), rflags: k.cpu.rflags });
}

function restore32(k: Windows, at: Address): void {
  GENERAL.forEach((n, i) => {
    k.cpu.setGpr(n, k.memory.u32(at + GENERAL_AT + i * 4));
  });
  k.cpu.setGpr(EBP, k.memory.u32(at + CONTEXT.EBP));
  k.cpu.setGpr(ESP, k.memory.u32(at + CONTEXT.ESP));
  k.cpu.rflags = k.memory.u32(at + CONTEXT.EFLAGS);
  k.cpu.rip = k.memory.u32(at + CONTEXT.EIP);
}

/** A handler is a C function: its caller removes the arguments, which here the mark of the call does. */
function* callHandler(
  k: Windows,
  handler: Address,
  record: Address,
  frame: Address,
  context: Address,
): Steps<number> {
  return yield* k.callInt(handler, record, frame, context, 0);
}

/** The machine code frame on whose part of the stack a registration lies. */
function ownerOf(thread: Thread, registration: Address): number {
  for (let i = thread.frames.length - 1; i >= 0; i--) {
    const frame = thread.frames[i];
    if (frame.kind === 'guest' && frame.mark.stack > registration) return i;
  }
  return -1;
}

/**
 * RtlUnwind: leaves every registration below `target`, which becomes the first again. It comes back to its caller, which
 * then runs as part of the code that the target belongs to.
 */
export function* unwind32(k: Windows, target: Address, record: Address): Steps<void> {
  const thread = k.scheduler.current;
  if (thread === undefined) throw new Error('an unwind outside of any thread');
  const { memory } = k;
  let at = record;
  if (at === 0) {
    at = (k.cpu.gpr(ESP) - 0x200) >>> 0;
    k.cpu.setGpr(ESP, at - 0x20);
    writeRecord(k, at, { code: 0xc0000027 | 0, address: 0, information: [] });
  }
  const flags = k.read('EXCEPTION_RECORD.ExceptionFlags', at);
  k.write('EXCEPTION_RECORD.ExceptionFlags', at, flags | ExceptionFlag.UNWINDING);
  let frame = memory.ptr(k.processor.pcr);
  for (let n = 0; n < MAX_FRAMES && frame !== target && frame !== END_OF_LIST; n++) {
    const next = memory.ptr(frame);
    yield* callHandler(k, memory.ptr(frame + Frame.HANDLER), at, frame, 0);
    memory.setPtr(k.processor.pcr, next);
    frame = next;
  }
  if (record === 0) k.cpu.setGpr(ESP, at + 0x200);
  const owner = ownerOf(thread, target);
  if (owner >= 0) thread.frames.splice(owner + 1, thread.frames.length - owner - 2);
}

/** _local_unwind2: the termination handlers of one function, from its try level out to `stop`. */
export function* localUnwind(k: Windows, frame: Address, stop: number): Steps<void> {
  const { memory } = k;
  const scopes = memory.ptr(frame + Frame.SCOPES);
  for (let n = 0; n < 256; n++) {
    const level = memory.u32(frame + Frame.LEVEL);
    if (level === NO_LEVEL || level === stop >>> 0) return;
    const scope = scopes + level * 12;
    memory.set32(frame + Frame.LEVEL, memory.u32(scope));
    if (memory.ptr(scope + 4) !== 0) continue;
    const state = k.state(unwinding);
    state.depth++;
    yield* callWithFrame(k, memory.ptr(scope + 8), frame);
    state.depth--;
  }
}

/** Termination handlers that run because their block is left early. */
const unwinding = perKernel(() => ({ depth: 0 }));

/** AbnormalTermination(): a handler that the compiler calls at the end of its block runs outside of any unwind. */
export const abnormalTermination = (k: Windows): boolean => k.state(unwinding).depth > 0;

/** Filters and termination handlers run with the ebp of their function. */
function* callWithFrame(k: Windows, code: Address, frame: Address): Steps<number> {
  const old = k.cpu.gpr(EBP);
  k.cpu.setGpr(EBP, frame + Frame.EBP);
  const answer = yield* k.callInt(code);
  k.cpu.setGpr(EBP, old);
  return answer;
}

export function* exceptHandler3(
  k: Windows,
  record: Address,
  frame: Address,
  context: Address,
): Steps<number> {
  const { memory } = k;
  const leaving = ExceptionFlag.UNWINDING | ExceptionFlag.EXIT_UNWIND;
  if ((k.read('EXCEPTION_RECORD.ExceptionFlags', record) & leaving) !== 0) {
    yield* localUnwind(k, frame, NO_LEVEL);
    return CONTINUE_SEARCH;
  }
  // The function's GetExceptionInformation reads EXCEPTION_POINTERS in front of its registration.
  const stack = k.cpu.gpr(ESP);
  const pointers = (stack - 0x40) >>> 0;
  memory.setPtr(pointers, record);
  memory.setPtr(pointers + 4, context);
  memory.setPtr(frame - 4, pointers);
  k.cpu.setGpr(ESP, pointers - 0x10);
  const answer = yield* searchScopes(k, record, frame);
  k.cpu.setGpr(ESP, stack);
  return answer;
}

/** The filters of a function from its try level out; the handler that one of them chooses is entered, and nothing comes back. */
function* searchScopes(k: Windows, record: Address, frame: Address): Steps<number> {
  const { memory } = k;
  const scopes = memory.ptr(frame + Frame.SCOPES);
  let level = memory.u32(frame + Frame.LEVEL);
  for (let n = 0; level !== NO_LEVEL && n < 256; n++) {
    const scope = scopes + level * 12;
    const filter = memory.ptr(scope + 4);
    const answer = filter === 0 ? 0 : yield* callWithFrame(k, filter, frame);
    if (answer < 0) return CONTINUE_EXECUTION;
    if (answer > 0) {
      yield* unwind32(k, frame, record);
      yield* localUnwind(k, frame, level);
      memory.set32(frame + Frame.LEVEL, memory.u32(scope));
      enter(k, frame, memory.ptr(scope + 8));
      yield { kind: 'jump' };
    }
    level = memory.u32(scope);
  }
  return CONTINUE_SEARCH;
}

/** Goes on in the chosen handler, which takes its stack pointer from where the function saved it. */
function enter(k: Windows, frame: Address, handler: Address): void {
  const thread = k.scheduler.current;
  if (thread === undefined) throw new Error('an exception outside of any thread');
  thread.frames.splice(ownerOf(thread, frame) + 1);
  k.cpu.setGpr(EBP, frame + Frame.EBP);
  k.cpu.setGpr(ESP, k.memory.ptr(frame - 8));
  k.cpu.rip = handler;
}
