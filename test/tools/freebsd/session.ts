/** A FreeBSD session on the fixtures, and what its commands and its log said, as one text. */
import { existsSync, readFileSync } from 'node:fs';
import { freebsd } from '../../../src/tools/freebsd/native.ts';
import type { SystemFiles, SystemSession } from '../../../src/tools/system.ts';

const built = new URL('../../../fixtures/freebsd/built/', import.meta.url);

const files: SystemFiles = {
  read(path) {
    const place = new URL(path.slice(path.lastIndexOf('/') + 1), built);
    return existsSync(place) && path !== '' && !path.endsWith('/')
      ? new Uint8Array(readFileSync(place))
      : undefined;
  },
  list: () => undefined,
  stat: () => undefined,
};

export async function startSession(
  settings: Record<string, string> = {},
  user = 'root',
): Promise<SystemSession> {
  return await freebsd.start({ files, settings: new Map(Object.entries(settings)), user });
}

/** Runs lines of words; `NAME > PATH` writes the rest of the words. */
export async function transcript(session: SystemSession, lines: readonly string[]): Promise<string> {
  let text = '';
  session.kernel.log.watch((record) => {
    text += `${session.logLine(record)}\n`;
  });
  for (const line of lines) {
    text += `${session.prompt}${line}\n`;
    const words = line.split(' ');
    const to = words.indexOf('>');
    const result =
      to < 0
        ? await session.run(words)
        : await session.writeFile(
            words[to + 1],
            new TextEncoder().encode(`${words.slice(1, to).join(' ')}\n`),
            false,
          );
    text += result.out + result.err;
    if (result.note !== undefined) text += `  (${result.note})\n`;
    if (result.code !== 0) text += `  [exit ${result.code}]\n`;
  }
  return text;
}
