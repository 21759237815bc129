/**
 * The branch and delta filters of xz except x86 (which is in codec.as): undone in place, over a whole block. The encoder
 * added the position of each branch instruction to its operand, so that calls to one function look alike.
 * `address` is the filter's start offset; positions count from it. Numbers: the .xz file format, section 5.3.
 */

type Undo = (bytes: Uint8Array, address: number) => void;

/** Filter id -> its undo, for filters whose only property is the start offset. */
export const BRANCH_FILTERS: ReadonlyMap<number, Undo> = new Map<number, Undo>([
  [5, undoPowerPc],
  [6, undoIa64],
  [7, undoArm],
  [8, undoArmThumb],
  [9, undoSparc],
  [10, undoArm64],
]);

/** Each byte holds the difference from the byte `distance` (1 to 256) before. */
export function undoDelta(bytes: Uint8Array, distance: number): void {
  for (let i = distance; i < bytes.length; i++) bytes[i] += bytes[i - distance];
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `bl` with the absolute bit clear and the link bit set. */
function undoPowerPc(bytes: Uint8Array, address: number): void {
  const view = viewOf(bytes);
  for (let i = 0; i + 4 <= bytes.length; i += 4) {
    const word = view.getUint32(i);
    if ((word & 0xfc000003) >>> 0 !== 0x48000001) continue;
    view.setUint32(i, 0x48000001 | ((word - (address + i)) & 0x03fffffc));
  }
}

/** `bl`, always executed; its operand counts words from the instruction after the next. */
function undoArm(bytes: Uint8Array, address: number): void {
  const view = viewOf(bytes);
  for (let i = 0; i + 4 <= bytes.length; i += 4) {
    if (bytes[i + 3] !== 0xeb) continue;
    const target = (view.getUint32(i, true) & 0xffffff) << 2;
    view.setUint32(i, 0xeb000000 | (((target - (address + i + 8)) >>> 2) & 0xffffff), true);
  }
}

/** A pair of 16-bit halves, F0.. F8.., with 11 bits of the operand in each. */
function undoArmThumb(bytes: Uint8Array, address: number): void {
  const view = viewOf(bytes);
  for (let i = 0; i + 4 <= bytes.length; i += 2) {
    if ((bytes[i + 1] & 0xf8) !== 0xf0 || (bytes[i + 3] & 0xf8) !== 0xf8) continue;
    const high = view.getUint16(i, true) & 0x7ff;
    const low = view.getUint16(i + 2, true) & 0x7ff;
    const halves = (((high << 11) | low) * 2 - (address + i + 4)) >>> 1;
    view.setUint16(i, 0xf000 | ((halves >>> 11) & 0x7ff), true);
    view.setUint16(i + 2, 0xf800 | (halves & 0x7ff), true);
    i += 2;
  }
}

/** `call` whose operand lies within 23 bits with sign. */
function undoSparc(bytes: Uint8Array, address: number): void {
  const view = viewOf(bytes);
  for (let i = 0; i + 4 <= bytes.length; i += 4) {
    const word = view.getUint32(i);
    if (word >>> 22 !== 0x100 && word >>> 22 !== 0x1ff) continue;
    const words = ((word << 2) - (address + i)) >>> 2;
    const sign = (words >>> 22) & 1 ? 0x3fc00000 : 0;
    view.setUint32(i, 0x40000000 | sign | (words & 0x3fffff));
  }
}

/** `bl`, and `adrp` within 512 MiB. */
function undoArm64(bytes: Uint8Array, address: number): void {
  const view = viewOf(bytes);
  for (let i = 0; i + 4 <= bytes.length; i += 4) {
    const word = view.getUint32(i, true);
    const at = address + i;
    if (word >>> 26 === 0x25) {
      view.setUint32(i, 0x94000000 | ((word - (at >>> 2)) & 0x03ffffff), true);
    } else if ((word & 0x9f000000) >>> 0 === 0x90000000) {
      const page = ((word >>> 29) & 3) | ((word >>> 3) & 0x1ffffc);
      if ((page + 0x020000) & 0x1c0000) continue;
      const pages = page - (at >>> 12);
      const sign = pages & 0x020000 ? 0xe00000 : 0;
      const operand = ((pages & 3) << 29) | ((pages & 0x03fffc) << 3);
      view.setUint32(i, (word & 0x9000001f) | operand | sign, true);
    }
  }
}

/** Which of a bundle's three slots may hold a branch, by the bundle's template (Itanium manual, volume 3, table 4-1). */
const IA64_BRANCH_SLOTS = [
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 6, 6, 0, 0, 7, 7, 4, 4, 0, 0, 4, 4, 0, 0,
];

/** `br.call` and IP-relative `br` in 16-byte bundles of a 5-bit template and three 41-bit slots. */
function undoIa64(bytes: Uint8Array, address: number): void {
  for (let i = 0; i + 16 <= bytes.length; i += 16) {
    const slots = IA64_BRANCH_SLOTS[bytes[i] & 0x1f];
    for (let slot = 0; slot < 3; slot++) if ((slots >> slot) & 1) undoIa64Slot(bytes, i, slot, address + i);
  }
}

function undoIa64Slot(bytes: Uint8Array, bundle: number, slot: number, address: number): void {
  const firstBit = 5 + slot * 41;
  const at = bundle + (firstBit >> 3);
  const shift = BigInt(firstBit & 7);
  let word = 0n;
  for (let i = 5; i >= 0; i--) word = (word << 8n) | BigInt(bytes[at + i]);
  const instruction = word >> shift;
  if (((instruction >> 37n) & 0xfn) !== 5n || ((instruction >> 9n) & 7n) !== 0n) return;
  const operand = Number((instruction >> 13n) & 0xfffffn) | (Number((instruction >> 36n) & 1n) << 20);
  const bundles = (operand * 16 - address) >>> 4;
  const cleared = instruction & ~((0x8fffffn << 13n) as bigint);
  const fresh = cleared | (BigInt(bundles & 0xfffff) << 13n) | (BigInt((bundles >>> 20) & 1) << 36n);
  word = (word & ((1n << shift) - 1n)) | (fresh << shift);
  for (let i = 0; i < 6; i++) {
    bytes[at + i] = Number(word & 0xffn);
    word >>= 8n;
  }
}
