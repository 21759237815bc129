import { describe, expect, it } from 'vitest';
import {
  isBlacklisted,
  kldList,
  moduleNamed,
  readLoaderConf,
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
      'a.b="one two"\nn=42\nc="x${a.b}y"\nexec="echo hi"\nbare=word\nwhat is this\nq="open',
    );
    expect(Object.fromEntries(conf.environment)).toEqual({ 'a.b': 'one two', n: '42', c: 'xone twoy' });
    expect(conf.commands).toEqual(['echo hi']);
    expect(conf.problems.map(({ line }) => line)).toEqual([5, 6, 7]);
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
    expect(kldList('hostname="x"\nkld_list="a b"\nkld_list="${kld_list} c"')).toEqual(['a', 'b', 'c']);
    expect(kldList('kld_list=single')).toEqual(['single']);
    expect(kldList('')).toEqual([]);
  });
});
