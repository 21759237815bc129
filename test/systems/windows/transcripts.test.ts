/** What the commands of a session print, word for word, exit codes and notes included; and refusals that need settings. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPe } from '../../../src/formats/pe/read.ts';
import { examineSignature } from '../../../src/systems/windows/signature/authenticode.ts';
import { windows } from '../../../src/tools/windows/native.ts';
import type { WindowsSession } from '../../../src/tools/windows/session.ts';
import { BUILT, fixture } from './fixtures.ts';

const folder = join(import.meta.dirname, '../../golden/windows');

async function session(
  settings: Readonly<Record<string, string>> = {},
  user = 'root',
): Promise<WindowsSession> {
  const files = {
    read: (path: string) => {
      if (path === 'text.sys') return new TextEncoder().encode('no image');
      return existsSync(join(BUILT, path)) ? fixture(path) : undefined;
    },
    list: () => undefined,
    stat: () => undefined,
  };
  return (await windows.start({
    files,
    settings: new Map(Object.entries(settings)),
    user,
  })) as WindowsSession;
}

function transcript(of: WindowsSession, lines: readonly string[]): string {
  return lines
    .map((line) => {
      const { code, out, err, note } = of.line(line);
      return `C:\\>${line}\n${out}${err}${note === undefined ? '' : `  (${note})\n`}${code === 0 ? '' : `  exit code ${code}\n`}`;
    })
    .join('');
}

const scripts = readdirSync(folder).filter((name) => name.endsWith('.lines'));

describe.each(scripts)('%s', (script) => {
  it('says what it said before', async () => {
    const lines = readFileSync(join(folder, script), 'utf8').trimEnd().split('\n');
    const text = transcript(await session(), lines);
    const golden = join(folder, script.replace('.lines', '.txt'));
    if (process.env.LKM_UPDATE_GOLDEN === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });
});

/** What `sc start` answers for a driver: the number, and the words behind it. */
async function refused(
  name: string,
  settings: Readonly<Record<string, string>>,
  user = 'root',
): Promise<string> {
  const one = await session(settings, user);
  one.line(`sc create d type= kernel binPath= ${name}`);
  return one.line('sc start d').out;
}

describe('refusals that depend on the machine', () => {
  const words577 =
    'Windows cannot verify the digital signature for this file. A recent hardware or software change might have installed a ' +
    'file that is signed incorrectly or damaged, or that might be malicious software from an unknown source.';

  it('577: enforced signatures', async () => {
    const answer = `[SC] StartService FAILED 577:\n\n${words577}\n\n`;
    expect(await refused('hello.sys', { integrity: 'on' })).toBe(answer);
    expect(await refused('signed.sys', { integrity: 'on' })).toBe(answer);
    expect(await refused('signed.sys', { integrity: 'on', roots: 'test-root.pem' })).toContain('RUNNING');
  });

  it('1275: a driver on the block list', async () => {
    const { hashes } = examineSignature(readPe(fixture('hello.sys')), []);
    const files = {
      read: (path: string) =>
        path === 'list.txt' ? new TextEncoder().encode(`${hashes[1]} bad\n`) : fixture('hello.sys'),
      list: () => undefined,
      stat: () => undefined,
    };
    const one = (await windows.start({
      files,
      settings: new Map([['blocklist', 'list.txt']]),
      user: 'root',
    })) as WindowsSession;
    one.line('sc create d type= kernel binPath= hello.sys');
    expect(one.line('sc start d').out).toBe(
      '[SC] StartService FAILED 1275:\n\nThis driver has been blocked from loading\n\n',
    );
  });

  it('5: nobody but an administrator', async () => {
    const one = await session({}, 'guest');
    for (const line of [
      'sc create d type= kernel binPath= hello.sys',
      'sc start d',
      'sc stop d',
      'sc delete d',
    ])
      expect(one.line(line).out).toBe('[SC] OpenSCManager FAILED 5:\n\nAccess is denied.\n\n');
    expect(one.line('sc query type= driver').code).toBe(0);
  });
});
