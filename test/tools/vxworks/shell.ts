/** A VxWorks session on the built fixtures, and its transcript. */
import { readFileSync } from 'node:fs';
import { packagedPath } from '../../../src/cli/packaged.ts';
import { vxworks } from '../../../src/tools/vxworks/native.ts';
import type { VxWorksSession } from '../../../src/tools/vxworks/session.ts';

export function fixture(path: string): Uint8Array | undefined {
  try {
    return new Uint8Array(readFileSync(packagedPath(`fixtures/vxworks/built/${path}`)));
  } catch {
    return undefined;
  }
}

export function start(settings: Record<string, string> = {}): VxWorksSession {
  const files = { read: fixture, offered: fixture, list: () => undefined, stat: () => undefined };
  return vxworks.start({ files, settings: new Map(Object.entries(settings)) }) as VxWorksSession;
}

/** Types lines; gives what the console and the shell say, in order. */
export function transcript(session: VxWorksSession, lines: readonly string[]): string[] {
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
