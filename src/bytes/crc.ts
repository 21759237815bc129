/** Cyclic redundancy checks by table, eight bytes at a time (Kounavis and Berry, "A Systematic Approach", 2005). */

const SLICES = 8;

/** Tables of a CRC that shifts right, for a reflected polynomial: 256 entries for each of the eight places of a byte. */
export function reflectedTables(polynomial: number): Uint32Array {
  const tables = new Uint32Array(SLICES * 256);
  for (let n = 0; n < 256; n++) {
    let crc = n;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    tables[n] = crc;
  }
  for (let n = 256; n < tables.length; n++) {
    const before = tables[n - 256];
    tables[n] = (before >>> 8) ^ tables[before & 0xff];
  }
  return tables;
}

/** Continues a CRC of at most 32 bits over `bytes`, without inverting anything. */
export function crcRight(tables: Uint32Array, crc: number, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = bytes.length - (bytes.length % SLICES);
  let value = crc | 0;
  for (let at = 0; at < whole; at += SLICES) {
    const low = value ^ view.getInt32(at, true);
    const high = view.getInt32(at + 4, true);
    value =
      tables[0x700 + (low & 0xff)] ^
      tables[0x600 + ((low >>> 8) & 0xff)] ^
      tables[0x500 + ((low >>> 16) & 0xff)] ^
      tables[0x400 + (low >>> 24)] ^
      tables[0x300 + (high & 0xff)] ^
      tables[0x200 + ((high >>> 8) & 0xff)] ^
      tables[0x100 + ((high >>> 16) & 0xff)] ^
      tables[high >>> 24];
  }
  for (let at = whole; at < bytes.length; at++) value = (value >>> 8) ^ tables[(value ^ bytes[at]) & 0xff];
  return value >>> 0;
}
