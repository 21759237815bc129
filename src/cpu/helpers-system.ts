/** Instructions about the machine: identification, clocks, model-specific registers, privilege, flags. */
import {
  type HelperCall,
  type HelperFunction,
  type HelperHost,
  nextOf,
  readMxcsr,
  Vector,
} from './helper-host.ts';

import { Helper, Reg } from './ir.ts';
import { ARITHMETIC, FLAG } from './state.ts';

const EXIT = { BUDGET: 2, HALT: 4, INTERRUPT: 5, SYSCALL: 6 } as const;
const MSR = { FS_BASE: 0xc0000100, GS_BASE: 0xc0000101, KERNEL_GS_BASE: 0xc0000102 } as const;
/** Flags that popf and iret may change at privilege 0. */
const POPPED = ARITHMETIC | FLAG.TF | FLAG.IF | FLAG.DF | FLAG.IOPL | FLAG.NT | FLAG.AC | FLAG.ID;
const USER_SELECTORS = { cs: 0x33, ss: 0x2b } as const;

/** The other GS base, that swapgs brings in: part of the machine, not of a thread. */
const kernelGs = new WeakMap<HelperHost, bigint>();

const low = (value: bigint): bigint => BigInt.asUintN(32, value);
const set32 = (host: HelperHost, register: number, value: number): void => host.setGpr(register, value >>> 0);

function setPair(host: HelperHost, value: bigint): void {
  host.setGprBig(Reg.RAX, low(value));
  host.setGprBig(Reg.RDX, low(value >> 32n));
}

const pair = (host: HelperHost): bigint => (low(host.gprBig(Reg.RDX)) << 32n) | low(host.gprBig(Reg.RAX));

/** Only at privilege 0; elsewhere #GP(0). */
const privileged =
  (run: HelperFunction): HelperFunction =>
  (call) =>
    call.host.cpl === 0 ? run(call) : call.host.raise(Vector.GP);

function cpuid({ host }: HelperCall): void {
  const leaf = Number(low(host.gprBig(Reg.RAX)));
  const subleaf = Number(low(host.gprBig(Reg.RCX)));
  const { eax, ebx, ecx, edx } = host.machine.cpuid(leaf, subleaf);
  set32(host, Reg.RAX, eax);
  set32(host, Reg.RBX, ebx);
  set32(host, Reg.RCX, ecx);
  set32(host, Reg.RDX, edx);
}

function readMsr({ host }: HelperCall): number | undefined {
  const index = Number(low(host.gprBig(Reg.RCX)));
  const value =
    index === MSR.FS_BASE
      ? host.gprBig(Reg.FS)
      : index === MSR.GS_BASE
        ? host.gprBig(Reg.GS)
        : index === MSR.KERNEL_GS_BASE
          ? (kernelGs.get(host) ?? 0n)
          : host.machine.rdmsr(index);
  if (value === undefined) return host.raise(Vector.GP);
  setPair(host, value);
}

const canonical = (value: bigint): boolean => BigInt.asIntN(48, value) === BigInt.asIntN(64, value);

function writeMsr({ host }: HelperCall): number | undefined {
  const index = Number(low(host.gprBig(Reg.RCX)));
  const value = pair(host);
  const base = index === MSR.FS_BASE || index === MSR.GS_BASE || index === MSR.KERNEL_GS_BASE;
  if (base && !canonical(value)) return host.raise(Vector.GP);
  if (index === MSR.FS_BASE) host.setGprBig(Reg.FS, value);
  else if (index === MSR.GS_BASE) host.setGprBig(Reg.GS, value);
  else if (index === MSR.KERNEL_GS_BASE) kernelGs.set(host, value);
  else if (!host.machine.wrmsr(index, value)) return host.raise(Vector.GP);
}

const portOf = ({ host, a, imm }: HelperCall): number =>
  a === Reg.ZERO ? imm & 0xffff : Number(host.gprBig(a) & 0xffffn);

function portIn(call: HelperCall): void {
  const { host, size } = call;
  const value = host.machine.in(portOf(call), size) >>> 0;
  if (size === 4) set32(host, Reg.RAX, value);
  else {
    const mask = size === 1 ? 0xffn : 0xffffn;
    host.setGprBig(Reg.RAX, (host.gprBig(Reg.RAX) & ~mask) | (BigInt(value) & mask));
  }
}

function portOut(call: HelperCall): void {
  const { host, size } = call;
  const value = Number(BigInt.asUintN(size * 8, host.gprBig(Reg.RAX)));
  host.machine.out(portOf(call), size, value);
}

function interrupt(call: HelperCall): number {
  const { host, imm } = call;
  host.rip = nextOf(call);
  host.setVector(imm & 0xff);
  return host.leaveWith(EXIT.INTERRUPT);
}

/** The return address is for the two sides to agree on: the instruction itself saves none. */
function sysenter(call: HelperCall): number {
  call.host.rip = nextOf(call);
  return call.host.leaveWith(EXIT.SYSCALL);
}

/** rcx = return address, r11 = flags (SDM volume 2, SYSCALL). */
function syscall(call: HelperCall): number {
  const { host } = call;
  const next = nextOf(call);
  host.setGpr(Reg.RCX, next);
  host.setGpr(Reg.R11, host.rflags >>> 0);
  host.rip = next;
  return host.leaveWith(EXIT.SYSCALL);
}

function sysret({ host, size }: HelperCall): number {
  const target = size === 4 ? low(host.gprBig(Reg.RCX)) : host.gprBig(Reg.RCX);
  if (!canonical(target)) return host.raise(Vector.GP);
  host.rflags = Number(low(host.gprBig(Reg.R11))) & (POPPED | 2);
  host.segments[1] = USER_SELECTORS.cs;
  host.segments[2] = USER_SELECTORS.ss;
  host.rip = Number(BigInt.asIntN(64, target));
  host.cpl = 3;
  return host.leaveWith(undefined);
}

/** Pops rip, cs, flags, rsp, ss. */
function interruptReturn({ host, size }: HelperCall): number {
  if (host.bits === 32) return interruptReturn32(host, size);
  if (size !== 8) return host.raise(Vector.GP);
  const { memory } = host;
  const at = host.gpr(Reg.RSP);
  const [rip, cs, flags, rsp, ss] = [0, 8, 16, 24, 32].map((offset) => memory.u64(at + offset));
  if (!canonical(rip)) return host.raise(Vector.GP);
  const target = Number(cs & 3n);
  if (target < host.cpl) return host.raise(Vector.GP, Number(cs & 0xfffcn));
  host.rip = Number(BigInt.asIntN(64, rip));
  host.segments[1] = Number(cs & 0xffffn);
  host.segments[2] = Number(ss & 0xffffn);
  host.setGprBig(Reg.RSP, rsp);
  setFlags(host, Number(flags & 0xffffffn));
  host.cpl = target;
  return host.leaveWith(undefined);
}

/** Pops eip, cs, flags; and esp, ss on the way to a lower privilege. */
function interruptReturn32(host: HelperHost, size: number): number {
  if (size !== 4) return host.raise(Vector.GP);
  const at = host.gpr(Reg.RSP);
  const word = (n: number): number => host.memory.u32(host.wrap(at + n * 4));
  const [rip, cs, flags] = [word(0), word(1) & 0xffff, word(2)];
  const target = cs & 3;
  if (target < host.cpl) return host.raise(Vector.GP, cs & 0xfffc);
  const outward = target > host.cpl;
  const [rsp, ss] = outward ? [word(3), word(4) & 0xffff] : [host.wrap(at + 12), host.segments[2]];
  host.rip = rip;
  host.segments[1] = cs;
  host.segments[2] = ss;
  host.setGpr(Reg.RSP, rsp);
  setFlags(host, flags & 0xffffff);
  host.cpl = target;
  return host.leaveWith(undefined);
}

/** What the privilege allows of a new flags value. */
function setFlags(host: HelperHost, value: number): void {
  const old = host.rflags;
  const iopl = (old & FLAG.IOPL) >> 12;
  let allowed = POPPED;
  if (host.cpl > 0) allowed &= ~FLAG.IOPL;
  if (host.cpl > iopl) allowed &= ~FLAG.IF;
  host.rflags = (old & ~allowed) | (value & allowed);
}

function pushFlags({ host, size }: HelperCall): void {
  const at = host.wrap(host.gpr(Reg.RSP) - size);
  // RF and VM read as 0.
  const value = host.rflags & ~FLAG.RF;
  if (size === 8) host.memory.setU64(at, BigInt(value >>> 0));
  else if (size === 4) host.memory.set32(at, value);
  else host.memory.set16(at, value);
  host.setGpr(Reg.RSP, at);
}

function popFlags({ host, size }: HelperCall): void {
  const at = host.gpr(Reg.RSP);
  const { memory } = host;
  let value: number;
  if (size === 8) value = Number(low(memory.u64(at)));
  else value = size === 4 ? memory.u32(at) : memory.u16(at) | (host.rflags & 0xffff0000);
  setFlags(host, value);
  host.setGpr(Reg.RSP, at + size);
}

function changeFlag(flag: number, on: boolean): HelperFunction {
  return ({ host }) => {
    host.rflags = on ? host.rflags | flag : host.rflags & ~flag;
  };
}

/** cli and sti: allowed where the privilege is at least IOPL. */
function interruptFlag(on: boolean): HelperFunction {
  return ({ host }) => {
    if (host.cpl > (host.rflags & FLAG.IOPL) >> 12) return host.raise(Vector.GP);
    host.rflags = on ? host.rflags | FLAG.IF : host.rflags & ~FLAG.IF;
  };
}

const AH_FLAGS = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF;

function flagsToAh({ host }: HelperCall): void {
  const rax = host.gprBig(Reg.RAX);
  host.setGprBig(Reg.RAX, (rax & ~0xff00n) | (BigInt((host.rflags & AH_FLAGS) | 2) << 8n));
}

function ahToFlags({ host }: HelperCall): void {
  const ah = Number((host.gprBig(Reg.RAX) >> 8n) & 0xffn);
  host.rflags = (host.rflags & ~AH_FLAGS) | (ah & AH_FLAGS);
}

function enter({ host, imm }: HelperCall): number | undefined {
  const frame = imm & 0xffff;
  const level = (imm >> 16) & 31;
  if (level !== 0) return host.raise(Vector.UD);
  const at = host.wrap(host.gpr(Reg.RSP) - host.bits / 8);
  if (host.bits === 64) host.memory.setU64(at, host.gprBig(Reg.RBP));
  else host.memory.set32(at, host.gpr(Reg.RBP));
  // The far end of the frame must be writable too (SDM, ENTER: #PF); hardware has pushed rbp by then.
  host.memory.hostOffset(host.wrap(at - frame), 'write');
  host.setGpr(Reg.RBP, at);
  host.setGpr(Reg.RSP, at - frame);
}

function swapGs({ host }: HelperCall): void {
  const other = kernelGs.get(host) ?? 0n;
  kernelGs.set(host, host.gprBig(Reg.GS));
  host.setGprBig(Reg.GS, other);
}

function segmentBase({ host, size, a, imm }: HelperCall): number | undefined {
  const register = (imm & 1) === 0 ? Reg.FS : Reg.GS;
  if (imm < 2) {
    const value = host.gprBig(register);
    host.setGprBig(a, size === 4 ? low(value) : value);
    return;
  }
  const value = size === 4 ? low(host.gprBig(a)) : host.gprBig(a);
  if (!canonical(value)) return host.raise(Vector.GP);
  host.setGprBig(register, value);
}

function timeStamp({ host }: HelperCall): void {
  setPair(host, host.machine.tsc());
}

/** CF = 1: a number was there. A machine without a source says so by CF = 0, as hardware may. */
function random({ host, size, a }: HelperCall): void {
  const value = host.machine.random?.();
  const bits = size * 8;
  const result = value === undefined ? 0n : BigInt.asUintN(bits, value);
  const kept = size === 2 ? host.gprBig(a) & ~0xffffn : 0n;
  host.setGprBig(a, kept | result);
  host.rflags = (host.rflags & ~ARITHMETIC) | (value === undefined ? 0 : FLAG.CF);
}

function readControl({ host, a, imm }: Pick<HelperCall, 'host' | 'a' | 'imm'>): number | undefined {
  const value = host.machine.readControl?.(imm);
  if (value === undefined) return host.raise(Vector.GP);
  host.setGprBig(a, value);
}

function writeControl(call: HelperCall): number {
  const { host, a, imm } = call;
  if (host.machine.writeControl === undefined) return host.raise(Vector.GP);
  host.machine.writeControl(imm, host.gprBig(a));
  if (imm === 3) host.memory.flushTlb();
  host.rip = nextOf(call);
  return host.leaveWith(undefined);
}

const CR0 = { MACHINE_STATUS: 0xfn, PROTECTED: 1n, TASK_SWITCHED: 8n } as const;

/** clts and lmsw: a few bits of CR0; protected mode is never left. */
const changeStatus =
  (change: (cr0: bigint, call: HelperCall) => bigint): HelperFunction =>
  (call) => {
    const { machine } = call.host;
    const cr0 = machine.readControl?.(0);
    if (cr0 === undefined) return call.host.raise(Vector.GP);
    machine.writeControl?.(0, change(cr0, call));
  };
const clearTaskSwitched = changeStatus((cr0) => cr0 & ~CR0.TASK_SWITCHED);
const loadStatus = changeStatus(
  (cr0, { host, a }) =>
    (cr0 & ~(CR0.MACHINE_STATUS & ~CR0.PROTECTED)) | (host.gprBig(a) & CR0.MACHINE_STATUS),
);

/** No performance counter is offered (cpuid leaf 10): whatever number is asked for, it is none. */
const noCounter: HelperFunction = ({ host }) => host.raise(Vector.GP);

const nothing: HelperFunction = () => {};

export const systemHelpers: readonly (readonly [number, HelperFunction])[] = [
  [Helper.CPUID, cpuid],
  [Helper.RDTSC, timeStamp],
  [
    Helper.RDTSCP,
    (call) => {
      timeStamp(call);
      set32(call.host, Reg.RCX, call.host.machine.processorId ?? 0);
    },
  ],
  [Helper.RDPID, ({ host, a }) => host.setGpr(a, host.machine.processorId ?? 0)],
  [Helper.RDMSR, privileged(readMsr)],
  [Helper.WRMSR, privileged(writeMsr)],
  [Helper.IN, privileged(portIn)],
  [Helper.OUT, privileged(portOut)],
  [
    Helper.HLT,
    privileged((call) => {
      call.host.rip = nextOf(call);
      return call.host.leaveWith(EXIT.HALT);
    }),
  ],
  [Helper.INT, interrupt],
  [Helper.SYSCALL, syscall],
  [Helper.SYSENTER, sysenter],
  [Helper.SYSRET, privileged(sysret)],
  [Helper.IRET, interruptReturn],
  [Helper.SWAPGS, privileged(swapGs)],
  [Helper.INVLPG, privileged(({ host }) => host.memory.flushTlb())],
  [Helper.INVPCID, privileged(({ host }) => host.memory.flushTlb())],
  [Helper.WBINVD, privileged(nothing)],
  [Helper.SERIALIZE, nothing],
  [Helper.READ_CR, privileged(readControl)],
  [Helper.WRITE_CR, privileged(writeControl)],
  [Helper.CLTS, privileged(clearTaskSwitched)],
  [Helper.LMSW, privileged(loadStatus)],
  [Helper.SMSW, ({ host, a }) => readControl({ host, a, imm: 0 })],
  [Helper.RDPMC, noCounter],
  [Helper.STMXCSR, ({ host, a }) => host.memory.set32(host.gpr(a), readMxcsr(host))],
  [Helper.READ_SEGMENT, ({ host, a, imm }) => host.setGpr(a, host.segments[imm])],
  [Helper.WRITE_SEGMENT, writeSegment],
  [Helper.FSGSBASE, segmentBase],
  [Helper.CLI, interruptFlag(false)],
  [Helper.STI, interruptFlag(true)],
  [Helper.CLD, changeFlag(FLAG.DF, false)],
  [Helper.STD, changeFlag(FLAG.DF, true)],
  [Helper.CLAC, privileged(changeFlag(FLAG.AC, false))],
  [Helper.STAC, privileged(changeFlag(FLAG.AC, true))],
  [Helper.CLC, changeFlag(FLAG.CF, false)],
  [Helper.STC, changeFlag(FLAG.CF, true)],
  [
    Helper.CMC,
    ({ host }) => {
      host.rflags ^= FLAG.CF;
    },
  ],
  [Helper.LAHF, flagsToAh],
  [Helper.SAHF, ahToFlags],
  [Helper.PUSHF, pushFlags],
  [Helper.POPF, popFlags],
  [Helper.ENTER, enter],
  [Helper.RDRAND, random],
  [Helper.RDSEED, random],
];

/**
 * Loading a data segment changes no base in 64-bit mode but those of fs and gs, which become 0. In a 32-bit guest the
 * other segments are flat, and the machine knows what its selectors for fs and gs mean.
 */
function writeSegment({ host, a, imm }: HelperCall): number | undefined {
  if (imm === 1) return host.raise(Vector.UD);
  const selector = Number(host.gprBig(a) & 0xffffn);
  const changed = host.segments[imm] !== selector;
  host.segments[imm] = selector;
  if (imm < 4) return undefined;
  const base = host.bits === 32 ? host.machine.segmentBase?.(selector) : undefined;
  if (base !== undefined || changed || host.bits === 64) host.setGpr(imm === 4 ? Reg.FS : Reg.GS, base ?? 0);
}
