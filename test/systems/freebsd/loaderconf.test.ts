import { describe, expect, it } from 'vitest';
import {
  isBlacklisted,
  kldList,
  moduleNamed,
  readLoaderConf,
  readLoaderFiles,
  readRcConf,
} from '../../../src/systems/freebsd/loaderconf.ts';
import fc from '../../properties.ts';

describe('loader.conf', () => {
  it('has modules in every form', () => {
    const conf = readLoaderConf(
      [
        '# a comment',
        'snd_hda_load="YES"   # sound',
        'if_em_load=YES',
        'other_load="no"',
        'fs_load="YES"',
        'fs_name="/boot/modules/myfs.ko"',
        'fs_type="module"',
        'fs_flags="-v 1"',
        'fs_before="load zlib"',
        'fs_after="set done=1"',
        'fs_error="set failed=1"',
      ].join('\n'),
    );
    const loads = [...conf.modules.values()].filter(({ load }) => load).map(({ name }) => name);
    expect(loads).toEqual(['snd_hda', 'if_em', 'fs']);
    expect(moduleNamed(conf, 'fs')).toMatchObject({
      file: '/boot/modules/myfs.ko',
      type: 'module',
      flags: '-v 1',
      before: 'load zlib',
      after: 'set done=1',
      error: 'set failed=1',
    });
    expect(conf.problems).toEqual([]);
  });

  it('has variables, commands, and lines that are wrong', () => {
    const conf = readLoaderConf(
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the file that is read
      'a.b="one two"\nn=42\nc="x${a.b}y$n"\nexec="echo hi"\nbare=word\nwhat is this\nq="open\nneg=-1\nlate="a" b',
    );
    expect(Object.fromEntries(conf.environment)).toEqual({
      'a.b': 'one two',
      n: '42',
      c: 'xone twoy42',
      bare: 'word',
      neg: '-1',
    });
    expect(conf.commands).toEqual(['echo hi']);
    expect(conf.problems.map(({ line }) => line)).toEqual([6, 7, 9]);
  });

  it('counts lines as the loader does: those that have something in them', () => {
    const conf = readLoaderConf('\n\na=1\n\n  \noops\n');
    expect(conf.problems).toEqual([
      { file: '/boot/loader.conf', line: 6, said: ['Malformed line (3):', "\t'oops'"] },
    ]);
  });

  it('takes variables apart as the releases do', () => {
    const text =
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the file that is read
      'home=/boot\nx="a\\\\b\\$c$none."\ny="${nobody}z"\nend="a\\"\ncash="a$"\nodd="$."\nzfs.x_load="YES"';
    const fresh = readLoaderConf(text, undefined, 'f', 'new');
    expect(Object.fromEntries(fresh.environment)).toEqual({ x: 'a\\b$c', y: 'z', 'zfs.x_load': 'YES' });
    expect(fresh.problems.map(({ said }) => said[0])).toEqual([
      'Malformed line (1):',
      "Failed to parse variable 'end': Stray escape at end of line",
      "Failed to parse variable 'cash': Unescaped $ at end of line",
      "Failed to parse variable 'odd': Malformed variable expression at position '1'",
    ]);
    expect(moduleNamed(fresh, 'zfs.x').load).toBe(true);
    const old = readLoaderConf('n=4\nx="a\\b$n"\nm=a=b\nv_load=YES.1\nmin=-3', undefined, 'f', 'old');
    expect(Object.fromEntries(old.environment)).toEqual({ n: '4', x: 'a\\b4', 'm=a': 'b', min: '-3' });
    expect(old.problems.map(({ line }) => line)).toEqual([4]);
  });

  it('reads what each file names behind it, and nextboot.conf unless it says no', () => {
    const files: Record<string, string> = {
      '/boot/defaults/loader.conf': 'loader_conf_files="/a /b"\nnextboot_conf="/next"\nloader_conf_dirs="/d"',
      '/a': 'loader_conf_files="/c"\nfirst=1',
      '/b': 'second=2',
      '/c': 'loader_conf_files="/a"\nthird=3',
      '/d/x.conf': 'fourth=4',
      '/d/.y.conf': 'fifth=5',
      '/d/z.txt': 'sixth=6',
      '/next': 'kernel="other"',
    };
    const source = {
      read: (path: string) => (files[path] === undefined ? undefined : new TextEncoder().encode(files[path])),
      list: (path: string) => (path === '/d' ? ['x.conf', '.y.conf', 'z.txt'] : undefined),
    };
    expect(readLoaderFiles(source).files).toEqual([
      '/boot/defaults/loader.conf',
      '/a',
      '/c',
      '/b',
      '/d/.y.conf',
      '/d/x.conf',
      '/next',
    ]);
    files['/next'] = 'nextboot_enable="NO"\nkernel="other"';
    expect(readLoaderFiles(source).files).not.toContain('/next');
  });

  it('keeps modules out', () => {
    const conf = readLoaderConf('module_blacklist="drm,radeonkms; a"\na_load="YES"\nb_load="YES"');
    expect(isBlacklisted(conf, moduleNamed(conf, 'a'))).toBe(true);
    expect(isBlacklisted(conf, moduleNamed(conf, 'b'))).toBe(false);
  });

  it('takes any text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab_=" #$\\{}\n;.-123é'), maxLength: 200 }),
        (text) => {
          const conf = readLoaderConf(text);
          expect(conf.problems.length).toBeLessThanOrEqual(text.split('\n').length);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('kld_list of rc.conf', () => {
  it('is a list of words, that may be added to', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the file that is read
    expect(kldList(readRcConf('hostname="x"\nkld_list="a b"\nkld_list="${kld_list} c"'))).toEqual([
      'a',
      'b',
      'c',
    ]);
    expect(kldList(readRcConf('kld_list=single'))).toEqual(['single']);
    expect(kldList(readRcConf(''))).toEqual([]);
  });
});
