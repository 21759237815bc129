import { writeSync } from 'node:fs';
import { fileFailure } from './failure.ts';

/** Where a command's text goes. Tests collect it; the program writes file descriptors. */
export interface Output {
  /** File descriptor 1: results. Bytes are written as they are. */
  out(text: string | Uint8Array): void;
  /** File descriptor 2: everything else. */
  err(text: string | Uint8Array): void;
  /** The reader of standard output went away (`lkm ... | head`): long listings stop here. */
  readonly closed: boolean;
}

/**
 * Synchronous writes to the two descriptors. `process.stdout` is left alone: loading it costs a tenth of the start-up
 * time, and on a pipe its queue is lost when a process ends early, while a write that has returned is not.
 */
export class DescriptorOutput implements Output {
  #closed = false;

  get closed(): boolean {
    return this.#closed;
  }

  out(text: string | Uint8Array): void {
    if (this.#closed) return;
    try {
      if (!writeAll(1, text)) this.#closed = true;
    } catch (error) {
      // A full disk: nothing more is written, and it is told.
      this.#closed = true;
      throw fileFailure('standard output', error);
    }
  }

  err(text: string | Uint8Array): void {
    // With no reader left for messages there is nobody to tell.
    writeAll(2, text);
  }
}

/** Milliseconds between two attempts while a non-blocking pipe is full. */
const RETRY_MS = 2;

/** Writes it all, waiting for a slow reader; false when the reader has gone away (EPIPE). */
function writeAll(descriptor: number, text: string | Uint8Array): boolean {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'utf8') : text;
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE' || code === 'EBADF') return false;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
  return true;
}
