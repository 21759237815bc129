/** A file system that a kext brings: mounted, listed, read, written and unmounted, on either machine. */
import { describe, expect, test } from 'vitest';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import type { ToolResult } from '../../../src/tools/system.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

function machine(settings: Readonly<Record<string, string>>, user = 'root') {
  const session = new MacosSession({
    files: fixtureFiles,
    seed: 1,
    user,
    settings: new Map(Object.entries(settings)),
  });
  const sh = async (line: string): Promise<ToolResult> => await session.run(line.split(' '));
  const write = async (path: string, text: string, append = false): Promise<ToolResult> =>
    await session.writeFile(path, new TextEncoder().encode(text), append);
  return { session, sh, write };
}

describe.each([
  { release: '10.8', arch: 'x86_64' },
  { release: '10.6', arch: 'i386' },
])('a file system on %j', (settings) => {
  test('is mounted, used and gone without a trace', async () => {
    const { session, sh, write } = machine(settings);
    await sh('kextload Shelf.kext');
    // What the kernel makes once, when it is first asked for, stays.
    await sh('mount -t shelf books /tmp');
    await sh('umount /tmp');
    const used = session.kernel.heap.usedBytes;
    expect(await sh('mount -t shelf books /tmp')).toEqual({ code: 0, out: '', err: '' });
    expect((await sh('mount')).out).toBe('books on /tmp (shelf)\n');
    expect((await sh('ls /tmp')).out).toBe('greeting\nnote\n');
    expect((await sh('cat /tmp/greeting')).out).toBe('hello from the shelf\n');
    expect((await write('/tmp/note', 'milk\n')).code).toBe(0);
    expect((await write('/tmp/note', 'bread\n', true)).code).toBe(0);
    expect((await sh('cat /tmp/note')).out).toBe('milk\nbread\n');
    expect((await sh('ls -l /tmp')).out).toBe(
      '-r--r--r--   1 root  staff        21 Sep  9  2001 greeting\n-rw-r--r--   2 root  staff        11 Sep  9  2001 note\n',
    );
    expect((await sh('umount /tmp')).code).toBe(0);
    expect((await sh('ls /tmp')).out).toBe('');
    expect(session.kernel.heap.usedBytes).toBe(used);
    expect((await sh('kextunload -b org.lkm.Shelf')).code).toBe(0);
  });
});

describe('who listens', () => {
  test('hears which files are opened and closed', async () => {
    const { session, sh, write } = machine({ release: '10.8' });
    await sh('kextload Shelf.kext');
    await sh('kextload Post.kext');
    await sh('mount -t shelf books /tmp');
    const before = session.kernel.log.records.length;
    expect((await sh('cat /tmp/greeting')).out).toBe('hello from the shelf\n');
    expect((await write('/tmp/note', 'milk\n')).code).toBe(0);
    expect(session.kernel.log.records.slice(before).map(({ text }) => text)).toEqual([
      'Post: /tmp/greeting is opened',
      'Post: /tmp/greeting is closed',
      'Post: /tmp/note is opened',
      'Post: /tmp/note is closed, changed',
    ]);
  });
});

describe('what file systems refuse', () => {
  test('a kext whose file system is mounted cannot stop', async () => {
    const { sh } = machine({ release: '10.8' });
    await sh('kextload Shelf.kext');
    await sh('mount -t shelf books /tmp');
    expect((await sh('kextunload -b org.lkm.Shelf')).err).toContain('module stop returned 0xdc008017');
    await sh('umount /tmp');
    expect((await sh('kextunload -b org.lkm.Shelf')).code).toBe(0);
  });

  test('paths, types and folders that are not there; a place twice; what is read-only', async () => {
    const { sh, write } = machine({ release: '10.8' });
    await sh('kextload Shelf.kext');
    expect((await sh('mount -t other books /tmp')).err).toBe(
      'mount: /tmp: Operation not supported by device\n',
    );
    expect((await sh('mount -t shelf books /nowhere')).err).toBe(
      'mount: /nowhere: No such file or directory\n',
    );
    expect((await sh('umount /tmp')).err).toBe('umount: /tmp: not currently mounted\n');
    expect((await sh('mount -r -t shelf books /tmp')).code).toBe(0);
    expect((await sh('mount')).out).toBe('books on /tmp (shelf, read-only)\n');
    expect((await sh('mount -t shelf more /tmp')).err).toBe('mount: /tmp: Resource busy\n');
    expect((await sh('cat /tmp/nothing')).err).toBe('cat: /tmp/nothing: No such file or directory\n');
    expect((await sh('cat /tmp')).err).toBe('cat: /tmp: Is a directory\n');
    expect((await sh('cat /tmp/greeting/more')).err).toBe('cat: /tmp/greeting/more: Not a directory\n');
    expect((await write('/tmp/note', 'x')).err).toBe('-sh: /tmp/note: Read-only file system\n');
  });

  test('errors of its own are those of the command; others may not mount', async () => {
    const { sh, write, session } = machine({ release: '10.8' });
    await sh('kextload Shelf.kext');
    await sh('mount -t shelf books /tmp');
    expect((await write('/tmp/greeting', 'x')).err).toContain('Operation not supported');
    expect((await write('/tmp/note', 'x'.repeat(65))).err).toContain('No space left on device');
    session.uid = 501;
    expect((await sh('umount /tmp')).err).toBe('umount(/tmp): Operation not permitted\n');
  });
});
