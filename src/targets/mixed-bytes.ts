/** Bytes that repeat for a seed, half of them compressible: letters between noise, 256 bytes of each. */
export function mixed(length: number, seed = 1): Uint8Array {
  const out = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = (i >> 8) % 2 === 0 ? state >>> 24 : 97 + ((state >>> 20) % 7);
  }
  return out;
}
