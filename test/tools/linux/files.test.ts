import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decode } from '../../../src/systems/linux/kernelfile/saved.ts';
import { LinuxSession } from '../../../src/tools/linux/session.ts';

const profile = readFileSync('profiles/debian-6.1.kernel');
const session = () => new LinuxSession(decode(profile), { moduleFile: () => undefined });

describe('plain files', () => {
  it('are made, extended, cut and removed below /tmp', () => {
    const s = session();
    expect(s.line('echo one > /tmp/x').code).toBe(0);
    expect(s.line('echo two >> /tmp/x').code).toBe(0);
    expect(s.line('cat /tmp/x').output).toBe('one\ntwo\n');
    expect(s.line('echo three > /tmp/x').code).toBe(0);
    expect(s.line('cat /tmp/x').output).toBe('three\n');
    expect(s.line('rm /tmp/x').code).toBe(0);
    expect(s.line('cat /tmp/x')).toMatchObject({ code: 1, errno: 2 });
  });

  it('are refused elsewhere', () => {
    expect(session().line('echo one > /proc/x')).toMatchObject({ code: 1, errno: 13 });
  });
});
