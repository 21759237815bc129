/** Are two stretches of bytes the same? In words where both are aligned: whole module files are compared. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  const { length } = a;
  if (length !== b.length) return false;
  let at = 0;
  if (((a.byteOffset | b.byteOffset) & 3) === 0) {
    const words = length >> 2;
    const one = new Int32Array(a.buffer, a.byteOffset, words);
    const other = new Int32Array(b.buffer, b.byteOffset, words);
    for (let i = 0; i < words; i++) if (one[i] !== other[i]) return false;
    at = words * 4;
  }
  for (; at < length; at++) if (a[at] !== b[at]) return false;
  return true;
}
