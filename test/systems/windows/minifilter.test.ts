import { describe, expect, it } from 'vitest';
import { console as start } from './fixtures.ts';

describe.each(['x64', 'x86'])('a minifilter on %s', (machine) => {
  it('needs an altitude, is listed by fltmc and counted as registered only, and goes', async () => {
    const { session, type, log } = await start({ machine });
    type(`sc create minifilter type= filesys binPath= minifilter${machine === 'x64' ? '' : '-x86'}.sys`);
    expect(type('sc start minifilter')).toContain('FAILED 2:');
    const key = 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\minifilter\\Instances';
    type(`reg add ${key} /v DefaultInstance /d "minifilter Instance"`);
    type(`reg add "${key}\\minifilter Instance" /v Altitude /d 370030`);
    expect(type('fltmc load minifilter')).toBe('');
    expect(type('fltmc').split('\n')[3]).toBe(
      'minifilter                              0       370030         0',
    );
    expect(session.registeredOnly()).toContainEqual({
      what: 'minifilter with 1 operations',
      name: 'minifilter',
    });
    expect(type('fltmc unload minifilter')).toBe('');
    expect(log()).toContain('minifilter: unload');
    expect(type('fltmc').split('\n')).toHaveLength(4);
    expect([...session.kernel.drivers]).toEqual([]);
  });
});
