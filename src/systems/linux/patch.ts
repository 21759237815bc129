/**
 * post_relocation and module_finalize (arch/x86/kernel/module.c, alternative.c), on the staged bytes.
 *
 * Done: exception table sorted, per-CPU template copied, return and indirect-branch thunks replaced, alternatives for the
 * declared CPU, ftrace call sites made nops. Left as they are, because the code means the same without:
 * - .parainstructions: calls go through pv_ops, whose pointers are the native functions;
 * - .smp_locks: the lock prefix costs nothing here;
 * - .static_call_sites: calls go through their trampoline, which always leads to the current target;
 * - .orc_unwind: the base kernel's backtraces do not read it.
 */
import { nops } from '../../cpu/x86/patch.ts';
import { registerName } from '../../cpu/x86/print.ts';
import type { StagedSection } from '../../link/place.ts';
import type { Address } from '../../memory/space.ts';
import { cpuHas } from './cpu-features.ts';
import type { Loading } from './loading.ts';

const CALL = 0xe8;
const JMP = 0xe9;
const INT3 = 0xcc;
const RET = 0xc3;
/** A stack pointer has no thunk. */
const RSP = 4;

export function patchModule(load: Loading): void {
  load.t.step('patch');
  sortExceptionTable(load);
  copyPerCpu(load);
  patchReturns(load);
  patchIndirectBranches(load);
  applyAlternatives(load);
  patchCallSites(load);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Entries refer to places relative to themselves, so moving one changes its words. */
function sortExceptionTable(load: Loading): void {
  const table = load.section('__ex_table');
  if (table === undefined) return;
  const size = 12;
  const view = viewOf(table.bytes);
  const entries: { instruction: number; fixup: number; data: number }[] = [];
  for (let at = 0; at + size <= table.bytes.length; at += size) {
    entries.push({
      instruction: at + view.getInt32(at, true),
      fixup: at + 4 + view.getInt32(at + 4, true),
      data: view.getInt32(at + 8, true),
    });
  }
  entries.sort((a, b) => a.instruction - b.instruction);
  entries.forEach(({ instruction, fixup, data }, i) => {
    view.setInt32(i * size, instruction - i * size, true);
    view.setInt32(i * size + 4, fixup - i * size - 4, true);
    view.setInt32(i * size + 8, data, true);
  });
}

function copyPerCpu({ k, mod, file }: Loading): void {
  const section = file.perCpu;
  if (section === undefined || section.size === 0) return;
  k.memory.write(k.percpu.addressOf(k.read('module.percpu', mod)), file.elf.data(section));
}

/** Places that a table of 32-bit self-relative references names, as staged bytes. */
function* places(
  load: Loading,
  table: StagedSection | undefined,
  length: number,
): Generator<{ at: Address; bytes: Uint8Array }> {
  if (table === undefined) return;
  const view = viewOf(table.bytes);
  for (let i = 0; i + 4 <= table.bytes.length; i += 4) {
    const at = table.address + i + view.getInt32(i, true);
    const bytes = load.staged(at, length);
    if (bytes !== undefined) yield { at, bytes };
  }
}

const targetOf = (at: Address, bytes: Uint8Array, length = 5): Address =>
  at + length + viewOf(bytes).getInt32(length - 4, true);

/**
 * apply_returns. The machine does not speculate, so a return is just that, as on a processor without the flaw
 * (X86_FEATURE_RETHUNK off).
 */
function patchReturns(load: Loading): void {
  const thunk = load.k.file.exports.find('__x86_return_thunk')?.address;
  for (const { at, bytes } of places(load, load.section('.return_sites'), 5)) {
    if (bytes[0] !== JMP || targetOf(at, bytes) !== thunk) continue;
    bytes.fill(INT3);
    bytes[0] = RET;
  }
}

/** apply_retpolines, with X86_FEATURE_RETPOLINE off: `call thunk_reg` becomes `call *%reg`. */
function patchIndirectBranches(load: Loading): void {
  const thunks = new Map<Address, number>();
  for (let register = 0; register < 2 * load.k.word; register++) {
    const found = load.k.file.exports.find(`__x86_indirect_thunk_${registerName(register, load.k.word)}`);
    if (register !== RSP && found !== undefined) thunks.set(found.address, register);
  }
  for (const { at, bytes } of places(load, load.section('.retpoline_sites'), 6)) {
    const jcc = bytes[0] === 0x0f && (bytes[1] & 0xf0) === 0x80;
    const length = jcc ? 6 : 5;
    const register = thunks.get(targetOf(at, bytes.subarray(0, length), length));
    if (register === undefined || (!jcc && bytes[0] !== CALL && bytes[0] !== JMP)) continue;
    const branch = indirectBranch(register, bytes[0] === CALL);
    // A conditional tail call jumps over the indirect one when its condition does not hold.
    const code = jcc ? [0x70 | ((bytes[1] & 0x0f) ^ 1), length - 2, ...branch] : branch;
    bytes.set([...code, ...nops(length - code.length)].slice(0, length));
  }
}

function indirectBranch(register: number, call: boolean): number[] {
  const modrm = (call ? 0xd0 : 0xe0) | (register & 7);
  return register > 7 ? [0x41, 0xff, modrm] : [0xff, modrm];
}

interface AlternativeShape {
  readonly size: number;
  readonly cpuid: number;
  readonly lengths: number;
  /** The flag "apply when the CPU does not have the feature". */
  readonly inverted: (view: DataView, at: number) => boolean;
  readonly feature: (view: DataView, at: number) => number;
  /** ALT_FLAG_DIRECT_CALL (6.8): the replacement stands for a direct call of what the pointer in pv_ops leads to. */
  readonly direct: (view: DataView, at: number) => boolean;
}

/** struct alt_instr: two references, the feature (with a flag in it, or one in the next word), two lengths. */
function alternativeShape({ k }: Loading): AlternativeShape {
  const { types } = k;
  const size = types.has('alt_instr.instr_offset') ? types.sizeof('alt_instr') : 12;
  if (types.has('alt_instr.flags')) {
    return {
      size,
      cpuid: 8,
      lengths: 12,
      inverted: (view, at) => (view.getUint16(at + 10, true) & 1) !== 0,
      feature: (view, at) => view.getUint16(at + 8, true),
      direct: (view, at) => (view.getUint16(at + 10, true) & 2) !== 0,
    };
  }
  return {
    size,
    cpuid: 8,
    lengths: 10,
    inverted: (view, at) => (view.getUint16(at + 8, true) & 0x8000) !== 0,
    feature: (view, at) => view.getUint16(at + 8, true) & 0x7fff,
    direct: () => false,
  };
}

/** apply_alternatives: the variant for the CPU that the base kernel declares. Later entries may change earlier results. */
function applyAlternatives(load: Loading): void {
  const table = load.section('.altinstructions');
  if (table === undefined) return;
  const view = viewOf(table.bytes);
  const shape = alternativeShape(load);
  for (let at = 0; at + shape.size <= table.bytes.length; at += shape.size) {
    // Calling through the pointer means the same, and pv_ops always holds the native functions.
    if (shape.direct(view, at)) continue;
    if (cpuHas(load.k, shape.feature(view, at)) === shape.inverted(view, at)) continue;
    const where = table.address + at + view.getInt32(at, true);
    const from = table.address + at + 4 + view.getInt32(at + 4, true);
    const length = view.getUint8(at + shape.lengths);
    const replacementLength = view.getUint8(at + shape.lengths + 1);
    const code = load.staged(where, length);
    const replacement = load.staged(from, replacementLength);
    if (code === undefined || replacement === undefined || replacementLength > length) continue;
    code.set(replacement);
    if (replacementLength >= 5) moveBranch(code, from, where);
    code.set(nops(length - replacementLength), replacementLength);
  }
}

/** A relative call or jump at the start of a replacement was made for the place it was kept at. */
function moveBranch(code: Uint8Array, from: Address, to: Address): void {
  if (code[0] !== CALL && code[0] !== JMP) return;
  const view = viewOf(code);
  view.setInt32(1, view.getInt32(1, true) + (from - to), true);
}

/** ftrace_module_init: calls of __fentry__ become nops until somebody traces. */
function patchCallSites(load: Loading): void {
  const table = load.section('__mcount_loc');
  if (table === undefined) return;
  const view = viewOf(table.bytes);
  const { word } = load.k;
  for (let i = 0; i + word <= table.bytes.length; i += word) {
    const high = word === 8 ? view.getInt32(i + 4, true) : 0;
    const at = high * 4294967296 + view.getUint32(i, true);
    const code = load.staged(at, 5);
    if (code !== undefined && code[0] === CALL) code.set(nops(5));
  }
}
