import { readSync } from 'node:fs';
import { Failure } from './failure.ts';

/** Standard input is read whole up to this size: more is no module, and no script, but a mistake. */
const MOST_BYTES = 1 << 30;
const CHUNK = 1 << 16;
/** A line this long is no script either. */
const LONGEST_LINE = 1 << 20;
/** Milliseconds between two attempts on a non-blocking descriptor. */
const RETRY_MS = 2;

/** All of standard input. A slow writer (EAGAIN) is waited for, the end of a Windows pipe (EOF) is an end. */
export function readStandardInput(): Uint8Array {
  const chunks: Uint8Array[] = [];
  let total = 0;
  while (total < MOST_BYTES) {
    const chunk = new Uint8Array(CHUNK);
    const count = readChunk(chunk);
    if (count === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, count));
    total += count;
  }
  throw Object.assign(new Error('standard input'), { code: 'ERR_FS_FILE_TOO_LARGE' });
}

function readChunk(into: Uint8Array): number {
  for (;;) {
    try {
      return readSync(0, into);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EOF') return 0;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}

/** Lines of standard input as they arrive, without their line feeds. */
export function* standardInputLines(): Generator<string> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(CHUNK);
  let rest = '';
  for (let count = readChunk(chunk); count > 0; count = readChunk(chunk)) {
    const lines = (rest + decoder.decode(chunk.subarray(0, count), { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE)
      throw new Failure(`a line is longer than ${LONGEST_LINE} bytes`, {
        subject: 'standard input',
        hint: 'lines of commands are wanted: is it the right file?',
      });
    yield* lines;
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}
