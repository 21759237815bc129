import { describe, expect, it } from 'vitest';
import { console as start } from './fixtures.ts';

const KEY = 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\minifilter\\Instances';

async function loaded(machine: string) {
  const one = await start({ machine });
  one.type(`sc create minifilter type= filesys binPath= minifilter${machine === 'x64' ? '' : '-x86'}.sys`);
  const before = one.type('sc start minifilter');
  one.type(`reg add ${KEY} /v DefaultInstance /d "minifilter Instance"`);
  one.type(`reg add "${KEY}\\minifilter Instance" /v Altitude /d 370030`);
  expect(one.type('fltmc load minifilter')).toBe('');
  const write = (path: string, text: string, append = false) =>
    one.session.writeFile(path, new TextEncoder().encode(text), append).err;
  return { ...one, before, write };
}

describe.each(['x64', 'x86'])('a minifilter on %s', (machine) => {
  it('needs an altitude, is listed by fltmc with its instance, and goes', async () => {
    const { session, type, log, before } = await loaded(machine);
    expect(before).toContain('FAILED 2:');
    expect(type('fltmc').split('\n')[3]).toBe(
      'minifilter                              1       370030         0',
    );
    expect(type('fltmc instances').split('\n')[3]).toContain('C:');
    expect(session.registeredOnly()).toEqual([]);
    expect(type('fltmc unload minifilter')).toBe('');
    expect(log().slice(-3)).toEqual([
      'minifilter: unload',
      'minifilter: detached (2)',
      'minifilter: 0 files were opened',
    ]);
    expect(type('fltmc').split('\n')).toHaveLength(4);
    expect([...session.kernel.drivers]).toEqual([]);
  });

  it('sees files opened, read and written, refuses some, and changes what is read', async () => {
    const { type, log, write } = await loaded(machine);
    expect(write('C:\\a.shout', 'hello')).toBe('');
    expect(log().slice(-2)).toEqual([
      'minifilter: create \\Device\\HarddiskVolume1\\a.shout (shout in \\), access 0x2, mode 1',
      'minifilter: 5 bytes written to \\a.shout at 0',
    ]);
    expect(write('C:\\a.shout', ' there', true)).toBe('');
    expect(log().at(-1)).toBe('minifilter: 6 bytes written to \\a.shout at 5');
    expect(type('type C:\\a.shout')).toBe('HELLO THERE');
    expect(write('C:\\Secret.TXT', 'x')).toBe('Access is denied.\n');
    expect(type('type C:\\secret.txt')).toBe('Access is denied.\n');
    type('fltmc detach minifilter C:');
    expect(log().at(-1)).toBe('minifilter: 3 files were opened');
    expect(type('type C:\\a.shout')).toBe('hello there');
    // What was refused was not made.
    expect(type('type C:\\secret.txt')).toBe('The system cannot find the file specified.\n');
  });

  it('hears of files that drivers open', async () => {
    const { type, log } = await loaded(machine);
    type(`sc create watcher type= kernel binPath= watcher${machine === 'x64' ? '' : '-x86'}.sys`);
    type('sc start watcher');
    expect(log().filter((line) => /^minifilter: create .* mode 0$/.test(line)).length).toBeGreaterThan(0);
  });
});
