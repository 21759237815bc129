/**
 * Structured exceptions on x64: an exception looks for a handler frame by frame, the language handlers are called as the
 * kernel calls them, and the chosen one unwinds the stack to its frame (RtlDispatchException, RtlUnwindEx).
 */
import type { Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import { BugCode, bugCheck } from './bugcheck.ts';
import { type ExceptionFacts, ExceptionFlag, unhandled, writeRecord } from './exception-records.ts';
import { dispatch32 } from './exceptions32.ts';
import {
  captureRegisters,
  copyRegisters,
  type FrameFacts,
  type Registers,
  RSP,
  restoreRegisters,
  type StackPlace,
  topGuestFrame,
  UnwindFlag,
  unwindOne,
} from './unwind.ts';
import type { Windows } from './windows.ts';

/** What handlers answer. */
const CONTINUE_EXECUTION = 0;

/** DISPATCHER_CONTEXT on x64. */
export const DISPATCHER = {
  CONTROL_PC: 0x0,
  IMAGE_BASE: 0x8,
  FUNCTION_ENTRY: 0x10,
  ESTABLISHER: 0x18,
  TARGET_IP: 0x20,
  CONTEXT: 0x28,
  HANDLER: 0x30,
  HANDLER_DATA: 0x38,
  HISTORY: 0x40,
  SCOPE_INDEX: 0x48,
  BYTES: 0x50,
} as const;

/** Kernel functions throw this where the system raises an exception (ProbeForRead, ExRaiseStatus). */
export class RaisedStatus extends Error {
  readonly status: number;
  readonly information: readonly bigint[];

  constructor(status: number, information: readonly bigint[] = []) {
    super(`exception 0x${(status >>> 0).toString(16)}`);
    this.name = 'RaisedStatus';
    this.status = status;
    this.information = information;
  }
}

const signed = (value: bigint): Address => Number(BigInt.asIntN(64, value));
const CONTEXT_FULL = 0x10000b;
const GPR_NAMES = [
  'Rax',
  'Rcx',
  'Rdx',
  'Rbx',
  'Rsp',
  'Rbp',
  'Rsi',
  'Rdi',
  'R8',
  'R9',
  'R10',
  'R11',
  'R12',
  'R13',
  'R14',
  'R15',
];
/** XMM registers inside FltSave. */
const CONTEXT_XMM = 0x1a0;

function writeContext(k: Windows, at: Address, { gpr, rip, xmm }: Registers): void {
  k.memory.fill(at, k.sizeof('CONTEXT_X64'), 0);
  k.write('CONTEXT_X64.ContextFlags', at, CONTEXT_FULL);
  k.write('CONTEXT_X64.MxCsr', at, k.cpu.mxcsr);
  k.write('CONTEXT_X64.EFlags', at, k.cpu.rflags);
  GPR_NAMES.forEach((name, n) => {
    k.memory.setU64(at + k.offset(`CONTEXT_X64.${name}`), gpr[n]);
  });
  k.memory.setU64(at + k.offset('CONTEXT_X64.Rip'), rip);
  xmm.forEach((value, n) => {
    k.memory.write(at + CONTEXT_XMM + n * 16, value);
  });
}

/** RtlCaptureContext: the registers of the caller once the call is over. */
export function captureContext(k: Windows, at: Address, returnAddress: Address): void {
  const registers = captureRegisters(k.cpu);
  registers.rip = BigInt.asUintN(64, BigInt(returnAddress));
  registers.gpr[RSP] = BigInt.asUintN(64, registers.gpr[RSP] + 8n);
  writeContext(k, at, registers);
}

function readContext(k: Windows, at: Address): Registers {
  return {
    gpr: GPR_NAMES.map((name) => k.memory.u64(at + k.offset(`CONTEXT_X64.${name}`))),
    rip: k.memory.u64(at + k.offset('CONTEXT_X64.Rip')),
    xmm: Array.from({ length: 16 }, (_, n) => k.memory.bytes(at + CONTEXT_XMM + n * 16, 16)),
  };
}

/** Room on the stack of the thread, below what it uses, for the records that handlers are given. */
function reserve(k: Windows): { record: Address; context: Address; dispatcher: Address } {
  const recordBytes = (k.sizeof('EXCEPTION_RECORD') + 15) & ~15;
  const contextBytes = (k.sizeof('CONTEXT_X64') + 15) & ~15;
  let rsp = k.cpu.gpr(RSP) - 0x80 - recordBytes - contextBytes - DISPATCHER.BYTES;
  rsp -= ((rsp % 16) + 16) % 16;
  k.cpu.setGpr(RSP, rsp);
  return { record: rsp, context: rsp + recordBytes, dispatcher: rsp + recordBytes + contextBytes };
}

/** Puts the search for a handler on top of the thread; the caller goes on with 'resume'. */
export function raise(k: Windows, thread: Thread, facts: ExceptionFacts): void {
  const flags = k.cpu.rflags;
  thread.frames.push({
    kind: 'host',
    steps: k.word === 8 ? dispatchException(k, thread, facts, flags) : dispatch32(k, thread, facts),
    name: 'KiDispatchException',
    answer: 0,
    finish: () => undefined,
  });
}

function* dispatchException(k: Windows, thread: Thread, facts: ExceptionFacts, rflags: number): Steps<void> {
  const registers = captureRegisters(k.cpu);
  const place: StackPlace = { registers: copyRegisters(registers), frame: topGuestFrame(thread) };
  const at = reserve(k);
  writeRecord(k, at.record, facts);
  writeContext(k, at.context, registers);
  for (;;) {
    const pc = place.registers.rip;
    const found = unwindOne(k, thread, place, UnwindFlag.EXCEPTION_HANDLER);
    if (found === 'end') break;
    if (found === undefined || found.handler === 0) continue;
    writeDispatcher(k, at, pc, found, 0);
    const answer = yield* k.callInt(found.handler, at.record, found.establisher, at.context, at.dispatcher);
    if (answer !== CONTINUE_EXECUTION) continue;
    restoreRegisters(k.cpu, readContext(k, at.context));
    k.cpu.rflags = rflags;
    return;
  }
  restoreRegisters(k.cpu, registers);
  unhandled(k, facts, at);
}

function writeDispatcher(
  k: Windows,
  at: { context: Address; dispatcher: Address },
  pc: bigint,
  found: FrameFacts,
  target: Address,
): void {
  const { memory } = k;
  memory.setU64(at.dispatcher + DISPATCHER.CONTROL_PC, pc);
  memory.setPtr(at.dispatcher + DISPATCHER.IMAGE_BASE, found.image.base);
  memory.setPtr(at.dispatcher + DISPATCHER.FUNCTION_ENTRY, found.entryAddress);
  memory.setU64(at.dispatcher + DISPATCHER.ESTABLISHER, found.establisher);
  memory.setPtr(at.dispatcher + DISPATCHER.TARGET_IP, target);
  memory.setPtr(at.dispatcher + DISPATCHER.CONTEXT, at.context);
  memory.setPtr(at.dispatcher + DISPATCHER.HANDLER, found.handler);
  memory.setPtr(at.dispatcher + DISPATCHER.HANDLER_DATA, found.handlerData);
  memory.setPtr(at.dispatcher + DISPATCHER.HISTORY, 0);
  memory.set32(at.dispatcher + DISPATCHER.SCOPE_INDEX, 0);
}

/**
 * RtlUnwindEx: leaves every function up to the frame `target`, calling their termination handlers, and goes on at
 * `targetIp` there. `context` is where the exception happened. Does not come back.
 */
export function* unwindTo(
  k: Windows,
  target: Address,
  targetIp: Address,
  record: Address,
  returnValue: bigint,
  context: Address | undefined,
): Steps<void> {
  const thread = k.scheduler.current;
  if (thread === undefined) throw new Error('an unwind outside of any thread');
  const place = startOfUnwind(k, thread, context);
  const at = reserve(k);
  const facts = { code: k.read('EXCEPTION_RECORD.ExceptionCode', record), address: 0, information: [] };
  const copy = at.record;
  k.memory.copy(copy, record, k.sizeof('EXCEPTION_RECORD'));
  for (;;) {
    const pc = place.registers.rip;
    const before: StackPlace = { registers: copyRegisters(place.registers), frame: place.frame };
    const found = unwindOne(k, thread, place, UnwindFlag.TERMINATION_HANDLER);
    if (found === 'end') bugCheck(k, BugCode.KMODE_EXCEPTION_NOT_HANDLED, [facts.code >>> 0, targetIp, 0, 0]);
    if (found === undefined) continue;
    const last = signed(found.establisher) === target;
    if (found.handler !== 0) {
      const flags = ExceptionFlag.UNWINDING | (last ? ExceptionFlag.TARGET_UNWIND : 0);
      k.write('EXCEPTION_RECORD.ExceptionFlags', copy, flags);
      writeContext(k, at.context, before.registers);
      writeDispatcher(k, at, pc, found, targetIp);
      yield* k.callInt(found.handler, copy, found.establisher, at.context, at.dispatcher);
    }
    if (!last) continue;
    before.registers.rip = BigInt.asUintN(64, BigInt(targetIp));
    before.registers.gpr[0] = returnValue;
    thread.frames.splice(before.frame + 1);
    restoreRegisters(k.cpu, before.registers);
    yield { kind: 'jump' };
    throw new Error('a thread went on with frames that an unwind has left');
  }
}

/** Where the exception was: its context, and the machine code frame that its stack pointer lies in. */
function startOfUnwind(k: Windows, thread: Thread, context: Address | undefined): StackPlace {
  if (context === undefined) return { registers: captureRegisters(k.cpu), frame: topGuestFrame(thread) };
  const registers = readContext(k, context);
  const rsp = signed(registers.gpr[RSP]);
  // The stack grows down: the frame is the innermost one that was entered above this stack pointer.
  for (let i = thread.frames.length - 1; i >= 0; i--) {
    const frame = thread.frames[i];
    if (frame.kind === 'guest' && frame.mark.stack > rsp) return { registers, frame: i };
  }
  return { registers, frame: topGuestFrame(thread) };
}

/** __C_specific_handler: the scope table of a function compiled with __try. */
export function* cSpecificHandler(
  k: Windows,
  record: Address,
  frame: Address,
  context: Address,
  dispatcher: Address,
): Steps<number> {
  const CONTINUE_SEARCH = 1;
  const { memory } = k;
  const base = memory.ptr(dispatcher + DISPATCHER.IMAGE_BASE);
  const pc = memory.ptr(dispatcher + DISPATCHER.CONTROL_PC) - base;
  const table = memory.ptr(dispatcher + DISPATCHER.HANDLER_DATA);
  const count = Math.min(memory.u32(table), 4096);
  const flags = k.read('EXCEPTION_RECORD.ExceptionFlags', record);
  const unwinding = (flags & (ExceptionFlag.UNWINDING | ExceptionFlag.EXIT_UNWIND)) !== 0;
  for (let i = memory.u32(dispatcher + DISPATCHER.SCOPE_INDEX); i < count; i++) {
    const scope = table + 4 + i * 16;
    if (pc < memory.u32(scope) || pc >= memory.u32(scope + 4)) continue;
    const handler = memory.u32(scope + 8);
    const jump = memory.u32(scope + 12);
    if (unwinding) {
      const target = memory.ptr(dispatcher + DISPATCHER.TARGET_IP) - base;
      if ((flags & ExceptionFlag.TARGET_UNWIND) !== 0 && jump !== 0 && jump === target)
        return CONTINUE_SEARCH;
      if (jump !== 0) continue;
      memory.set32(dispatcher + DISPATCHER.SCOPE_INDEX, i + 1);
      yield* k.call(base + handler, 1, frame);
    } else if (jump !== 0) {
      const answer = handler === 1 ? 1 : yield* callFilter(k, base + handler, record, context, frame);
      if (answer < 0) return CONTINUE_EXECUTION;
      if (answer > 0) {
        const code = BigInt.asUintN(32, BigInt(k.read('EXCEPTION_RECORD.ExceptionCode', record)));
        yield* unwindTo(k, frame, base + jump, record, code, context);
      }
    }
  }
  return CONTINUE_SEARCH;
}

/** A filter gets EXCEPTION_POINTERS and the frame. */
function* callFilter(
  k: Windows,
  filter: Address,
  record: Address,
  context: Address,
  frame: Address,
): Steps<number> {
  const pointers = k.cpu.gpr(RSP) - 0x40;
  k.memory.setPtr(pointers, record);
  k.memory.setPtr(pointers + 8, context);
  const old = k.cpu.gpr(RSP);
  k.cpu.setGpr(RSP, pointers - 0x20);
  const answer = yield* k.callInt(filter, pointers, frame);
  k.cpu.setGpr(RSP, old);
  return answer;
}
