import { describe, expect, it } from 'vitest';
import { console as start } from './fixtures.ts';

describe.each(['x64', 'x86'])('callbacks on %s', (machine) => {
  const suffix = machine === 'x64' ? '' : '-x86';
  const begin = async () => {
    const one = await start({ machine });
    one.type(`sc create watcher type= kernel binPath= watcher${suffix}.sys`);
    expect(one.type('sc start watcher')).toContain('RUNNING');
    return one;
  };

  it('hear of processes, and may refuse them', async () => {
    const { type, log } = await begin();
    expect(log()).toContain("watcher: file says 'kept here', 9 bytes");
    expect(type('type C:\\Windows\\Temp\\watcher.txt')).toBe('kept here');
    type('start notepad.exe');
    expect(log()).toContain('watcher: process 424 is \\??\\C:\\Windows\\System32\\notepad.exe');
    expect(type('start C:\\Tools\\blocked.exe')).toBe('Access is denied.\n');
    expect(type('tasklist')).toContain('notepad.exe                    424 Console');
    expect(type('tasklist')).not.toContain('blocked.exe');
    expect(type('taskkill /im notepad.exe')).toBe(
      'SUCCESS: The process "notepad.exe" with PID 424 has been terminated.\n',
    );
    expect(log()).toContain('watcher: process 424 ends');
  });

  it('take rights from handles, and refuse values of the registry', async () => {
    const { type, log } = await begin();
    type('start protected.exe');
    expect(type('taskkill /im protected.exe')).toContain('Reason: Access is denied.');
    expect(type('tasklist')).toContain('protected.exe');
    expect(type('reg add HKLM\\Software\\Test /v Plain /d text')).toBe(
      'The operation completed successfully.\n',
    );
    expect(type('reg add HKLM\\Software\\Test /v Guarded /t REG_DWORD /d 7')).toBe(
      'ERROR: Access is denied.\n',
    );
    expect(log()).toContain('watcher: value Guarded is set');
    expect(type('reg query HKLM\\Software\\Test')).toBe(
      '\nHKEY_LOCAL_MACHINE\\Software\\Test\n    Plain    REG_SZ    text\n\n',
    );
  });

  it('hear of drivers and threads, and are gone after the unload', async () => {
    const { session, type, log } = await begin();
    type(`sc create timers type= kernel binPath= timers${suffix}.sys`);
    type('sc start timers');
    expect(log()).toContain(
      `watcher: image \\??\\C:\\timers${suffix}.sys of ${session.kernel.drivers.named(`timers${suffix}.sys`)?.pe.header.sizeOfImage} bytes, in the kernel`,
    );
    expect(log()).toContain('watcher: a thread of process 4 begins');
    type('wait 100');
    type('sc stop timers');
    expect(log()).toContain('watcher: a thread of process 4 ends');
    const { leaks } = session.unload('watcher');
    expect(leaks).toEqual([]);
    expect(log().at(-1)).toBe('watcher: unload');
    type('start notepad.exe');
    expect(log().at(-1)).toBe('watcher: unload');
  });
});
