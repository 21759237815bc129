/** Starts the process that boots a kernel and keeps it. */
import { spawn } from 'node:child_process';
import type { CommandContext } from '../command.ts';
import { Failure } from '../failure.ts';
import { type Frame, showFrame } from './frames.ts';

/** Runs this `lkm boot` in a process of its own; resolves to its exit code once the system is up, or is not. */
export function startKeeper(context: CommandContext, idleMinutes: number): Promise<number> {
  const script = context.packaged('dist/resident.js');
  // No terminal or pipe of ours is inherited: `x=$(lkm boot linux)` would wait for the process to let go of it.
  const child = spawn(process.execPath, [script, String(idleMinutes), ...context.argv], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...context.environment, COLUMNS: String(context.columns) },
    windowsHide: true,
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.on('message', (frame: Frame) => {
      if (!('code' in frame)) return showFrame(frame, context);
      child.disconnect();
      child.unref();
      resolve(frame.code);
    });
    child.once('exit', (code, signal) => {
      const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
      const hint = 'lkm boot --once does the same in this process, and shows why';
      reject(new Failure(`the process that boots the kernel ${how}`, { hint }));
    });
  });
}
