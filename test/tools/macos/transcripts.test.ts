/**
 * What the commands of a session print, word for word, exit codes and notes included. The first line of a script gives the
 * settings of its machine. Words, columns and order are compared by eye with transcripts that people have published of the same
 * commands. To accept a changed transcript: LKM_UPDATE_GOLDEN=1.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

const folder = join(import.meta.dirname, '../../golden/macos');
const scripts = readdirSync(folder).filter((name) => name.endsWith('.lines'));

async function transcript(session: MacosSession, lines: readonly string[]): Promise<string> {
  let text = '';
  for (const line of lines) {
    const before = session.kernel.log.records.length;
    const kernel = session.kernel;
    text += `${session.prompt}${line}\n`;
    const { code, out, err, note } = await session.run(line.split(' '));
    // A restart has a log of its own.
    const fresh = session.kernel.log.records.slice(session.kernel === kernel ? before : 0);
    text += fresh.map((record) => `[log] ${record.text.replace(/\n?$/, '\n')}`).join('');
    text += `${out}${err}${note === undefined ? '' : `  (${note})\n`}${code === 0 ? '' : `  exit code ${code}\n`}`;
  }
  return text;
}

describe.each(scripts)('%s', (script) => {
  it('says what it said before', { timeout: 120_000 }, async () => {
    const [head, ...lines] = readFileSync(join(folder, script), 'utf8').trimEnd().split('\n');
    const settings = new Map(
      head
        .slice(2)
        .split(' ')
        .map((one) => one.split('=') as [string, string]),
    );
    const session = new MacosSession({ files: fixtureFiles, seed: 1, user: 'root', settings });
    const text = await transcript(session, lines);
    const golden = join(folder, script.replace('.lines', '.txt'));
    if (process.env.LKM_UPDATE_GOLDEN === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });
});
