/** The bytes of an archive: in memory, or where there is more room. */

export interface ByteStore {
  readonly size: number;
  /** Fewer bytes beyond the end. */
  slice(from: number, to: number): Uint8Array;
}

/** Takes bytes piece by piece, and has them all afterwards. */
export interface Spill {
  /** @throws NoRoom */
  add(piece: Uint8Array): void;
  done(): ByteStore;
  /** It is not wanted any more. */
  drop(): void;
}

/** Nothing more can be put there. */
export class NoRoom extends Error {
  constructor(cause: unknown) {
    super('no room for what an archive unpacks to', { cause });
    this.name = 'NoRoom';
  }
}

export const inMemory = (bytes: Uint8Array): ByteStore => ({
  size: bytes.length,
  slice: (from, to) => bytes.subarray(from, to),
});
