/**
 * A guest address as a signed number: 0xffffffff81000000 is -2130706432. Canonical 48-bit addresses are
 * exact; bigint appears only at the edge of the public API.
 */
export type Address = number;

export const PAGE_SIZE = 4096;

/** First address of the page that holds `va`. */
export function pageBase(va: Address): Address {
  return va - (va & 4095);
}

/** True when bits 63..47 are all equal, as x86-64 with 4-level paging demands. */
export function isCanonical(va: Address): boolean {
  return va >= -0x8000_0000_0000 && va < 0x8000_0000_0000;
}

/** The 64-bit unsigned form in 16 digits, as C prints it with %016lx: `ffffffff81000000`. */
export function hex16(value: Address | bigint): string {
  return BigInt.asUintN(64, BigInt(value)).toString(16).padStart(16, '0');
}

/** As C prints an address with %0*lx: as many digits as a word of that many bytes has. */
export function hexWord(value: Address | bigint, bytes: 4 | 8): string {
  return bytes === 8 ? hex16(value) : BigInt.asUintN(32, BigInt(value)).toString(16).padStart(8, '0');
}

/** The same for people: `0xffffffff81000000`. */
export function hexAddress(va: Address): string {
  return `0x${hex16(va)}`;
}

/** The unsigned 64-bit value of an address. */
export function toBig(va: Address): bigint {
  return BigInt.asUintN(64, BigInt(va));
}

/** The signed number of a 64-bit value; exact for canonical addresses, rounded beyond 53 bits. */
export function fromBig(value: bigint): Address {
  return Number(BigInt.asIntN(64, value));
}
