/** Writes a file whole or not at all: under a name of its own first, which then takes the place. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';

/** @throws the file system's error; nothing is left behind then, and what was there before stays */
export function replaceFile(path: string, bytes: Uint8Array | string): void {
  const partial = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(partial, bytes);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}
