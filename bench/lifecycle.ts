/** One kernel from its file to a live module, timed step by step: what the kernel benchmark repeats. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { insmod, rmmod } from '../src/systems/linux/loader.ts';
import { BUILT_IN, openKernel } from '../src/targets/kernel-store.ts';
import { LinuxSession } from '../src/tools/linux/session.ts';
import { timed } from './clock.ts';

/** Milliseconds, and bytes by which the process has grown at the end of the boot. */
export interface Lifecycle {
  readonly open: number;
  readonly boot: number;
  readonly resident: number;
  /** From the bytes of the file to live: the first load into the kernel, then more of them. */
  readonly loads: readonly number[];
  readonly unload: number;
}

/** Opens the built-in kernel, boots it, and loads and unloads the module `loads` times. */
export function lifecycle(root: string, modulePath: string, loads: number): Lifecycle {
  const bytes = new Uint8Array(readFileSync(modulePath));
  const name = basename(modulePath)
    .replace(/\.ko.*$/, '')
    .replaceAll('-', '_');
  const before = process.memoryUsage.rss();
  const [open, kernel] = timed(() =>
    openKernel(BUILT_IN, { packaged: (path) => join(root, path), environment: process.env }),
  );
  const [boot, session] = timed(() => new LinuxSession(kernel, { moduleFile: () => undefined }));
  const resident = process.memoryUsage.rss() - before;
  const times: number[] = [];
  let unload = Number.POSITIVE_INFINITY;
  for (let i = 0; i < loads; i++) {
    const [load, result] = timed(() => insmod(session.k, bytes, '', { path: modulePath }));
    if (result.outcome !== 'loaded') throw new Error(`${modulePath} was not loaded: ${result.outcome}`);
    times.push(load);
    const [gone, ended] = timed(() => rmmod(session.k, name));
    if (ended.outcome !== 'unloaded') throw new Error(`${modulePath} was not unloaded: ${ended.outcome}`);
    unload = Math.min(unload, gone);
  }
  return { open, boot, resident, loads: times, unload };
}
