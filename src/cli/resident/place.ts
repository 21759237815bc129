/** Where the process that keeps a kernel is found: a socket in a folder that belongs to its user alone. */
import { existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../../targets/make-folder.ts';
import { Failure } from '../failure.ts';

export interface Place {
  /** A path of a socket, or the name of a pipe on Windows. */
  readonly socket: string;
  /** Holds the number of the process. */
  readonly pidFile: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The place for a system's kernel. One kernel of a system is kept for each folder: `LKM_RUNTIME_DIR`, else
 * `XDG_RUNTIME_DIR/lkm`, else one in the folder for temporary files.
 * @param make the folder, where there is none yet
 * @throws Failure when the folder cannot be made, or is another user's
 */
export function placeOf(system: string, environment: Environment, make = false): Place {
  const folder = runtimeFolder(environment);
  if (make || existsSync(folder)) makePrivate(folder);
  const pidFile = join(folder, `${system}.pid`);
  if (process.platform !== 'win32') return { socket: join(folder, `${system}.sock`), pidFile };
  // Pipes have one space of names for all users: the folder is the user's own, so its name tells them apart.
  return { socket: `\\\\.\\pipe\\lkm-${folder.replace(/[^A-Za-z0-9]/g, '-')}-${system}`, pidFile };
}

function runtimeFolder(environment: Environment): string {
  const { LKM_RUNTIME_DIR: own, XDG_RUNTIME_DIR: xdg } = environment;
  if (own) return own;
  return xdg ? join(xdg, 'lkm') : join(tmpdir(), `lkm-${userInfo().username}`);
}

/** Others could put a socket of theirs into a folder that is not ours alone, and be sent the user's commands. */
function makePrivate(folder: string): void {
  makeFolder(folder, 0o700);
  const { uid, mode } = lstatSync(folder);
  const mine = process.getuid?.();
  if (mine === undefined || (uid === mine && (mode & 0o022) === 0)) return;
  throw new Failure('belongs to another user, or others may write to it', {
    subject: folder,
    hint: 'set LKM_RUNTIME_DIR to a folder of your own',
  });
}

/** Number of the process that keeps the kernel, as it wrote it down; undefined when there is none. */
export function keeper({ pidFile }: Place): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    // Without the file nobody keeps a kernel here.
    return undefined;
  }
}

export function writeKeeper({ pidFile }: Place): void {
  writeFileSync(pidFile, String(process.pid), { mode: 0o600 });
}

export function clearPlace({ socket, pidFile }: Place): void {
  rmSync(pidFile, { force: true });
  if (process.platform !== 'win32') rmSync(socket, { force: true });
}
