/** What XNU does when kernel code faults: it panics, and the machine stops (osfmk/i386/trap.c, osfmk/i386/AT386/model_dep.c). */
import type { Fault } from '../../kernel/scheduler.ts';
import type { Thread, ThreadKilled } from '../../kernel/thread.ts';
import { AreaError } from '../../memory/areas.ts';
import { FrameError, OutOfMemory } from '../../memory/frames.ts';
import { type Address, GuestFault, MappingError } from '../../memory/space.ts';
import { HeapMisuse } from './heap.ts';
import type { LoadedKext } from './kexts.ts';
import type { Macos } from './macos.ts';

/** trap_type of osfmk/i386/trap.c. */
const TRAP_NAMES: Readonly<Record<number, string>> = {
  0: 'divide error',
  1: 'debug trap',
  3: 'int3 trap',
  6: 'invalid opcode',
  7: 'no coprocessor',
  8: 'double fault',
  12: 'stack fault',
  13: 'general protection',
  14: 'page fault',
};
const GENERAL_PROTECTION = 13;
const PAGE_FAULT = 14;
const MISUSES = [HeapMisuse, FrameError, AreaError, MappingError, RangeError];
const MAX_FRAMES = 20;
/** x86 register numbers. */
const RCX = 1;
const RBP = 5;
const RSP = 4;

const hex = (value: number | bigint, digits = 16): string =>
  `0x${BigInt.asUintN(64, BigInt(value)).toString(16).padStart(digits, '0')}`;
/** A register or an address, as wide as the machine's. */
const word = (k: Macos, value: number | bigint): string => hex(value, k.word * 2);

export function judgeFault(k: Macos, thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
  if (fault.source === 'budget') {
    return {
      kill: k.panic(
        `panic(cpu 0 caller ${word(k, fault.at)}): "Spinlock or endless loop: the thread ${thread.name} never gave up the processor"`,
      ),
    };
  }
  const type = `${fault.vector}=${TRAP_NAMES[fault.vector] ?? 'unknown'}`;
  const caller = k.release.darwin.startsWith('9.') ? fault.at : k.gates.base;
  const head = `panic(cpu 0 caller ${word(k, caller)}): Kernel trap at ${word(k, fault.at)}, type ${type}, registers:`;
  const lines = [head, ...registers(k, fault), '', ...backtrace(k, fault.at)];
  const process = `BSD process name corresponding to current thread: ${k.process.name}`;
  lines.push('', process, '', 'Kernel version:', `Darwin Kernel Version ${k.release.darwin}`);
  return { kill: k.panic(lines.join('\n'), `${k.describe(fault.at)} ${cause(k, fault)}`) };
}

/** rdmsr and wrmsr behind their prefix. */
const MSR_OPCODES = [0x30, 0x32];

/** What the code did, in our words. */
function cause(k: Macos, fault: Fault): string {
  if (fault.vector === PAGE_FAULT) return `reached for ${word(k, fault.address)}, where nothing is mapped`;
  const [prefix, opcode] = k.memory.peek(fault.at, 2);
  if (fault.vector === GENERAL_PROTECTION && prefix === 0x0f && MSR_OPCODES.includes(opcode ?? 0))
    return `asked for the processor's register 0x${k.cpu.gpr(RCX).toString(16)}, which this processor does not have`;
  return `raised the exception ${TRAP_NAMES[fault.vector] ?? fault.vector}`;
}

/** Kernel functions that were handed what a real kernel would trust and go astray with. */
export function judgeMisuse(k: Macos, thread: Thread, error: unknown): ThreadKilled | undefined {
  if (error instanceof OutOfMemory)
    return k.panic(`panic(cpu 0 caller ${word(k, k.cpu.rip)}): "zalloc: out of memory (${error.message})"`);
  if (!(error instanceof Error) || !MISUSES.some((kind) => error instanceof kind)) return undefined;
  const where = k.boundName(k.cpu.rip) ?? thread.name;
  return k.panic(
    [
      `panic(cpu 0 caller ${word(k, k.caller())}): "${where}: ${error.message}"`,
      ...backtrace(k, k.cpu.rip),
    ].join('\n'),
  );
}

function registers(k: Macos, fault: Fault): string[] {
  const g = (number: number): string => word(k, k.cpu.gprBig(number));
  const address = fault.vector === 14 ? fault.address : 0n;
  if (k.word === 4) {
    const cr2 = word(k, address);
    return [
      `CR0: 0x8001003b, CR2: ${cr2}, CR3: 0x00100000, CR4: 0x00000660`,
      `EAX: ${g(0)}, EBX: ${g(3)}, ECX: ${g(1)}, EDX: ${g(2)}`,
      `CR2: ${cr2}, EBP: ${g(5)}, ESI: ${g(6)}, EDI: ${g(7)}`,
      `EFL: ${word(k, k.cpu.rflags)}, EIP: ${word(k, fault.at)}, CS:  0x00000008, DS:  0x00000010`,
      `Error code: ${word(k, fault.errorCode)}`,
    ];
  }
  return [
    `CR0: 0x000000008001003b, CR2: ${hex(address)}, CR3: 0x0000000000100000, CR4: 0x00000000000006e0`,
    `RAX: ${g(0)}, RBX: ${g(3)}, RCX: ${g(1)}, RDX: ${g(2)}`,
    `RSP: ${g(4)}, RBP: ${g(5)}, RSI: ${g(6)}, RDI: ${g(7)}`,
    `R8:  ${g(8)}, R9:  ${g(9)}, R10: ${g(10)}, R11: ${g(11)}`,
    `R12: ${g(12)}, R13: ${g(13)}, R14: ${g(14)}, R15: ${g(15)}`,
    `RFL: ${hex(k.cpu.rflags)}, RIP: ${hex(fault.at)}, CS:  0x0000000000000008, SS:  0x0000000000000010`,
    `Fault CR2: ${hex(address)}, Error code: ${hex(fault.errorCode)}, Fault CPU: 0x0`,
  ];
}

/** Words above a frame that may be arguments: 32-bit kernels show four (PRINT_ARGS_FROM_STACK_FRAME). */
function arguments32(k: Macos, frame: Address): string {
  const words = [0, 1, 2, 3].map((i) => hex(k.memory.u32(frame + 2 * k.word + i * k.word), 1));
  return `(${words.join(' ')}) `;
}

/** Frames along the chain of rbp, and the kexts they lie in with their dependencies. */
function backtrace(k: Macos, at: Address): string[] {
  const narrow = k.word === 4;
  const lines = [`Backtrace (CPU 0), Frame : Return Address${narrow ? ' (4 potential args on stack)' : ''}`];
  const seen = new Set<LoadedKext>();
  const note = (address: Address): void => {
    const kext = k.kexts.at(address);
    if (kext !== undefined) seen.add(kext);
  };
  note(at);
  let frame = k.cpu.gpr(RBP);
  const low = k.cpu.gpr(RSP) - 4096;
  try {
    for (let i = 0; i < MAX_FRAMES && frame > low && frame % k.word === 0; i++) {
      const back = k.memory.ptr(frame + k.word);
      const args = narrow ? arguments32(k, frame) : '';
      lines.push(`${word(k, frame)} : ${word(k, back)} ${args}${k.describeReturn(back)}`);
      note(back);
      const next = k.memory.ptr(frame);
      if (next <= frame) break;
      frame = next;
    }
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    lines.push('Backtrace terminated-invalid frame pointer');
  }
  if (seen.size > 0) lines.push('      Kernel Extensions in backtrace:', ...[...seen].flatMap(kextLines));
  return lines;
}

function kextLines(kext: LoadedKext): string[] {
  const line = ({ identifier, versionText, uuid, base, bytes }: LoadedKext): string =>
    `${identifier}(${versionText})[${uuid ?? '00000000-0000-0000-0000-000000000000'}]@${hex(base, 1)}->${hex(base + bytes - 1, 1)}`;
  const dependencies = kext.dependencies.filter(({ isKernelComponent }) => !isKernelComponent);
  return [`         ${line(kext)}`, ...dependencies.map((one) => `            dependency: ${line(one)}`)];
}
