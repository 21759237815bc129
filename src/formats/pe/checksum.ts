/** The checksum of the optional header. */
import type { PeFile } from './read.ts';

/**
 * Sum of the file's 16-bit words with end-around carry, the checksum field counted as zero, plus the file's length. The
 * field may stand at an odd offset in a strange file: it is left out byte by byte.
 */
export function peChecksum(pe: PeFile): number {
  const { bytes } = pe;
  const field = pe.header.checksumOffset;
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    const low = at >= field && at < field + 4 ? 0 : bytes[at];
    const high = at + 1 >= bytes.length || (at + 1 >= field && at + 1 < field + 4) ? 0 : bytes[at + 1];
    sum += low | (high << 8);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum + bytes.length) >>> 0;
}
