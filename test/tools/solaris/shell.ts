/** A Solaris session on the fixtures, for tests. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { packagedPath } from '../../../src/cli/packaged.ts';
import { solaris } from '../../../src/tools/solaris/native.ts';
import type { SolarisSession } from '../../../src/tools/solaris/session.ts';
import type { SessionOptions, SystemFiles, ToolResult } from '../../../src/tools/system.ts';

export const built = packagedPath('fixtures/solaris/built');

/** Files of the fixtures, and more by name. */
export function filesWith(extra: Readonly<Record<string, Uint8Array>> = {}): SystemFiles {
  const at = (path: string) => join(built, path);
  const stat = (path: string) => statSync(at(path), { throwIfNoEntry: false });
  return {
    read: (path) => extra[path] ?? (stat(path)?.isFile() ? readFileSync(at(path)) : undefined),
    list: (path) =>
      stat(path)?.isDirectory()
        ? readdirSync(at(path), { withFileTypes: true }).map((one) =>
            one.isDirectory() ? `${one.name}/` : one.name,
          )
        : undefined,
    stat: () => undefined,
  };
}

export async function start(
  settings: Readonly<Record<string, string>> = {},
  options: Partial<SessionOptions> & { extra?: Readonly<Record<string, Uint8Array>> } = {},
): Promise<SolarisSession> {
  const { extra, ...more } = options;
  const session = await solaris.start({
    files: filesWith(extra),
    settings: new Map(Object.entries(settings)),
    ...more,
  });
  return session as SolarisSession;
}

/** One line, words separated by blanks; `> PATH` at its end writes there. */
export async function give(session: SolarisSession, line: string): Promise<ToolResult> {
  const redirected = /^(.*?) > (\S+)$/.exec(line);
  if (redirected === null) return await session.run(line.split(' '));
  const result = await session.run(redirected[1].split(' '));
  return session.writeFile(redirected[2], new TextEncoder().encode(result.out), false);
}

/** Lines with what they printed, the lines of the log marked. */
export async function transcript(session: SolarisSession, lines: readonly string[]): Promise<string[]> {
  const seen: string[] = [];
  const stop = session.kernel.log.watch(({ text }) => seen.push(`log: ${text}`));
  for (const line of lines) {
    seen.push(`# ${line}`);
    const { out, err, code } = await give(session, line);
    seen.push(...(out + err).split('\n').filter((text, i, all) => text !== '' || i < all.length - 1));
    if (code !== 0) seen.push(`exit ${code}`);
  }
  stop();
  return seen;
}

export const module = (name: string): Uint8Array => readFileSync(join(built, 'usr/kernel', name));
