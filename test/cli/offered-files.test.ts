/** What code of a module may read of this machine by itself: paths that nobody typed. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { HostFiles } from '../../src/cli/system-session.ts';
import { Volumes } from '../../src/tools/netware/volumes.ts';

const folder = mkdtempSync(join(tmpdir(), 'lkm-offered-'));
const sample = join(folder, 'sample');
mkdirSync(join(sample, 'below'), { recursive: true });
writeFileSync(join(folder, 'SECRET.TXT'), 'secret');
writeFileSync(join(sample, 'NOTES.TXT'), 'notes');
writeFileSync(join(sample, '.HIDDEN'), 'hidden');
writeFileSync(join(sample, 'below', 'DEEP.TXT'), 'deep');
symlinkSync('../SECRET.TXT', join(sample, 'LINK.TXT'));
symlinkSync('NOTES.TXT', join(sample, 'SAME.TXT'));
afterAll(() => rmSync(folder, { recursive: true }));

function files(system: string): HostFiles {
  const made = new HostFiles({ packaged: packagedPath }, system);
  made.beside(join(sample, 'module.o'));
  return made;
}
const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();

describe('a file that a module asks for', () => {
  it.each(['NOTES.TXT', join(sample, 'NOTES.TXT'), 'SAME.TXT'])('%s is there', (path) => {
    expect(text(files('vxworks').offered(path))).toBe('notes');
  });
  it.each([
    '/etc/passwd',
    '../SECRET.TXT',
    join(folder, 'SECRET.TXT'),
    join(sample, '..', 'SECRET.TXT'),
    'LINK.TXT',
    '.HIDDEN',
    'below/DEEP.TXT',
    join(sample, 'below', 'DEEP.TXT'),
    'below',
    'package.json',
    '',
  ])('%s is not, though somebody could type it', (path) => {
    expect(files('vxworks').offered(path)).toBeUndefined();
  });
  it('may be a fixture that comes along', () => {
    expect(files('vxworks').offered('hello.o')).toBeDefined();
  });
});

describe('a volume of a server', () => {
  it('has what lies beside the module, whatever the path in it', () => {
    const volumes = new Volumes(files('netware'), { sys: '', boot: '' });
    expect(text(volumes.offered('SYS:TEST\\NOTES.TXT'))).toBe('notes');
    expect(volumes.offered('SYS:..\\SECRET.TXT')).toBeUndefined();
    expect(volumes.offered('SYS:..\\..\\..\\..\\..\\..\\ETC\\PASSWD')).toBeUndefined();
    expect(volumes.offered('/etc/passwd')).toBeUndefined();
  });
  it('has all of the folder that was given for it, and nothing above', () => {
    const volumes = new Volumes(new HostFiles({ packaged: packagedPath }, 'netware'), {
      sys: sample,
      boot: '',
    });
    expect(text(volumes.offered('SYS:BELOW\\DEEP.TXT'))).toBe('deep');
    expect(volumes.offered('SYS:..\\SECRET.TXT')).toBeUndefined();
    expect(volumes.offered('SYS:BELOW\\..\\..\\SECRET.TXT')).toBeUndefined();
  });
});
