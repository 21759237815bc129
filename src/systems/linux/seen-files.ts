/**
 * Module files that were loaded into kernels of one kernel file: the same bytes are neither read nor verified twice. All that
 * is kept is of a copy of our own, which nobody else can change, and whether bytes are the same is compared byte by byte.
 */
import { sameBytes } from '../../bytes/same.ts';
import type { ElfFile } from '../../formats/elf/read.ts';
import type { Certificate } from '../../formats/pki/certificate.ts';
import type { KernelFile } from './kernelfile/kernelfile.ts';
import type { ModuleLayout } from './layout.ts';
import type { ModuleFile } from './module-file.ts';

/** One file, as it was given. */
export class SeenFile {
  readonly bytes: Uint8Array;
  /** By the length of the contents: with the signature it is another ELF file. */
  readonly elf = new Map<number, ElfFile>();
  /** What the last load made of it; good for the same ELF file. */
  module: ModuleFile | undefined;
  /** Of `module`, by the sections that are left out. */
  readonly #layouts = new Map<string, ModuleLayout>();
  readonly #verified = new WeakMap<Certificate, Map<string, boolean>>();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  layout(file: ModuleFile, left: readonly number[], make: () => ModuleLayout): ModuleLayout {
    const key = `${file.elf.bytes.length} ${left}`;
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      layout = make();
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /** Is the signature one of that certificate's key over the contents? `signature` names all that decides besides the key. */
  verified(by: Certificate, signature: string, verify: () => boolean): boolean {
    let known = this.#verified.get(by);
    if (known === undefined) {
      known = new Map();
      this.#verified.set(by, known);
    }
    let answer = known.get(signature);
    if (answer === undefined) {
      answer = verify();
      known.set(signature, answer);
    }
    return answer;
  }
}

/** Bytes of files that are kept for one kernel file; the least used go first. */
const MOST = 32 << 20;

class SeenFiles {
  /** By what a sample of the bytes is, least used first. */
  readonly #files = new Map<string, SeenFile>();
  #bytes = 0;

  of(bytes: Uint8Array): SeenFile {
    const key = sampleOf(bytes);
    const known = this.#files.get(key);
    if (known !== undefined) {
      this.#files.delete(key);
      if (sameBytes(known.bytes, bytes)) {
        this.#files.set(key, known);
        return known;
      }
      this.#bytes -= known.bytes.length;
    }
    const seen = new SeenFile(new Uint8Array(bytes));
    if (bytes.length * 4 <= MOST) this.#keep(key, seen);
    return seen;
  }

  #keep(key: string, seen: SeenFile): void {
    this.#files.set(key, seen);
    this.#bytes += seen.bytes.length;
    for (const [oldest, { bytes }] of this.#files) {
      if (this.#bytes <= MOST) return;
      this.#files.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }
}

const known = new WeakMap<KernelFile, SeenFiles>();

/** The file with these bytes. */
export function seenFile(kernel: KernelFile, bytes: Uint8Array): SeenFile {
  let files = known.get(kernel);
  if (files === undefined) {
    files = new SeenFiles();
    known.set(kernel, files);
  }
  return files.of(bytes);
}

/** Bytes at either end that name a file, and as many in between: a signature at the end is no other file's. */
const SAMPLE = 128;

function sampleOf(bytes: Uint8Array): string {
  const { length } = bytes;
  let hash = length;
  const take = (at: number) => {
    hash = Math.imul(hash ^ bytes[at], 0x01000193);
  };
  const step = Math.max(1, Math.floor(length / SAMPLE));
  for (let at = 0; at < length; at += step) take(at);
  for (let at = Math.max(0, length - SAMPLE); at < length; at++) take(at);
  return `${length} ${hash}`;
}
