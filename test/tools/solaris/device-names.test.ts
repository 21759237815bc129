/** Who may open a device and by which names, and devices that modules open for themselves. */
import { describe, expect, it } from 'vitest';
import type { Steps } from '../../../src/kernel/steps.ts';
import { parseDevlinkTab } from '../../../src/systems/solaris/device-names.ts';
import { give, start, transcript } from './shell.ts';

const text = (value: string) => new TextEncoder().encode(value);

describe('names and permissions of devices', () => {
  it("without a line about it a node is root's alone", async () => {
    const session = await start();
    expect((await give(session, 'add_drv echo')).code).toBe(0);
    expect((await give(session, 'as user open /devices/pseudo/echo@0:echo r')).code).not.toBe(0);
    expect((await give(session, 'open /devices/pseudo/echo@0:echo r')).code).toBe(0);
  });

  it.each([
    ['echo:* 0644 root sys', 'r', true],
    ['echo:* 0644 root sys', 'rw', false],
    ['echo:e?ho 0666 root sys', 'rw', true],
    ['echo:other 0666 root sys', 'r', false],
    ['other:* 0666 root sys', 'r', false],
    ['echo:[ 0666 root sys', 'r', false],
  ])('%s, open %s', async (line, how, allowed) => {
    const session = await start();
    expect((await give(session, 'add_drv echo')).code).toBe(0);
    session.files.write('/etc/minor_perm', text(`${line}\n`));
    const result = await give(session, `as user open /devices/pseudo/echo@0:echo ${how}`);
    expect([result.code === 0, result.err]).toEqual([
      allowed,
      allowed ? '' : '/devices/pseudo/echo@0:echo: Permission denied\n',
    ]);
  });

  it('devlink.tab names links in /dev', async () => {
    const session = await start();
    session.files.write(
      '/etc/devlink.tab',
      text(
        '# type, then name\ntype=ddi_pseudo;name=echo\tsay/\\D\\A\ntype=ddi_pseudo;minor=other\tno\nbad line\n',
      ),
    );
    const lines = [
      'add_drv echo',
      'ls /dev',
      'echo hello > /dev/say/echo0',
      'cat /dev/say/echo0',
      'cat /dev/none',
    ];
    expect(await transcript(session, lines)).toEqual(
      expect.arrayContaining(['say/echo0', 'hello', '/dev/none: No such file or directory']),
    );
    expect(parseDevlinkTab('x=1\ta\ntype=t\t\n')).toEqual([]);
  });
});

describe('the layered driver interface', () => {
  it.each(['amd64', 'i386'])('opens, uses and closes a device of another driver (%s)', async (isa) => {
    const session = await start({ isa });
    expect((await give(session, 'add_drv echo')).code).toBe(0);
    const k = session.kernel;
    const fn = (name: string) => k.functionGates.address(name) ?? 0;
    const seen = k.runProcess(
      'test',
      (function* (): Steps<(number | string)[]> {
        const room = k.heap.take(64);
        const identity = yield* k.call(fn('ldi_ident_from_anon'));
        const path = k.heap.takeString('/devices/pseudo/echo@0:echo');
        const none = k.heap.takeString('/devices/pseudo/none@0:none');
        const open = (name: number, li: number) => k.callInt(fn('ldi_open_by_name'), name, 3, 0, room, li);
        const results: (number | string)[] = [yield* open(none, identity), yield* open(path, room)];
        results.push(yield* open(path, identity));
        const handle = k.memory.ptr(room);
        // ECHO_COUNT copies out to the kernel's own buffer, which FKIOCTL says it is.
        results.push(yield* k.callInt(fn('ldi_ioctl'), handle, 0x6501, room + 16, 3, 0, 0));
        results.push(k.memory.i32(room + 16));
        results.push(yield* k.callInt(fn('ldi_ioctl'), handle, 0x9999, 0, 3, 0, 0));
        results.push(yield* k.callInt(fn('ldi_close'), handle, 3, 0));
        results.push(yield* k.callInt(fn('ldi_close'), handle, 3, 0));
        yield* k.call(fn('ldi_ident_release'), identity);
        return results;
      })(),
    );
    // ENODEV, EINVAL for an identity that nobody gave, then success; ENOTTY; EINVAL once it is closed.
    expect(seen).toEqual([19, 22, 0, 0, 0, 25, 0, 22]);
  });
});
