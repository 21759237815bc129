/** Command lines of all module tools over odd trees, in a root of their own. */
import { readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandLine, configure, PARAMETERS, pretendLoaded } from './kmod-lines.ts';
import type { KmodRoot } from './kmod-root.ts';
import { DEPMOD_CONFIG, type Files, ODD_NAMES, OddTree, RELEASE } from './odd-trees.ts';
import type { Random } from './random.ts';

const DEPMOD_FOLDERS = ['etc', 'run', 'usr/local/lib', 'usr/lib', 'lib'].map((one) => `${one}/depmod.d`);

/** Names and aliases that modules and indexes of odd trees have, and some that they do not. */
const WORDS = [
  ...ODD_NAMES,
  ...ODD_NAMES.map((name) => name.replaceAll('-', '_')),
  ...[0, 1, 2, 3, 4].flatMap((i) => [`plain${i}`, `one-two${i}`, `ext${i}`, `x${i}`]),
  'proc',
  'a-b',
  'a_b',
  'fs-proc',
  'pci:v00008086d00001234sv0sd0bc0sc0i0',
  'pci:v1d5-x',
  'net-pf-10',
  'char-major-10-200',
  'block-major-7-0',
  'of:NxTyCa-b,c-d5-e',
  'symbol:alpha',
  'symbol:eps.ilon',
  'alone',
  'nosuch',
  'bad[bracket',
  'worse]',
  'caf\xe9',
];

export class OddRoot {
  readonly root: KmodRoot;
  private readonly random: Random;
  private tree: OddTree;

  constructor(root: KmodRoot, random: Random, files: Files) {
    this.root = root;
    this.random = random;
    root.clear('lib/modules', 'conf', 'outside', ...DEPMOD_FOLDERS);
    this.tree = new OddTree(random, files, root.path);
    this.tree.config();
    if (this.chance(2)) symlinkSync(RELEASE, join(root.path, 'lib/modules', root.release));
    for (let i = random.below(3); i > 0; i--)
      root.write(
        `${random.pick(DEPMOD_FOLDERS)}/${random.pick(['a.conf', 'b.conf', '.c.conf', 'README'])}`,
        this.depmodConfig(),
      );
    const names = [...ODD_NAMES, 'plain1', 'ext2', 'one_two3', 'proc'];
    configure(root, random, names);
    pretendLoaded(root, random, ['ext', 'one_two', 'plain', 'plain1', 'snd', 'x', 'proc']);
  }

  private chance(one: number): boolean {
    return this.random.below(one) === 0;
  }

  private depmodConfig(): string {
    return Array.from({ length: 1 + this.random.below(4) }, () =>
      this.random.pick(DEPMOD_CONFIG).replaceAll('@', ''),
    ).join('\n');
  }

  /** Indexes as the tool makes them, or some of them. */
  index(kmod: (words: readonly string[]) => void): void {
    if (this.chance(6)) return;
    kmod(['-C', '/nonexistent', '-b', this.root.path, RELEASE]);
    if (!this.chance(4)) return;
    const made = readdirSync(this.tree.folder).filter((name) => /^modules\./.test(name));
    if (made.length > 0) this.root.clear(`lib/modules/${RELEASE}/${this.random.pick(made)}`);
  }

  private readonly files = (): string => {
    const { random, tree } = this;
    const path = random.pick(tree.modules).slice(this.root.path.length);
    return this.chance(12)
      ? random.pick([
          '/nosuch.ko',
          `/lib/modules/${RELEASE}`,
          `.${path}`,
          `/lib/modules/${RELEASE}/modules.dep`,
          `${path}/`,
          `/.${path}`,
        ])
      : path;
  };

  line(): CommandLine {
    const { random } = this;
    const { pick } = random;
    const tool = pick([
      'modprobe',
      'modprobe',
      'modprobe',
      'modinfo',
      'modinfo',
      'depmod',
      'depmod',
      'insmod',
      'rmmod',
    ]);
    const words: string[] = [];
    const environment: Record<string, string> = {};
    const word = () => (this.chance(4) ? this.files() : pick(WORDS));
    const release = this.chance(3) ? [] : [RELEASE];
    switch (tool) {
      case 'modprobe': {
        words.push(
          ...pick([
            ['-D'],
            ['-n', '-v'],
            ['-R'],
            ['-c'],
            ['-rnv'],
            ['--show-exports'],
            ['--show-modversions'],
            ['-D', '-a'],
            ['-nr', '--remove-holders'],
            ['-v', '-n', '-i'],
            ['-q'],
            ['--show-depends', '-b'],
            [],
          ]),
        );
        for (const option of ['-q', '-b', '-i', '--first-time', '-f', '--force-modversion', '-a', '-v'])
          if (this.chance(12)) words.push(option);
        for (const one of release) words.push('-S', one);
        if (this.chance(8)) words.push('-d', pick(['/', '', '.', '/nosuch', '//']));
        if (this.chance(12))
          environment.MODPROBE_OPTIONS = pick(['-v', '-q -n', '"a b"', "-C '/etc/more.conf'"]);
        if (!this.chance(30))
          words.push(
            words.some((one) => /^--show-(e|m)/.test(one)) && !this.chance(4) ? this.files() : word(),
          );
        while (this.chance(4)) words.push(pick(PARAMETERS));
        break;
      }
      case 'modinfo': {
        if (this.chance(3))
          words.push(
            ...pick([
              ['-F', 'alias'],
              ['-F', 'parm'],
              ['-F', 'name'],
              ['-p'],
              ['-l'],
              ['-n'],
              ['-F', 'signature'],
              ['-F', 'sig_id'],
              ['-F', 'build-id'],
              ['-F', ''],
            ]),
          );
        if (this.chance(5)) words.push('-0');
        if (this.chance(8)) words.push('-m');
        for (const one of release) words.push('-k', one);
        do words.push(this.chance(3) ? pick(WORDS) : this.files());
        while (this.chance(2));
        break;
      }
      case 'depmod': {
        words.push('-n');
        for (const option of ['-v', '-w', '-e', '-a', '-A']) if (this.chance(6)) words.push(option);
        if (this.chance(5))
          words.push(
            '-C',
            pick(['/conf', '/conf/z.conf', '/nosuch', '/etc/depmod.d', '/etc/depmod.d/a.conf', 'conf']),
          );
        if (this.chance(6)) words.push('-b', pick(['/', '', '.', '/nosuch', '//', '/./']));
        if (this.chance(10))
          words.push('-m', pick(['lib/modules', '/lib//modules', '/lib/modules/', '', 'x']));
        words.push(...release);
        if (release.length > 0 && this.chance(4))
          do words.push(this.files());
          while (this.chance(2));
        break;
      }
      case 'insmod':
        if (this.chance(4)) words.push(pick(['-f', '--force-vermagic', '--force-modversion']));
        words.push(this.files());
        while (this.chance(3)) words.push(pick(PARAMETERS));
        break;
      default:
        if (this.chance(4)) words.push('-f');
        do words.push(word());
        while (this.chance(3));
    }
    return { tool, words, environment, folder: pick(['/', '/', '/etc', `/lib/modules/${RELEASE}`]) };
  }
}
