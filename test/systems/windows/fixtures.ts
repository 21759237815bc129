/** Fixtures and sessions for tests of the Windows system. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FUNCTIONS } from '../../../src/systems/windows/functions/all.ts';
import type { Windows } from '../../../src/systems/windows/windows.ts';
import type { SystemFiles } from '../../../src/tools/system.ts';
import { windows } from '../../../src/tools/windows/native.ts';
import type { WindowsSession } from '../../../src/tools/windows/session.ts';

export const BUILT = join(import.meta.dirname, '../../../fixtures/windows/built');

export const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(join(BUILT, name)));

const files: SystemFiles = {
  read: (path) => (existsSync(join(BUILT, path)) ? fixture(path) : undefined),
  list: () => undefined,
  stat: () => undefined,
};

export interface Console {
  readonly session: WindowsSession;
  /** Runs a line; what it printed. */
  readonly type: (line: string) => string;
  readonly log: () => string[];
}

export async function console(
  settings: Readonly<Record<string, string>> = {},
  user = 'root',
): Promise<Console> {
  const session = (await windows.start({
    files,
    settings: new Map(Object.entries(settings)),
    user,
  })) as WindowsSession;
  const split = (line: string) =>
    [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
  const type = (line: string) => {
    const { out, err } = session.run(split(line));
    return out + err;
  };
  return { session, type, log: () => session.kernel.log.records.map(({ text }) => text) };
}

const RSP = 4;

type Handler = (k: Windows, ...args: (number | bigint)[]) => number | bigint;

/** Calls functions of the kernel as machine code would, without the machine code; `place`: 256 bytes for its arguments. */
export async function caller(settings: Readonly<Record<string, string>> = {}) {
  const { session, log } = await console(settings);
  const { kernel: k } = session;
  const place = k.pool.allocate('nonpaged', 256, 0x74736574, 0, true);
  const run = (name: string, ...args: (number | bigint)[]): number | bigint => {
    const entry = FUNCTIONS.get(name);
    if (entry === undefined) throw new Error(`there is no ${name}`);
    // Who calls is read from the stack.
    k.cpu.setGpr(RSP, place + 192);
    return (entry.handler as unknown as Handler)(k, ...args);
  };
  const call = (name: string, ...args: (number | bigint)[]): number => Number(run(name, ...args)) >>> 0;
  return { k, session, place, call, run, log };
}
