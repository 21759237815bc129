import { describe, expect, it } from 'vitest';
import { console as start } from './fixtures.ts';

describe.each(['x64', 'x86'])('a driver of the framework on %s', (machine) => {
  it('is read, written, asked, timed and unloaded, and leaves nothing', async () => {
    const { session, type, log } = await start({ machine });
    type(`sc create kmdf type= kernel binPath= kmdf${machine === 'x64' ? '' : '-x86'}.sys`);
    expect(type('sc start kmdf')).toContain('RUNNING');
    expect(type('objects \\Device')).toContain('\\Device\\Kmdf');
    expect(session.writeFile('\\\\.\\Kmdf', new TextEncoder().encode('kept')).code).toBe(0);
    expect(type('type \\\\.\\Kmdf')).toBe('kept');
    expect(log()).toContain('kmdf: closed, 2 opened');
    type('wait 100');
    expect(log()).toContain('kmdf: third tick at IRQL 2');
    expect(type('ioctl \\\\.\\Kmdf 0x222400 "" 4')).toMatch(/4 bytes\n0000 {2}0[9a] 00 00 00/);
    expect(type('ioctl \\\\.\\Kmdf 0x222404')).toContain('The I/O operation has been aborted');
    expect(log()).toContain('kmdf: cancelled on its queue');
    type('ioctl \\\\.\\Kmdf 0x222408');
    expect(log()).toContain('kmdf: work item at IRQL 0');
    expect(type('ioctl \\\\.\\Kmdf 0x222500')).toBe('Incorrect function.\n');
    const { leaks, code } = session.unload('kmdf');
    expect({ code, leaks }).toEqual({ code: 0, leaks: [] });
    expect(log().slice(-2)).toEqual([
      'kmdf: unload',
      expect.stringMatching(/^kmdf: the device goes after \d+ ticks$/),
    ]);
    expect(type('objects \\Device')).toBe('');
    expect(type('objects \\??')).not.toContain('Kmdf');
  });

  it('whose device is open is stopped when it is closed', async () => {
    const { type, log } = await start({ machine });
    type(`sc create kmdf type= kernel binPath= kmdf${machine === 'x64' ? '' : '-x86'}.sys`);
    type('sc start kmdf');
    type('open \\\\.\\Kmdf');
    expect(type('sc stop kmdf')).toContain('STOP_PENDING');
    type('close 0x80');
    expect(log()).toContain('kmdf: unload');
    expect(type('sc query kmdf')).toContain('1  STOPPED');
  });
});
