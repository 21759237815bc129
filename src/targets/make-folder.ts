/** Makes a folder with those above it. Node's own way (mkdirSync with `recursive`) never returns below /proc. */
import { mkdirSync, statSync } from 'node:fs';

const code = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

/**
 * `mode` is that of every folder that is made. Strings of bytes go in as Buffers.
 * @throws the error of mkdir(2); ENOTDIR where a part of the path is no folder
 */
export function makeFolder(path: string | Buffer, mode = 0o777): void {
  try {
    mkdirSync(path, { mode });
    return;
  } catch (error) {
    if (code(error) === 'EEXIST') {
      if (statSync(path).isDirectory()) return;
      throw Object.assign(new Error(`${path}: is no folder`), { code: 'ENOTDIR' });
    }
    const above = parentOf(path);
    if (code(error) !== 'ENOENT' || above === undefined) throw error;
    makeFolder(above, mode);
  }
  mkdirSync(path, { mode });
}

/** undefined: there is nothing above it. */
function parentOf(path: string | Buffer): string | Buffer | undefined {
  const text = typeof path === 'string' ? path : path.toString('latin1');
  const parent = /^(.*[^/])\/+[^/]+\/*$/s.exec(text)?.[1];
  if (parent === undefined) return undefined;
  return typeof path === 'string' ? parent : Buffer.from(parent, 'latin1');
}
