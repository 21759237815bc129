/** Which system's checker a kernel and a module belong to. */
import { readFileSync, statSync } from 'node:fs';
import type { SystemChecker } from './check.ts';
import type { ModuleFile } from './system.ts';
import { recognise, SYSTEMS } from './systems.ts';

const loaded = new Map<string, Promise<SystemChecker | undefined>>();

/** The checker of a system; undefined when it brings none. */
export function checkerOf(system: string): Promise<SystemChecker | undefined> {
  let checker = loaded.get(system);
  if (checker === undefined) {
    checker = loadChecker(system);
    loaded.set(system, checker);
  }
  return checker;
}

async function loadChecker(system: string): Promise<SystemChecker | undefined> {
  if (system === 'linux') return (await import('./linux/check/checker.ts')).linuxChecker;
  const entry = SYSTEMS.find(({ name }) => name === system);
  return (await entry?.load())?.checker?.();
}

/** The system that is surest that the path is a kernel of its own. @throws the file system's errors */
export async function kernelChecker(path: string): Promise<SystemChecker | undefined> {
  const file = kernelFile(path);
  let best: SystemChecker | undefined;
  let surest = 0;
  for (const name of ['linux', ...SYSTEMS.map((entry) => entry.name)]) {
    const checker = await checkerOf(name);
    const sure = checker?.recogniseKernel(file) ?? 0;
    if (sure > surest) [best, surest] = [checker, sure];
    if (surest === 1) break;
  }
  return best;
}

/** The name of the module's system; Linux for what no other knows, whose rules say best what is wrong with a file. */
export async function moduleSystem(file: ModuleFile): Promise<string> {
  return (await recognise(file))?.name ?? 'linux';
}

/** A file, or a folder without bytes; `builtin:NAME` is neither. */
export function kernelFile(path: string): ModuleFile {
  const builtin = path.startsWith('builtin:');
  if (builtin || statSync(path).isDirectory()) return { path, bytes: undefined };
  return { path, bytes: readFileSync(path) };
}
