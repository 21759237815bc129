/** Compares what the host processor and the simulated one made of a case. */
import { type Case, COMPARED_FLAGS } from './cases.ts';
import { STATUS, ZF } from './flags.ts';
import type { GuestOutcome } from './guest.ts';
import { Ending, type Outcome } from './native.ts';

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
const FLAG_NAMES: [number, string][] = [
  [1, 'CF'],
  [4, 'PF'],
  [0x10, 'AF'],
  [0x40, 'ZF'],
  [0x80, 'SF'],
  [0x800, 'OF'],
  [0x400, 'DF'],
];

function flagText(flags: number): string {
  return FLAG_NAMES.filter(([bit]) => flags & bit)
    .map(([, name]) => name)
    .join(' ');
}

const hex = (value: bigint | number): string => `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;

/** #DE leaves flags undefined; a sequence that ends at a fault has undefined flags of its own at that place. */
function flagMask(item: Case, native: Outcome): number {
  const midway = native.ending !== Ending.End && item.names.length > 1;
  if (native.ending === Ending.DivideError || midway) return COMPARED_FLAGS & ~STATUS;
  return COMPARED_FLAGS & ~item.undefinedFlags;
}

/** The last place where an access of sixteen bytes fits. */
const LAST = 0xfffffff0n;

/**
 * Segments are flat and have no limits here: an access that reaches over the end of the 32-bit address space is a page
 * fault, where the processor finds the limit exceeded. Nothing is ever mapped there.
 */
function overTheEnd(item: Case, native: Outcome, guest: GuestOutcome): boolean {
  const ends = native.ending === Ending.Protection && guest.ending === Ending.PageFault;
  return item.bits === 32 && ends && guest.faultAddress > LAST;
}

/**
 * CMPS reads two places. Which one is told when neither can be read is the processor's choice: Intel's tell that of rSI, as we
 * do, AMD's that of rDI.
 */
function otherOperand(item: Case, native: Outcome, guest: GuestOutcome): boolean {
  // Within the eight bytes that ES:rDI points to, with 32-bit or 64-bit addresses.
  return item.names.includes('cmps') && BigInt.asUintN(32, native.faultAddress - guest.gpr[7]) < 8n;
}

/** Differences in words; none means agreement. */
export function differences(item: Case, native: Outcome, guest: GuestOutcome): string[] {
  const out: string[] = [];
  if (native.ending !== guest.ending && !overTheEnd(item, native, guest))
    out.push(`ending: native ${native.ending}, ours ${guest.ending}`);
  if (native.rip !== guest.rip) out.push(`rip: native ${hex(native.rip)}, ours ${hex(guest.rip)}`);
  const elsewhere = native.ending === Ending.PageFault && native.faultAddress !== guest.faultAddress;
  if (elsewhere && !otherOperand(item, native, guest)) {
    out.push(`fault address: native ${hex(native.faultAddress)}, ours ${hex(guest.faultAddress)}`);
  }
  const loose = native.flags & ZF ? item.looseRegister : -1;
  for (let n = 0; n < 16; n++) {
    if (n === loose || native.gpr[n] === guest.gpr[n]) continue;
    out.push(`${NAMES[n]}: was ${hex(item.gpr[n])}, native ${hex(native.gpr[n])}, ours ${hex(guest.gpr[n])}`);
  }
  const mask = flagMask(item, native);
  if ((native.flags ^ guest.flags) & mask) {
    out.push(
      `flags: were ${flagText(item.flags)}, native ${flagText(native.flags & mask)}, ours ${flagText(guest.flags & mask)}`,
    );
  }
  for (let n = 0; n < 16; n++) {
    const a = Buffer.from(native.xmm.subarray(n * 16, n * 16 + 16)).toString('hex');
    const b = Buffer.from(guest.xmm.subarray(n * 16, n * 16 + 16)).toString('hex');
    if (a !== b) out.push(`xmm${n}: native ${a}, ours ${b}`);
  }
  const a = native.changes.map(([at, value]) => `${at}=${value}`).join(' ');
  const b = guest.changes.map(([at, value]) => `${at}=${value}`).join(' ');
  if (a !== b) out.push(`memory: native ${a.slice(0, 200)}, ours ${b.slice(0, 200)}`);
  return out;
}

/** Everything needed to run a failing case again. */
export function describeCase(item: Case, found: readonly string[]): string {
  const code = Buffer.from(item.code).toString('hex');
  return [
    `seed ${item.seed}: ${item.text.join('; ')}`,
    `  code ${code}`,
    ...found.map((line) => `  ${line}`),
  ].join('\n');
}
