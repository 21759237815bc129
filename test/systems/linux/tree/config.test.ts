import { describe, expect, it } from 'vitest';
import { bucketOrder, superFastHash } from '../../../../src/systems/linux/tree/buckets.ts';
import { keepsPriority } from '../../../../src/systems/linux/tree/choose.ts';
import {
  emptyDepmodConfig,
  finishDepmodConfig,
  readDepmodConfig,
} from '../../../../src/systems/linux/tree/depmod-config.ts';
import { logicalLines, mergeConfigFiles } from '../../../../src/systems/linux/tree/lines.ts';
import {
  emptyModprobeConfig,
  readCommandLine,
  readModprobeConfig,
  softDependencies,
} from '../../../../src/systems/linux/tree/modprobe-config.ts';
import { isModuleFile, nameOfPath, normalizeAlias } from '../../../../src/systems/linux/tree/names.ts';

describe('names', () => {
  it('have underscores and no ending', () => {
    expect(nameOfPath('kernel/net/snd-hda.v2.ko.xz')).toBe('snd_hda');
    expect(isModuleFile('.ko')).toBe(false);
    expect(isModuleFile('a.ko.zst')).toBe(true);
    expect(isModuleFile('a.ko.bz2')).toBe(false);
  });

  it('keep what stands in brackets', () => {
    expect(normalizeAlias('a-b[0-9]-c')).toBe('a_b[0-9]_c');
    expect(normalizeAlias('a]b')).toBeUndefined();
    expect(normalizeAlias('a[b')).toBeUndefined();
  });
});

describe('the table of names', () => {
  it('is ordered by a known hash', () => {
    // Values of the reference implementation for 0 to 4 bytes.
    expect(superFastHash(new Uint8Array(), 0, 0)).toBe(0);
    expect(bucketOrder(['b', 'a', 'c'], 1)).toEqual(['a', 'b', 'c']);
    expect(new Set(bucketOrder(['ext4', 'jbd2', 'mbcache'], 512))).toEqual(
      new Set(['ext4', 'jbd2', 'mbcache']),
    );
  });
});

describe('configuration files', () => {
  it('join lines that end in a backslash', () => {
    expect(logicalLines('a \\\nb\nc\\d\n\nlast')).toEqual([
      { text: 'a b', number: 2 },
      { text: 'cd', number: 3 },
      { text: '', number: 4 },
      { text: 'last', number: 5 },
    ]);
  });

  it('are sorted by name over all folders, the first of a name wins', () => {
    const file = (folder: string, name: string) => ({ path: `${folder}/${name}`, name });
    const merged = mergeConfigFiles([
      [file('/etc', 'b.conf')],
      [file('/lib', 'b.conf'), file('/lib', 'a.conf')],
    ]);
    expect(merged.map(({ path }) => path)).toEqual(['/lib/a.conf', '/etc/b.conf']);
  });
});

describe('depmod.d', () => {
  const read = (text: string) => {
    const config = emptyDepmodConfig();
    const messages = readDepmodConfig(config, 'x.conf', text, '6.1.0-9-amd64');
    finishDepmodConfig(config);
    return { config, messages };
  };

  it('says what it cannot mean', () => {
    expect(read('nonsense 1\noverride a\ninclude y\nexternal ^5 /x\n').messages).toEqual([
      { level: 'error', text: "x.conf:1: ignoring bad line starting with 'nonsense'" },
      { level: 'error', text: "x.conf:2: ignoring bad line starting with 'override'" },
      { level: 'info', text: 'x.conf:3: command include not implemented yet' },
      { level: 'info', text: 'x.conf:4: external directory did not match ^5' },
    ]);
  });

  it('chooses between two files of one name', () => {
    const tree = '/lib/modules/6.1.0-9-amd64';
    const keeps = (text: string, old: string, newer: string) =>
      keepsPriority(read(text).config, tree, `${tree}/${old}`, `${tree}/${newer}`);
    // updates before what is built with the kernel, unless told otherwise.
    expect(keeps('', 'kernel/a.ko', 'updates/a.ko')).toBe(false);
    expect(keeps('', 'updates/a.ko', 'kernel/a.ko')).toBe(true);
    expect(keeps('', 'kernel/x/a.ko', 'kernel/y/a.ko')).toBe(true);
    expect(keeps('search built-in updates\n', 'kernel/a.ko', 'updates/a.ko')).toBe(true);
    expect(keeps('search extra updates built-in\n', 'updates/a.ko', 'extra/a.ko.xz')).toBe(false);
    expect(keeps('override a * weird\n', 'updates/a.ko', 'weird/a.ko')).toBe(false);
    expect(keeps('override a ^5 weird\n', 'updates/a.ko', 'weird/a.ko')).toBe(true);
  });
});

describe('modprobe.d', () => {
  it('is read as the tool reads it', () => {
    const config = emptyModprobeConfig();
    const text =
      'alias net-pf-* a-b\nblacklist x-y\noptions a-b c=1\td\ninstall q /bin/true; exit\nremove q x\n' +
      'softdep m none pre: a  b post: c\nweakdep m z\nalias only\nconfig z\n';
    expect(readModprobeConfig(config, { path: 'f', ofTree: false, compat: false }, text)).toEqual([
      "f line 8: ignoring bad line starting with 'alias'",
      'f: command config is deprecated and not parsed anymore',
    ]);
    expect(config.aliases).toEqual([{ alias: 'net_pf_*', module: 'a_b' }]);
    expect(config.blacklist).toEqual(['x_y']);
    expect(config.options).toEqual([{ module: 'a_b', options: 'c=1 d' }]);
    expect(config.install).toEqual([{ module: 'q', command: '/bin/true; exit' }]);
    expect(config.softdeps).toEqual([
      { module: 'm', ofTree: false, pre: ['a', 'b'], post: ['c'], text: 'pre: a bpost: c' },
    ]);
    expect(softDependencies('pre: a post: b pre: c post: d')).toEqual({
      pre: ['a', 'c'],
      post: ['b', 'd'],
      text: 'pre: a b cpost: b c d',
    });
    // ' pre:' is no 'pre:'.
    expect(softDependencies(' pre: a').pre).toEqual([]);
    expect(softDependencies('  pre: a').pre).toEqual(['a']);
  });

  it('takes parameters from the kernel command line', () => {
    const config = emptyModprobeConfig();
    readCommandLine(
      config,
      'root=/dev/sda1 quiet modprobe.blacklist=a,b snd-hda.x=1 usb.y "p.dyndbg=file a.c +p" i8042.a.b=1\n',
    );
    expect(config.blacklist).toEqual(['a', 'b']);
    expect(config.options).toEqual([
      { module: 'snd_hda', options: 'x=1' },
      { module: 'usb', options: 'y' },
      { module: 'p', options: 'dyndbg="file a.c +p"' },
    ]);
  });
});
