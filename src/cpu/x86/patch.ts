/**
 * Code patching on x86-64: what static calls, jump labels, alternatives and function tracing write into text.
 * Only bytes are made here; who writes them and when is the kernel's business.
 */
import { type Address, hexAddress } from '../../memory/address.ts';

/** Recommended multi-byte no-operations (Intel SDM vol. 2, NOP, table 4-12), lengths 1 to 8. */
const NOPS: readonly (readonly number[])[] = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/** Longest single no-operation used. */
const MAX_NOP = 8;
/** Bytes of `call rel32` and `jmp rel32`. */
const BRANCH_LENGTH = 5;
/** Bytes of `jmp rel8`. */
const SHORT_JUMP_LENGTH = 2;

/** `length` bytes that do nothing: the longest no-operations first, as the kernel fills alternatives. */
export function nops(length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const n = Math.min(MAX_NOP, length - at);
    out.set(NOPS[n], at);
    at += n;
  }
  return out;
}

/** A branch target that a 32-bit displacement cannot reach. */
export class BranchOutOfRange extends RangeError {
  readonly from: Address;
  readonly to: Address;

  constructor(from: Address, to: Address) {
    super(`branch from ${hexAddress(from)} to ${hexAddress(to)} needs more than a 32-bit displacement`);
    this.name = 'BranchOutOfRange';
    this.from = from;
    this.to = to;
  }
}

function branch(opcode: readonly number[], from: Address, to: Address): Uint8Array {
  const length = opcode.length + 4;
  const displacement = to - (from + length);
  if (displacement !== (displacement | 0)) throw new BranchOutOfRange(from, to);
  const out = new Uint8Array(length);
  out.set(opcode);
  new DataView(out.buffer).setInt32(opcode.length, displacement, true);
  return out;
}

/** `call to`, placed at `from`. Throws BranchOutOfRange. */
export function encodeCall(from: Address, to: Address): Uint8Array {
  return branch([0xe8], from, to);
}

/** `jmp to` with a 32-bit displacement, placed at `from`. Throws BranchOutOfRange. */
export function encodeJump(from: Address, to: Address): Uint8Array {
  return branch([0xe9], from, to);
}

/** `jcc to` with a 32-bit displacement; `condition` is the encoding's 0..15. Throws BranchOutOfRange. */
export function encodeConditionalJump(condition: number, from: Address, to: Address): Uint8Array {
  return branch([0x0f, 0x80 | (condition & 15)], from, to);
}

/** `jmp to` with an 8-bit displacement when it reaches, else undefined. */
export function encodeShortJump(from: Address, to: Address): Uint8Array | undefined {
  const displacement = to - (from + SHORT_JUMP_LENGTH);
  if (displacement < -128 || displacement > 127) return undefined;
  return Uint8Array.of(0xeb, displacement & 255);
}

/** Target of a `call rel32` (E8) or `jmp rel32` (E9) at `from`, or undefined when the bytes are neither. */
export function branchTarget(bytes: Uint8Array, from: Address): Address | undefined {
  if (bytes.length < BRANCH_LENGTH || (bytes[0] !== 0xe8 && bytes[0] !== 0xe9)) return undefined;
  return from + BRANCH_LENGTH + new DataView(bytes.buffer, bytes.byteOffset).getInt32(1, true);
}
