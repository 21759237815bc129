/** Odd module trees and command lines for depmod and modinfo, all from one seed. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { oddModule } from './odd-module.ts';
import type { Random } from './random.ts';

export const RELEASE = '6.1.0-odd';

export interface Files {
  /** By kind, real modules of several machines. */
  readonly real: readonly Uint8Array[];
  /** Makes a broken one of a module. */
  readonly damage?: (module: Uint8Array, seed: number) => Uint8Array;
}

type Pick = <T>(list: readonly T[]) => T;

/** A tree below a root of its own. */
export class OddTree {
  readonly root: string;
  readonly folder: string;
  /** In the order in which they were made, with double ones. */
  readonly modules: string[] = [];
  private readonly random: Random;
  private readonly files: Files;

  /** `root`: where it is made; without it, in a folder of its own. */
  constructor(random: Random, files: Files, root?: string) {
    this.random = random;
    this.files = files;
    this.root = root ?? realpathSync(mkdtempSync(join(tmpdir(), 'lkm-odd-')));
    this.folder = join(this.root, 'lib/modules', RELEASE);
    mkdirSync(this.folder, { recursive: true });
    this.fill();
  }

  readonly pick: Pick = (list) => list[this.random.below(list.length)];

  chance(one: number): boolean {
    return this.random.below(one) === 0;
  }

  write(path: string, content: string | Uint8Array): string {
    const full = Buffer.from(join(this.folder, path), 'latin1');
    mkdirSync(Buffer.from(dirname(join(this.folder, path)), 'latin1'), { recursive: true });
    writeFileSync(full, content, typeof content === 'string' ? 'latin1' : undefined);
    return join(this.folder, path);
  }

  private fill(): void {
    const count = 3 + this.random.below(12);
    for (let i = 0; i < count; i++) this.addModule(i);
    if (this.chance(3)) this.addOddity();
    if (!this.chance(4)) this.write('modules.order', this.order());
    if (!this.chance(4)) this.write('modules.builtin', this.builtin());
    if (!this.chance(4)) this.write('modules.builtin.modinfo', this.builtinInfo());
  }

  private addModule(i: number): void {
    const folder = this.pick([
      'kernel',
      'kernel/fs',
      'updates',
      'extra',
      'kernel/drivers/net',
      'updates/dkms',
      'build',
      'weak',
      '.',
    ]);
    const name = (this.chance(40) ? 'caf\xe9' : this.pick(ODD_NAMES)) + (this.chance(2) ? String(i % 5) : '');
    const [bytes, ending] = this.packed(this.bytes(i));
    const path = `${folder}/${name}${ending}`.replace(/^\.\//, '');
    this.modules.push(this.write(path, bytes));
  }

  private bytes(i: number): Uint8Array {
    const kind = this.random.below(12);
    if (kind < 3) return this.pick(this.files.real);
    if (kind === 6 && this.files.damage !== undefined)
      return this.files.damage(this.pick(this.files.real), this.random.below(2 ** 31));
    const made = this.made(i);
    if (kind === 3) return made.slice(0, this.random.below(made.length));
    if (kind === 4) {
      for (let n = 1 + this.random.below(3); n > 0; n--)
        made[this.random.below(this.chance(2) ? 64 : made.length)] = this.random.below(256);
      return made;
    }
    if (kind === 5 && this.chance(2))
      return Uint8Array.from(this.pick(['', 'x', 'no module at all\n', '\x7fELF']), (char) =>
        char.charCodeAt(0),
      );
    return made;
  }

  private made(i: number): Uint8Array {
    const symbols = ['alpha', 'beta', 'gamma', 'delta', 'eps.ilon', '.dotted', '_under', 'a-b'];
    const some = <T>(list: readonly T[], most: number): T[] =>
      Array.from({ length: this.random.below(most + 1) }, () => this.pick(list));
    const needs = some([...symbols, 'printk', '?weakly', '?beta', '', 'TOC.'], 4);
    const exports = some(symbols, 2).map(
      (name) => [`${name}${this.chance(2) ? '' : i}`, this.random.below(2 ** 32)] as const,
    );
    return oddModule({
      bits: this.chance(4) ? 32 : 64,
      littleEndian: !this.chance(5),
      machine: this.pick([62, 62, 62, 3, 2, 43, 21, 183]),
      needs,
      crcSection: this.chance(3),
      ...(this.chance(2) ? { exports } : { names: some([...symbols, ''], 2) }),
      ...(this.chance(2) && {
        versions: [
          ...(this.chance(3) ? [] : [['module_layout', 1] as const]),
          ...needs.map((need) => [need.replace('?', ''), this.random.below(4)] as const),
          ...(this.chance(4) ? [['extra_one', 7] as const] : []),
        ],
      }),
      ...(!this.chance(6) && { modinfo: [...some(INFO, 6), ...(this.chance(40) ? ['alias=caf\xe9'] : [])] }),
    });
  }

  private packed(bytes: Uint8Array): readonly [Uint8Array, string] {
    const ending = this.pick(['.ko', '.ko', '.ko', '.ko', '.ko.gz', '.ko.xz', '.ko.zst', '.o', '.ko.bz2']);
    if (this.chance(8)) return [bytes, ending];
    let packed = bytes;
    if (ending === '.ko.gz') packed = gzipSync(bytes);
    else if (ending === '.ko.xz') packed = execFileSync('xz', ['-c', '--check=crc32'], { input: bytes });
    else if (ending === '.ko.zst')
      packed = execFileSync('zstd', ['-c', '-q', ...(this.chance(4) ? ['--no-content-size'] : [])], {
        input: bytes,
      });
    if (ending !== '.ko' && this.chance(8)) packed = packed.subarray(0, this.random.below(packed.length));
    return [packed, ending];
  }

  private addOddity(): void {
    const at = (name: string) => Buffer.from(join(this.folder, name), 'latin1');
    switch (this.random.below(8)) {
      case 0:
        symlinkSync('nowhere', at('dangling.ko'));
        break;
      case 1:
        symlinkSync('ring.ko', at('ring.ko'));
        break;
      case 2:
        mkdirSync(at('folder.ko'));
        break;
      case 3:
        execFileSync('mkfifo', [join(this.folder, 'pipe.ko')]);
        break;
      case 4:
        symlinkSync(this.modules[0], at('linked-one.ko'));
        break;
      case 5:
        rmSync(at('build'), { recursive: true, force: true });
        symlinkSync('/nonexistent', at('build'));
        symlinkSync('/nonexistent', at('source'));
        break;
      case 6:
        mkdirSync(at('deep/empty.ko.xz'), { recursive: true });
        break;
      case 7:
        symlinkSync('kernel', at('again'));
        break;
    }
  }

  private order(): string {
    const lines = this.modules
      .filter(() => !this.chance(4))
      .map((path) => path.slice(this.folder.length + 1).replace(/\.ko\..*$/, '.ko'));
    if (this.chance(3)) lines.push('kernel/nothing.ko', '', lines[0] ?? 'x');
    if (this.chance(2)) lines.reverse();
    return lines
      .map((line) => `${line}\n`)
      .join('')
      .slice(0, this.chance(5) ? -1 : undefined);
  }

  private builtin(): string {
    const lines = [
      'kernel/fs/proc.ko',
      'kernel/lib/a-b.ko',
      'kernel/x.y.ko',
      '/abs.ko',
      '',
      ' blank.ko',
      'plain',
    ];
    return Array.from({ length: this.random.below(6) }, () => `${this.pick(lines)}\n`)
      .join('')
      .slice(0, this.chance(4) ? -1 : undefined);
  }

  private builtinInfo(): string {
    const strings = [
      'proc.alias=fs-proc',
      'proc.license=GPL',
      'a_b.alias=pci:v*d[0-9]-x',
      'a_b.alias=bad]',
      'noequals',
      '.alias=x',
      'x.alias=',
      'x.aliasing=y',
      '=',
      'a_b.file=lib/a-b',
      'proc.alias=devname:proc',
    ];
    return Array.from({ length: this.random.below(8) }, () => `${this.pick(strings)}\0`)
      .join('')
      .slice(0, this.chance(4) ? -1 : undefined);
  }

  /** A file or folder of configuration, and its path. */
  config(): string {
    const lines = Array.from({ length: 1 + this.random.below(6) }, () => this.pick(DEPMOD_CONFIG)).map(
      (line) => line.replaceAll('@', this.root),
    );
    const text = lines.join('\n') + (this.chance(4) ? '' : '\n');
    const folder = join(this.root, 'conf');
    mkdirSync(folder, { recursive: true });
    mkdirSync(join(this.root, 'outside'), { recursive: true });
    writeFileSync(
      join(this.root, 'outside', 'alone.ko'),
      oddModule({ exports: [['alpha', 1]], modinfo: ['alias=alone'] }),
    );
    writeFileSync(join(this.root, 'outside', 'plain.ko'), oddModule({ exports: [['beta', 1]] }));
    writeFileSync(
      join(folder, this.pick(['a.conf', 'b.conf', 'odd name.conf', '.hidden.conf', 'noending'])),
      text,
      'latin1',
    );
    writeFileSync(
      join(folder, 'z.conf'),
      `${this.pick(DEPMOD_CONFIG).replaceAll('@', this.root)}\n`,
      'latin1',
    );
    return this.chance(2) ? folder : join(folder, 'z.conf');
  }

  symbols(): { symvers: string; map: string } {
    const crc = () => `0x${this.random.below(4).toString(16).padStart(8, '0')}`;
    const names = ['printk', 'alpha', 'beta', 'gamma', '_under', 'dotted'];
    const symvers = names
      .filter(() => !this.chance(3))
      .map(
        (name) => `${crc()}\t${name}\t${this.pick(['vmlinux', 'vmlinux', 'kernel/fs/x'])}\tEXPORT_SYMBOL\n`,
      );
    if (this.chance(3)) symvers.push('bad line\n', 'zz\tq\tvmlinux\n', '\n');
    const map = names.map(
      (name) => `ffffffff81000000 ${this.pick(['r', 'T'])} ${this.pick(['__ksymtab_', '', '_'])}${name}\n`,
    );
    if (this.chance(3)) map.push('short\n', 'two words\n');
    const at = (name: string, text: string) => {
      writeFileSync(join(this.root, name), text);
      return join(this.root, name);
    };
    return { symvers: at('Module.symvers', symvers.join('')), map: at('System.map', map.join('')) };
  }

  /** Words for depmod; the tool writes below `out` unless it only shows. */
  depmodWords(out: string): string[] {
    const words: string[] = [];
    const { symvers, map } = this.symbols();
    if (this.chance(3)) words.push('-n');
    if (this.chance(4)) words.push('-v');
    if (this.chance(3)) words.push('-w');
    if (this.chance(3)) words.push('-C', this.config());
    else words.push('-C', '/nonexistent');
    if (this.chance(3)) words.push('-e');
    if (this.chance(3))
      words.push(
        ...this.pick([['-E', symvers], ['-F', map], ['-F', '/nonexistent'], [`--symvers=${symvers}`]]),
      );
    if (this.chance(8)) words.push('-P', this.pick(['_', '.', 'ab', 'a']));
    if (this.chance(10)) words.push(this.pick(['-A', '-a', '--quick', '--all']));
    words.push('-b', this.root, '-o', out);
    if (this.chance(12))
      words.push('-m', this.pick(['lib/modules', '/lib/modules', 'usr/lib/modules', 'lib//modules/']));
    words.push(this.chance(20) ? this.pick(['6.1', 'x', '6', '6.x', '9.9.9', '']) : RELEASE);
    if (this.chance(5))
      for (let i = 1 + this.random.below(3); i > 0; i--)
        words.push(
          this.chance(6)
            ? this.pick(['/nonexistent.ko', 'relative.ko', this.folder])
            : this.pick(this.modules),
        );
    return words;
  }

  modinfoWords(): string[] {
    const words: string[] = [];
    if (this.chance(3))
      words.push(
        ...this.pick([
          ['-F', 'alias'],
          ['-F', 'parm'],
          ['-F', 'filename'],
          ['-F', 'name'],
          ['-F', 'ALIAS'],
          ['-a'],
          ['-d'],
          ['-l'],
          ['-p'],
          ['-n'],
        ]),
      );
    if (this.chance(4)) words.push('-0');
    if (this.chance(6)) words.push('-m');
    words.push('-b', this.root, '-k', RELEASE);
    for (let i = 1 + this.random.below(4); i > 0; i--)
      words.push(
        this.chance(5)
          ? this.pick([
              'nothing',
              'proc',
              'fs-proc',
              'a-b',
              'pci:v1d5-x',
              'bad]',
              '/nonexistent.ko',
              this.folder,
            ])
          : this.chance(2)
            ? this.pick(this.modules)
            : this.pick(ODD_NAMES),
      );
    return words;
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export const ODD_NAMES: readonly string[] = [
  'ext',
  'one-two',
  'one_two',
  'with.dot',
  'plain',
  'snd',
  'Upper',
  'a b',
  'new\nline',
  'x',
];

const INFO = [
  'license=GPL',
  'alias=pci:v00008086d00001234sv*sd*bc*sc*i*',
  'alias=net-pf-10',
  'alias=char-major-10-200',
  'alias=devname:net/tun',
  'alias=block-major-7-*',
  'alias=block-major-+7-0x3',
  'alias=devname:loop-control',
  'alias=bad[bracket',
  'alias=worse]',
  'alias=of:N*T*Ca-b,c-d[0-9]-e',
  'alias=',
  'softdep=pre: one two post: three',
  'softdep=',
  'weakdep=plain x',
  'parm=debug:level of messages',
  'parmtype=debug:int',
  'parm=nocolon',
  'parmtype=other:bool',
  'author=Somebody <x@y>',
  'description=Text with = signs and\ttabs',
  'version=1.0',
  'no equals sign',
  '=nothing before',
  'srcversion=ABCDEF',
  '',
];

export const DEPMOD_CONFIG: readonly string[] = [
  'search updates extra built-in',
  'search built-in updates',
  'search external extra built-in',
  'search weak',
  'search',
  'override plain * updates',
  'override one-two 6.* extra',
  'override one_two 5.* extra',
  'override plain',
  'override ext [ updates',
  'external * @/outside',
  'external 6.1.* @/outside',
  'external *',
  'exclude extra .git',
  'exclude',
  'make_map_files yes',
  'include /etc/x',
  'nonsense words here',
  '# a comment',
  '',
  'search \\',
  '   search   updates\tbuilt-in',
  'search updates # comment',
];
