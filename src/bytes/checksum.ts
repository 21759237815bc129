/** Checksums of small things in plain TypeScript (headers, one name); codec.ts has the fast ones for large buffers. */

const CRC32_TABLE = /* @__PURE__ */ makeCrc32Table();

function makeCrc32Table(): Uint32Array {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    table[i] = crc;
  }
  return table;
}

/** CRC-32 of IEEE 802.3 (gzip, xz, genksyms). `before` continues an earlier result. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ CRC32_TABLE[(crc ^ bytes[i]) & 0xff];
  return ~crc >>> 0;
}
