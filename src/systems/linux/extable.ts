/**
 * Exception tables and bug tables of modules: what the kernel looks at when an instruction faults
 * (arch/x86/mm/extable.c, lib/bug.c). Both are read from guest memory when a fault happens.
 */
import type { Fault } from '../../kernel/scheduler.ts';
import type { Address } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import type { Linux } from './linux.ts';

/** Handler types of arch/x86/include/asm/extable_fixup_types.h. */
const EX = {
  NONE: 0,
  DEFAULT: 1,
  FAULT: 2,
  UACCESS: 3,
  COPY: 4,
  CLEAR_FS: 5,
  FPU_RESTORE: 6,
  BPF: 7,
  WRMSR: 8,
  RDMSR: 9,
  WRMSR_SAFE: 10,
  RDMSR_SAFE: 11,
  WRMSR_IN_MCE: 12,
  RDMSR_IN_MCE: 13,
  DEFAULT_MCE_SAFE: 14,
  FAULT_MCE_SAFE: 15,
  POP_REG: 16,
  IMM_REG: 17,
  FAULT_SGX: 18,
  UCOPY_LEN: 19,
  ZEROPAD: 20,
} as const;

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSP = 4;
const ENTRY_BYTES = 12;
/** EX_FLAG_CLEAR_AX and EX_FLAG_CLEAR_DX. */
const CLEAR_AX = 1;
const CLEAR_DX = 2;

interface Entry {
  readonly fixup: Address;
  readonly type: number;
  readonly register: number;
  readonly flags: number;
  /** Signed 16 bits. */
  readonly immediate: number;
}

/** Where execution goes on after a fault at `at`: sets the registers and returns true when a table has an entry. */
export function searchExceptionTable(k: Linux, at: Address, fault: Fault): boolean {
  const entry = findEntry(k, at);
  if (entry === undefined) return false;
  if (!handle(k, entry, fault)) return false;
  k.cpu.rip = entry.fixup;
  return true;
}

/** The entry of an instruction in a module's sorted table. */
function findEntry(k: Linux, at: Address): Entry | undefined {
  const module = k.modules.at(at);
  if (module === undefined) return undefined;
  const table = k.read('module.extable', module.control);
  let low = 0;
  let high = k.read('module.num_exentries', module.control);
  while (low < high) {
    const middle = (low + high) >> 1;
    const where = table + middle * ENTRY_BYTES;
    const instruction = where + k.memory.i32(where);
    if (instruction === at) return readEntry(k, where);
    if (instruction < at) low = middle + 1;
    else high = middle;
  }
  return undefined;
}

function readEntry(k: Linux, at: Address): Entry {
  const data = k.memory.i32(at + 8);
  return {
    fixup: at + 4 + k.memory.i32(at + 4),
    type: data & 0xff,
    register: (data >> 8) & 15,
    flags: (data >> 12) & 15,
    immediate: data >> 16,
  };
}

function handle(k: Linux, entry: Entry, fault: Fault): boolean {
  const { cpu } = k;
  if ((entry.flags & CLEAR_AX) !== 0) cpu.setGpr(RAX, 0);
  if ((entry.flags & CLEAR_DX) !== 0) cpu.setGpr(RDX, 0);
  switch (entry.type) {
    case EX.DEFAULT:
    case EX.DEFAULT_MCE_SAFE:
    case EX.UACCESS:
    case EX.COPY:
    case EX.CLEAR_FS:
    case EX.BPF:
      return true;
    case EX.FAULT:
    case EX.FAULT_MCE_SAFE:
    case EX.FAULT_SGX:
      cpu.setGpr(RAX, fault.vector);
      return true;
    case EX.POP_REG:
      cpu.setGpr(RSP, cpu.gpr(RSP) + k.word);
      cpu.setGpr(entry.register, entry.immediate);
      return true;
    case EX.IMM_REG:
      cpu.setGpr(entry.register, entry.immediate);
      return true;
    case EX.UCOPY_LEN:
      cpu.setGpr(RCX, entry.immediate * cpu.gpr(RCX) + cpu.gpr(entry.register));
      return true;
    case EX.ZEROPAD:
      return zeroPad(k, fault);
    default:
      return handleMsr(k, entry);
  }
}

function handleMsr(k: Linux, entry: Entry): boolean {
  const { cpu } = k;
  const number = (cpu.gpr(RCX) >>> 0).toString(16);
  switch (entry.type) {
    case EX.WRMSR:
      k.printk(4, `unchecked MSR access error: WRMSR to 0x${number}`);
      return true;
    case EX.RDMSR:
      k.printk(4, `unchecked MSR access error: RDMSR from 0x${number}`);
      cpu.setGpr(RAX, 0);
      cpu.setGpr(RDX, 0);
      return true;
    case EX.WRMSR_SAFE:
    case EX.RDMSR_SAFE:
      cpu.setGpr(entry.register, -Errno.EIO);
      return true;
    default:
      return false;
  }
}

/**
 * load_unaligned_zeropad: a load of a word `mov disp(%base), %reg` that runs into a page that is not there gets the
 * bytes before it, and zeros.
 */
function zeroPad(k: Linux, fault: Fault): boolean {
  const { cpu, memory, word: size } = k;
  const rex = size === 8 ? memory.u8(fault.at) : 0;
  const opcode = size === 8 ? fault.at + 1 : fault.at;
  if ((size === 8 && (rex & 0xf8) !== 0x48) || memory.u8(opcode) !== 0x8b) return false;
  const modrm = memory.u8(opcode + 1);
  const base = (modrm & 7) | ((rex & 1) << 3);
  if (modrm >> 6 > 1 || (modrm & 7) === 4 || (modrm >> 6 === 0 && (modrm & 7) === 5)) return false;
  const displacement = modrm >> 6 === 1 ? (memory.u8(opcode + 2) << 24) >> 24 : 0;
  const address = cpu.wrap(cpu.gpr(base) + displacement);
  const offset = ((address % size) + size) % size;
  const word = memory.ulong(address - offset);
  cpu.setGprBig(((modrm >> 3) & 7) | ((rex & 4) << 1), word >> BigInt(offset * 8));
  return true;
}

/** An entry of `__bug_table`. */
export interface Bug {
  /** Source file, when the kernel keeps names (CONFIG_DEBUG_BUGVERBOSE). */
  readonly file: string | undefined;
  readonly line: number;
  readonly warning: boolean;
  /** WARN_ONCE that has spoken already: execution just goes on. */
  readonly repeated: boolean;
  /** BUGFLAG_NO_CUT_HERE: the text and the cut line were printed already, by __warn_printk. */
  readonly noCutHere: boolean;
  /** Bit number to set for a warning. */
  readonly taint: number;
  /** Bytes of the trapping instruction, ud2. */
  readonly length: number;
}

const BUG_WARNING = 1;
const BUG_ONCE = 2;
const BUG_DONE = 4;
const BUG_NO_CUT_HERE = 8;

/** find_bug and the once-only part of report_bug: the entry of the trapping instruction at `at`. */
export function findBug(k: Linux, at: Address): Bug | undefined {
  const module = k.modules.at(at);
  if (module === undefined) return undefined;
  const table = k.read('module.bug_table', module.control);
  const count = k.read('module.num_bugs', module.control);
  const size = k.sizeof('bug_entry');
  const relative = k.types.has('bug_entry.bug_addr_disp');
  const path = relative ? 'bug_entry.bug_addr_disp' : 'bug_entry.bug_addr';
  const pointer = k.offset(path);
  for (let i = 0; i < count; i++) {
    const entry = table + i * size;
    const value = k.read(path, entry);
    if ((relative ? entry + pointer + value : value) === at) return readBug(k, entry);
  }
  return undefined;
}

function readBug(k: Linux, entry: Address): Bug {
  const flags = k.read('bug_entry.flags', entry);
  const warning = (flags & BUG_WARNING) !== 0;
  const once = warning && (flags & BUG_ONCE) !== 0;
  if (once) k.write('bug_entry.flags', entry, flags | BUG_DONE);
  return {
    file: bugFile(k, entry),
    line: k.types.has('bug_entry.line') ? k.read('bug_entry.line', entry) : 0,
    warning,
    repeated: once && (flags & BUG_DONE) !== 0,
    noCutHere: (flags & BUG_NO_CUT_HERE) !== 0,
    taint: flags >> 8,
    length: 2,
  };
}

function bugFile(k: Linux, entry: Address): string | undefined {
  if (k.types.has('bug_entry.file_disp')) {
    const at = entry + k.offset('bug_entry.file_disp');
    return k.memory.cstring(at + k.memory.i32(at), 4096);
  }
  if (!k.types.has('bug_entry.file')) return undefined;
  const at = k.read('bug_entry.file', entry);
  return at === 0 ? undefined : k.memory.cstring(at, 4096);
}
