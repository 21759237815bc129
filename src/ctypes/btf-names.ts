/**
 * Names to values without decoding a string: a hash over the bytes of each name, chains in two flat arrays.
 * For a kernel's 100,000 names this is some milliseconds; a Map of decoded strings is ten times that.
 */
export class BtfNameIndex {
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #nameOffsets: Uint32Array;
  readonly #values: Uint32Array;
  readonly #bytesAt: (offset: number) => Uint8Array;
  #count = 0;

  /** `capacity` is the most entries that will be added; `bytesAt` gives the bytes of a name by its offset. */
  constructor(capacity: number, bytesAt: (offset: number) => Uint8Array) {
    let buckets = 16;
    while (buckets < capacity) buckets *= 2;
    this.#heads = new Int32Array(buckets).fill(-1);
    this.#next = new Int32Array(capacity);
    this.#nameOffsets = new Uint32Array(capacity);
    this.#values = new Uint32Array(capacity);
    this.#bytesAt = bytesAt;
  }

  add(nameOffset: number, value: number): void {
    const bucket = hash(this.#bytesAt(nameOffset)) & (this.#heads.length - 1);
    this.#nameOffsets[this.#count] = nameOffset;
    this.#values[this.#count] = value;
    this.#next[this.#count] = this.#heads[bucket]!;
    this.#heads[bucket] = this.#count++;
  }

  /** Values under a name, first added first. */
  find(name: string): number[] {
    const bytes = new Uint8Array(name.length);
    for (let i = 0; i < name.length; i++) bytes[i] = name.charCodeAt(i);
    const found: number[] = [];
    let entry = this.#heads[hash(bytes) & (this.#heads.length - 1)]!;
    for (; entry >= 0; entry = this.#next[entry]!) {
      if (equal(this.#bytesAt(this.#nameOffsets[entry]!), bytes)) found.push(this.#values[entry]!);
    }
    return found.reverse();
  }
}

/** FNV-1a, 32 bits. */
function hash(bytes: Uint8Array): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i]!, 0x01000193);
  return (h ^ (h >>> 15)) >>> 0;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
