import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeFolder } from '../../src/targets/make-folder.ts';
import { leaveOut } from '../leave-out.ts';

const folder = mkdtempSync(join(tmpdir(), 'lkm-folder-'));
afterAll(() => rmSync(folder, { recursive: true }));
const noProc = leaveOut(import.meta.url, process.platform !== 'linux' && 'there is no /proc');

describe('a folder with those above it', () => {
  it('is made, also when some of them are there', () => {
    makeFolder(join(folder, 'a/b/c'), 0o700);
    makeFolder(`${join(folder, 'a/b//d')}/`);
    makeFolder(Buffer.from(join(folder, 'caf\xe9/x'), 'latin1'));
    for (const path of ['a/b/c', 'a/b/d']) expect(statSync(join(folder, path)).isDirectory()).toBe(true);
    expect(statSync(Buffer.from(join(folder, 'caf\xe9/x'), 'latin1')).isDirectory()).toBe(true);
    makeFolder(join(folder, 'a'));
  });

  it('is refused where a file is in the way', () => {
    writeFileSync(join(folder, 'file'), '');
    for (const path of ['file', 'file/x', 'file/x/y'])
      expect(() => makeFolder(join(folder, path))).toThrow(expect.objectContaining({ code: 'ENOTDIR' }));
  });

  it.skipIf(noProc)('is refused where none can be made', () => {
    expect(() => makeFolder('/proc/lkm/a/b')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});
