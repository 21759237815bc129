/** A NetWare server on the built fixtures, and its transcript. */
import { readdirSync, readFileSync } from 'node:fs';
import { packagedPath } from '../../../src/cli/packaged.ts';
import { netware } from '../../../src/tools/netware/native.ts';
import type { NetWareSession } from '../../../src/tools/netware/session.ts';

const folder = packagedPath('fixtures/netware/built');

export function fixture(path: string): Uint8Array | undefined {
  try {
    return new Uint8Array(readFileSync(`${folder}/${path}`));
  } catch {
    return undefined;
  }
}

/** `extra` files come before the fixtures. */
export function start(
  settings: Record<string, string> = {},
  extra: ReadonlyMap<string, Uint8Array> = new Map(),
): NetWareSession {
  const files = {
    read: (path: string) => extra.get(path) ?? fixture(path),
    list: (path: string) => (path === '.' ? readdirSync(folder) : undefined),
    stat: () => undefined,
  };
  return netware.start({ files, settings: new Map(Object.entries(settings)) }) as NetWareSession;
}

/** Types lines; gives what the console and the server say, in order. */
export function transcript(session: NetWareSession, lines: readonly string[]): string[] {
  const said: string[] = [];
  const stop = session.kernel.log.watch(({ text }) => said.push(text));
  for (const line of lines) {
    said.push(`${session.prompt}${line}`);
    const { out, note } = session.line(line);
    said.push(...out.split('\n').slice(0, -1));
    if (note !== undefined) said.push(`  (${note})`);
  }
  stop();
  return said;
}
