/** Greedy LZ4: enough to test its reader with literals, matches, overlaps and long lengths. */
export function packLz4(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  const length = (n: number) => {
    for (; n >= 255; n -= 255) out.push(255);
    out.push(n);
  };
  let from = 0;
  const sequence = (to: number, distance: number, match: number) => {
    const literals = to - from;
    out.push((Math.min(literals, 15) << 4) | Math.min(Math.max(match - 4, 0), 15));
    if (literals >= 15) length(literals - 15);
    out.push(...bytes.subarray(from, to));
    if (match === 0) return;
    out.push(distance & 255, distance >> 8);
    if (match - 4 >= 15) length(match - 4 - 15);
    from = to + match;
  };
  for (let at = 1; at < bytes.length; ) {
    // Only near matches are looked for; distance 1 makes runs overlap themselves.
    const [distance, match] = [1, 2, 3, 7, 16]
      .map((d): [number, number] => [d, d > at ? 0 : matchLength(bytes, at, d)])
      .reduce((best, next) => (next[1] > best[1] ? next : best));
    if (match >= 4 && at + match < bytes.length) {
      sequence(at, distance, match);
      at = from;
    } else at++;
  }
  sequence(bytes.length, 0, 0);
  const packed = new Uint8Array(8 + out.length);
  packed.set([0x02, 0x21, 0x4c, 0x18]);
  new DataView(packed.buffer).setUint32(4, out.length, true);
  packed.set(out, 8);
  return packed;
}

function matchLength(bytes: Uint8Array, at: number, distance: number): number {
  let n = 0;
  while (at + n < bytes.length && bytes[at + n] === bytes[at + n - distance]) n++;
  return n;
}
