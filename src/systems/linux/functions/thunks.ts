/**
 * Machine code of our own at exported addresses: thunks that no C prototype describes (return and indirect-jump
 * thunks, paravirtual operations, trampolines of static calls), and entries with register rules of their own.
 */
import { plainSignature } from '../../../abi/convention.ts';
import { registerName } from '../../../cpu/x86/print.ts';
import type { FunctionTable, KernelFunction } from '../../../kernel/functions.ts';
import { toBig } from '../../../memory/address.ts';
import { type Address, GuestFault } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { accessOk } from '../user.ts';
import { kernelBug } from './caller.ts';
import { kernelFunctions } from './define.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RDI = 7;

const RET = [0xc3];
/** Registers by hardware number. */
const REGISTERS = Array.from({ length: 16 }, (_, n) => registerName(n, 8));
const SHORT_REGISTERS = Array.from({ length: 8 }, (_, n) => registerName(n, 4));

const code = (symbol: string, bytes: readonly number[], bits?: 32 | 64): DataInitialiser => ({
  symbol,
  bits,
  when: 'import',
  fill: (k, at) => k.placeCode(at, Uint8Array.from(bytes)),
});

/** An entry that reads and writes registers itself, and then returns to its caller. */
const raw = (symbol: string, run: (k: Linux) => void): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) =>
    k.bindRaw(symbol, at, () => {
      run(k);
      k.convention.finish(k.cpu, plainSignature(symbol, 'void'), undefined);
    }),
});

/** jmp *REG, then int3 against straight-line speculation, as the kernel's own thunks end. */
function indirectThunk(register: number): number[] {
  return [...(register >= 8 ? [0x41] : []), 0xff, 0xe0 | (register & 7), 0xcc];
}

/** __get_user_N: address in rax; value in rdx, 0 or -EFAULT in eax (arch/x86/lib/getuser.S). */
function getUser(symbol: string, bytes: 1 | 2 | 4 | 8, checked: boolean): DataInitialiser {
  return raw(symbol, (k) => {
    const at = k.cpu.gpr(RAX);
    let value = 0n;
    let error = 0;
    try {
      if (checked && !accessOk(k, at, bytes)) throw new GuestFault(at, 'read', bytes, 'protection');
      value = readSized(k, at, bytes);
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault;
      error = -Errno.EFAULT;
    }
    k.cpu.setGprBig(RDX, value);
    // Eight bytes take two registers of a 32-bit kernel.
    if (k.word === 4 && bytes === 8) k.cpu.setGprBig(RCX, value >> 32n);
    k.cpu.setGpr(RAX, error);
  });
}

function readSized(k: Linux, at: Address, bytes: number): bigint {
  if (bytes === 8) return k.memory.u64(at);
  if (bytes === 4) return BigInt(k.memory.u32(at));
  return BigInt(bytes === 2 ? k.memory.u16(at) : k.memory.u8(at));
}

/** __put_user_N: value in rax, address in rcx; 0 or -EFAULT in ecx (arch/x86/lib/putuser.S). */
function putUser(symbol: string, bytes: 1 | 2 | 4 | 8, checked: boolean): DataInitialiser {
  return raw(symbol, (k) => {
    const at = k.cpu.gpr(RCX);
    const high = k.word === 4 ? k.cpu.gprBig(RDX) << 32n : 0n;
    const value = k.cpu.gprBig(RAX) | high;
    let error = 0;
    try {
      if (checked && !accessOk(k, at, bytes)) throw new GuestFault(at, 'write', bytes, 'protection');
      writeSized(k, at, bytes, value);
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault;
      error = -Errno.EFAULT;
    }
    k.cpu.setGpr(RCX, error);
  });
}

function writeSized(k: Linux, at: Address, bytes: number, value: bigint): void {
  const low = Number(BigInt.asIntN(32, value));
  if (bytes === 8) k.memory.setU64(at, value);
  else if (bytes === 4) k.memory.set32(at, low);
  else if (bytes === 2) k.memory.set16(at, low & 0xffff);
  else k.memory.set8(at, low & 0xff);
}

/** clear_user's work: address in rdi, bytes in rcx; what was not cleared stays in rcx. */
function clearUser(symbol: string): DataInitialiser {
  return raw(symbol, (k) => {
    let at = k.cpu.gpr(RDI);
    let left = k.cpu.gpr(RCX);
    try {
      while (left > 0) {
        const size = Math.min(left, 4096 - (at & 4095));
        k.memory.fill(at, size, 0);
        at += size;
        left -= size;
      }
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault;
    }
    k.cpu.setGpr(RDI, at);
    k.cpu.setGpr(RCX, left);
    k.cpu.setGpr(RAX, 0);
  });
}

/** Population count of the low `bits` of rdi, or eax of 32-bit kernels, into rax; every other register stays (arch/x86/lib/hweight.S). */
function hweight(symbol: string, bits: number): DataInitialiser {
  return raw(symbol, (k) => {
    let count = 0;
    const value = k.word === 8 ? k.cpu.gprBig(RDI) : (k.cpu.gprBig(RDX) << 32n) | k.cpu.gprBig(RAX);
    for (let rest = BigInt.asUintN(bits, value); rest !== 0n; rest &= rest - 1n) count++;
    k.cpu.setGpr(RAX, count);
  });
}

/** Up to this many bytes the string instruction is quicker than leaving for TypeScript: cmp $0x200, %rdx. */
const SHORT_COPY = [0x48, 0x81, 0xfa, 0x00, 0x02, 0x00, 0x00];

/** mov %rdi,%rax; cmp; ja large; mov %rdx,%rcx; rep movsb; ret; int3; large: jmp ... */
const MEMCPY = [0x48, 0x89, 0xf8, ...SHORT_COPY, 0x77, 0x07, 0x48, 0x89, 0xd1, 0xf3, 0xa4, 0xc3, 0xcc];
/** mov %rdi,%r9; cmp; ja large; mov %rdx,%rcx; mov %esi,%eax; rep stosb; mov %r9,%rax; ret; int3; large: jmp ... */
const MEMSET = [
  0x49,
  0x89,
  0xf9,
  ...SHORT_COPY,
  0x77,
  0x0c,
  0x48,
  0x89,
  0xd1,
  0x89,
  0xf0,
  0xf3,
  0xaa,
  0x4c,
  0x89,
  0xc8,
  0xc3,
  0xcc,
];

const large = kernelFunctions({
  'void *memcpy(void *dest, const void *src, size_t n)': (k, dest, src, n) => {
    checkSize(k, n);
    k.memory.copy(dest, src, n);
    return dest;
  },
  'void *memset(void *s, int c, size_t n)': (k, s, c, n) => {
    checkSize(k, n);
    k.memory.fill(s, n, c & 0xff);
    return s;
  },
});

/** A length above 2^53, or negative as a signed number, would run over everything: fault where the real one would. */
function checkSize(k: Linux, n: number): void {
  if (n < 0 || n > Number.MAX_SAFE_INTEGER) kernelBug(k, 'arch/x86/lib/memcpy_64.S');
}

const withLarge = (symbol: string, body: readonly number[], handler: string): DataInitialiser => ({
  symbol,
  bits: 64,
  when: 'import',
  fill: (k, at) => {
    const gate = k.gate(handler, entry(large, handler));
    const jump = at + body.length;
    const distance = gate - (jump + 5);
    const relative = [0, 8, 16, 24].map((shift) => (distance >> shift) & 0xff);
    k.placeCode(at, Uint8Array.from([...body, 0xe9, ...relative]));
  },
});

/** 32-bit kernels: the function as it is. */
const whole = (symbol: string): DataInitialiser => ({
  symbol,
  bits: 32,
  when: 'import',
  fill: (k, at) => k.bind(symbol, at, entry(large, symbol) as KernelFunction<never>),
});

function entry(table: FunctionTable<Linux>, name: string) {
  const found = table.get(name);
  if (found === undefined) throw new Error(`${name} is not in its own table`);
  return found;
}

export const thunks: readonly DataInitialiser[] = [
  code('__fentry__', RET),
  code('__x86_return_thunk', [...RET, 0xcc]),
  code('entry_ibpb', RET),
  code('entry_untrain_ret', RET),
  ...REGISTERS.map((name, n) => code(`__x86_indirect_thunk_${name}`, indirectThunk(n), 64)),
  ...SHORT_REGISTERS.map((name, n) => code(`__x86_indirect_thunk_${name}`, indirectThunk(n), 32)),
  // With voluntary preemption these static calls lead nowhere (kernel/sched/core.c, PREEMPT_DYNAMIC).
  code('__SCT__preempt_schedule', RET),
  code('__SCT__preempt_schedule_notrace', RET),
  code('preempt_schedule_thunk', RET),
  code('preempt_schedule_notrace_thunk', RET),
  whole('memcpy'),
  whole('memset'),
  withLarge('memcpy', MEMCPY, 'memcpy'),
  withLarge('__memcpy', MEMCPY, 'memcpy'),
  withLarge('memset', MEMSET, 'memset'),
  withLarge('__memset', MEMSET, 'memset'),
  ...([1, 2, 4, 8] as const).flatMap((bytes) => [
    getUser(`__get_user_${bytes}`, bytes, true),
    getUser(`__get_user_nocheck_${bytes}`, bytes, false),
    putUser(`__put_user_${bytes}`, bytes, true),
    putUser(`__put_user_nocheck_${bytes}`, bytes, false),
  ]),
  clearUser('clear_user_original'),
  clearUser('clear_user_rep_good'),
  clearUser('clear_user_erms'),
  hweight('__sw_hweight32', 32),
  hweight('__sw_hweight64', 64),
];

/** Paravirtual operations whose bytes mean the same in either mode. */
const PV_CODE_BOTH: Readonly<Record<string, readonly number[]>> = {
  'irq.save_fl.func': [0x9c, 0x58, 0xc3],
  'irq.irq_disable.func': [0xfa, 0xc3],
  'irq.irq_enable.func': [0xfb, 0xc3],
  'irq.safe_halt': [0xfb, 0xf4, 0xc3],
  'irq.halt': [0xf4, 0xc3],
  // out %al,$0x80
  'cpu.io_delay': [0xe6, 0x80, 0xc3],
  'cpu.wbinvd': [0x0f, 0x09, 0xc3],
  'mmu.read_cr2.func': [0x0f, 0x20, 0xd0, 0xc3],
  // xor %eax,%eax; ret
  'lock.vcpu_is_preempted.func': [0x31, 0xc0, 0xc3],
};

/** Native paravirtual operations by their place in pv_ops, each a few instructions that keep all other registers. */
const PV_CODE: Readonly<Record<string, readonly number[]>> = {
  ...PV_CODE_BOTH,
  // mov %cr0,%rax and mov %rdi,%cr0
  'cpu.read_cr0': [0x0f, 0x20, 0xc0, 0xc3],
  'cpu.write_cr0': [0x0f, 0x22, 0xc7, 0xc3],
  // push %rbx; the four pointers to r8-r11; cpuid; store; pop; ret
  'cpu.cpuid': [
    0x53, 0x49, 0x89, 0xd0, 0x49, 0x89, 0xc9, 0x49, 0x89, 0xf2, 0x49, 0x89, 0xfb, 0x41, 0x8b, 0x03, 0x41,
    0x8b, 0x08, 0x0f, 0xa2, 0x41, 0x89, 0x03, 0x41, 0x89, 0x1a, 0x41, 0x89, 0x08, 0x41, 0x89, 0x11, 0x5b,
    0xc3,
  ],
  // mov %edi,%ecx; rdmsr; shl $32,%rdx; or %rdx,%rax; ret
  'cpu.read_msr': [0x89, 0xf9, 0x0f, 0x32, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3],
  // mov %edi,%ecx; mov %esi,%eax; wrmsr; ret
  'cpu.write_msr': [0x89, 0xf9, 0x89, 0xf0, 0x0f, 0x30, 0xc3],
  // movb $0,(%rdi); ret
  'lock.queued_spin_unlock.func': [0xc6, 0x07, 0x00, 0xc3],
};

/** The same with arguments in eax, edx and ecx. */
const PV_CODE_32: Readonly<Record<string, readonly number[]>> = {
  ...PV_CODE_BOTH,
  'cpu.read_cr0': [0x0f, 0x20, 0xc0, 0xc3],
  'cpu.write_cr0': [0x0f, 0x22, 0xc0, 0xc3],
  // push four registers; three of the pointers to esi, edi, ebp; cpuid; store, the fourth from the stack; pop; ret
  'cpu.cpuid': [
    0x53, 0x56, 0x57, 0x55, 0x89, 0xc6, 0x89, 0xd7, 0x89, 0xcd, 0x8b, 0x06, 0x8b, 0x4d, 0x00, 0x0f, 0xa2,
    0x89, 0x06, 0x89, 0x1f, 0x89, 0x4d, 0x00, 0x8b, 0x4c, 0x24, 0x14, 0x89, 0x11, 0x5d, 0x5f, 0x5e, 0x5b,
    0xc3,
  ],
  // mov %eax,%ecx; rdmsr; ret
  'cpu.read_msr': [0x89, 0xc1, 0x0f, 0x32, 0xc3],
  // xchg %eax,%ecx; xchg %eax,%edx; wrmsr; ret
  'cpu.write_msr': [0x91, 0x92, 0x0f, 0x30, 0xc3],
  // movb $0,(%eax); ret
  'lock.queued_spin_unlock.func': [0xc6, 0x00, 0x00, 0xc3],
};

/** Page table entries need no translation on real hardware: mov %rdi,%rax; ret. On 32 bits they are where they should be. */
const IDENTITY = [0x48, 0x89, 0xf8, 0xc3];
const IDENTITIES = ['pte', 'pgd', 'pmd', 'pud', 'p4d'].flatMap((level) => [
  `mmu.${level}_val.func`,
  `mmu.make_${level}.func`,
]);

export const paravirtual: readonly DataInitialiser[] = [
  {
    symbol: 'pv_ops',
    when: 'import',
    fill: (k, at) => {
      const wide = k.word === 8;
      const place = (path: string, bytes: readonly number[]) => {
        // The levels of page tables differ.
        if (!k.types.has(`paravirt_patch_template.${path}`)) return;
        const gate = k.takeGate(bytes.length);
        k.placeCode(gate, Uint8Array.from(bytes));
        pokePointer(k, at + k.offset(`paravirt_patch_template.${path}`), gate);
      };
      for (const [path, bytes] of Object.entries(wide ? PV_CODE : PV_CODE_32)) place(path, bytes);
      for (const path of IDENTITIES) place(path, wide ? IDENTITY : RET);
    },
  },
];

/** Writes a pointer wherever it lies, read-only pages included. */
export function pokePointer(k: Linux, at: Address, value: Address): void {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setBigUint64(0, toBig(value), true);
  k.memory.poke(at, new Uint8Array(bytes.buffer, 0, k.word));
}
