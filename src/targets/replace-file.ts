/** Writes a file whole or not at all: under a name of its own first, which then takes the place. */
import { realpathSync, renameSync, rmSync, type Stats, statSync, writeFileSync } from 'node:fs';

/**
 * What is there already keeps its mode, and a link goes on leading to it. A device or a pipe (`-o /dev/stdout`) is written
 * to: a file in its place would take it away from everybody.
 * @throws the file system's error; nothing is left behind then, and what was there before stays
 */
export function replaceFile(path: string, bytes: Uint8Array | string): void {
  const old = existing(path);
  if (old !== undefined && !old.isFile()) {
    writeFileSync(path, bytes);
    return;
  }
  const target = old === undefined ? path : realpathSync(path);
  const partial = `${target}.${process.pid}.tmp`;
  try {
    writeFileSync(partial, bytes, { mode: old === undefined ? 0o666 : old.mode & 0o777 });
    renameSync(partial, target);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

function existing(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}
