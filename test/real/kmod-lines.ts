/** Trees, configurations and command lines for the module tools: real modules, odd surroundings, all from one seed. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { TrieBuilder } from '../../src/systems/linux/tree/trie-builder.ts';
import type { KmodRoot } from './kmod-root.ts';
import type { Random } from './random.ts';

/** Modules of a Debian kernel with dependencies, soft dependencies, aliases and parameters. */
const MODULES = [
  'fs/ext4/ext4.ko',
  'fs/jbd2/jbd2.ko',
  'fs/mbcache.ko',
  'lib/crc16.ko',
  'lib/libcrc32c.ko',
  'crypto/crc32c_generic.ko',
  'fs/btrfs/btrfs.ko',
  'crypto/xor.ko',
  'lib/raid6/raid6_pq.ko',
  'lib/zstd/zstd_compress.ko',
  'crypto/blake2b_generic.ko',
  'crypto/xxhash_generic.ko',
  'fs/fat/fat.ko',
  'fs/fat/vfat.ko',
  'fs/nls/nls_cp437.ko',
  'fs/nls/nls_ascii.ko',
  'drivers/net/dummy.ko',
  'drivers/net/veth.ko',
  'drivers/net/ethernet/intel/e1000e/e1000e.ko',
  'drivers/net/ethernet/intel/e1000/e1000.ko',
  'drivers/i2c/algos/i2c-algo-bit.ko',
  'drivers/net/ethernet/intel/igb/igb.ko',
  'drivers/block/loop.ko',
  'drivers/block/nbd.ko',
  'net/bridge/bridge.ko',
  'net/802/stp.ko',
  'net/llc/llc.ko',
  'crypto/crypto_simd.ko',
  'crypto/cryptd.ko',
  'arch/x86/crypto/aesni-intel.ko',
  'sound/soundcore.ko',
];

/** Releases of the trees beside the running one's, and what is wrong with each. */
export const ODD = {
  holes: '5.1.0-holes',
  bare: '5.2.0-bare',
  cut: '5.3.0-cut',
  knot: '5.4.0-knot',
} as const;

export function makeTrees(root: KmodRoot, source: string): void {
  const tree = `lib/modules/${root.release}`;
  MODULES.forEach((path, i) => {
    const [bytes, ending] = packed(readFileSync(join(source, 'kernel', path)), i);
    root.write(`${tree}/kernel/${path}${ending}`, bytes);
  });
  for (const name of ['modules.builtin', 'modules.builtin.modinfo', 'modules.order'])
    root.write(`${tree}/${name}`, readFileSync(join(source, name)));
  root.index(root.release);
  const copy = (to: string) =>
    execFileSync('cp', ['-r', join(root.path, tree), join(root.path, 'lib/modules', to)]);
  copy(ODD.holes);
  copy(ODD.cut);
  copy(ODD.bare);
  const at = (odd: keyof typeof ODD, path: string) => `lib/modules/${ODD[odd]}/${path}`;
  execFileSync('sh', ['-c', `rm ${join(root.path, at('bare', 'modules.*'))}`]);
  root.clear(at('holes', 'kernel/lib/crc16.ko.zst'), at('holes', 'kernel/drivers/i2c'));
  root.write(at('holes', 'kernel/drivers/net/dummy.ko'), 'no module at all');
  root.write(at('holes', 'kernel/drivers/net/veth.ko'), '');
  for (const [path, keep] of [
    ['fs/mbcache.ko.xz', 0.5],
    ['fs/btrfs/btrfs.ko.xz', 0.001],
    ['fs/jbd2/jbd2.ko.gz', 0.6],
  ] as const) {
    const bytes = readFileSync(join(root.path, tree, 'kernel', path));
    root.write(at('holes', `kernel/${path}`), bytes.subarray(0, bytes.length * keep));
  }
  const spoilt = readFileSync(join(root.path, tree, 'kernel/fs/fat/vfat.ko.gz'));
  root.write(at('holes', 'kernel/fs/fat/vfat.ko.gz'), spoilt.fill(0xff, 2000, 2400));
  const unsized = execFileSync('zstd', ['-q', '-c'], {
    input: readFileSync('fixtures/linux/built/hello.ko'),
  });
  root.write(at('holes', 'kernel/crypto/xor.ko.zst'), unsized);
  for (const [index, keep] of [
    ['dep', 1000],
    ['alias', 9],
    ['symbols', 20000],
    ['builtin', 0],
  ] as const) {
    const bytes = readFileSync(join(root.path, at('cut', `modules.${index}.bin`)));
    root.write(at('cut', `modules.${index}.bin`), bytes.subarray(0, keep));
  }
  knot(root, `lib/modules/${ODD.knot}`);
}

/** Indexes that no depmod writes: cycles, absent files, lines without a colon, aliases with wildcards. */
function knot(root: KmodRoot, tree: string): void {
  const plain = readFileSync('fixtures/linux/built/hello.ko');
  for (const name of ['a', 'b', 'c', 'd', 'self', 'lost_user', 'x-y'])
    root.write(`${tree}/${name}.ko`, plain);
  const index = (name: string, lines: readonly (readonly [key: string, value: string, rank?: number])[]) => {
    const trie = new TrieBuilder();
    for (const [key, value, rank] of lines) trie.add(key, value, rank ?? 0);
    root.write(`${tree}/modules.${name}.bin`, trie.write());
  };
  index('dep', [
    ['a', 'a.ko: b.ko c.ko'],
    ['b', 'b.ko: a.ko'],
    ['c', 'c.ko:\td.ko \t b.ko'],
    ['d', 'd.ko:'],
    ['self', 'self.ko: self.ko'],
    ['lost', 'lost.ko:'],
    ['lost_user', 'lost_user.ko: d.ko lost.ko'],
    ['nocolon', 'nocolon.ko'],
    ['x_y', 'x-y.ko:'],
    ['elsewhere', `/${tree}/d.ko: /${tree}/x-y.ko`],
    ['twice', 'd.ko: c.ko'],
  ]);
  index('alias', [
    ['pci:v*d00*', 'a', 2],
    ['pci:v*d00*', 'b', 1],
    ['pci:v0001d00[0-9]1', 'c', 3],
    ['usb:?x', 'd'],
    ['nothing', 'nosuch'],
    ['d', 'a'],
    ['char_major_10_*', 'x_y'],
  ]);
  index('symbols', [
    ['symbol:thing', 'd'],
    ['symbol:other', 'nosuch'],
  ]);
  index('builtin', [
    ['inside', ''],
    ['b', ''],
  ]);
  index('builtin.alias', [['fs_inside', 'inside']]);
  root.write(
    `${tree}/modules.softdep`,
    '# Soft dependencies\nsoftdep a pre: d post: x-y\nsoftdep a pre: self\n',
  );
  root.write(`${tree}/modules.weakdep`, 'weakdep c d\n');
}

function packed(bytes: Uint8Array, i: number): [Uint8Array, string] {
  const by = (program: string, ...words: string[]) =>
    execFileSync(program, words, { input: bytes, maxBuffer: 2 ** 28 });
  switch (i % 4) {
    case 1:
      return [gzipSync(bytes), '.gz'];
    case 2:
      return [by('xz', '--check=crc32', '--lzma2=dict=1MiB', '-c'), '.xz'];
    case 3:
      // The tools want to know the size beforehand.
      return [by('zstd', '-q', '-c', `--stream-size=${bytes.length}`), '.zst'];
    default:
      return [bytes, ''];
  }
}

// -- configuration --------------------------------------------------------------------------------------------

export const CONFIG_FOLDERS = ['etc', 'run', 'usr/local/lib', 'usr/lib', 'lib'].map(
  (one) => `${one}/modprobe.d`,
);

const NAMES = [
  'ext4',
  'btrfs',
  'e1000e',
  'dummy',
  'bridge',
  'vfat',
  'crc32c_generic',
  'loop',
  'a',
  'd',
  'c',
  'x-y',
  'x_y',
];
const ALIASES = [
  'net-pf-99',
  'fs-ext4',
  'my*',
  'pci:v*',
  'd',
  'char-major-10-200',
  'symbol:thing',
  'ho[a-c]e',
  'eth0',
  'un[closed',
];
export const PARAMETERS = [
  'numdummies=3',
  'max_loop=8',
  'debug',
  'a=b c=d',
  'text="two words"',
  'x=y\tz=1',
  "q='s t'",
];

export function configFile(random: Random, names: readonly string[] = NAMES): string {
  let text = '';
  for (let i = 1 + random.below(7); i > 0; i--)
    text += `${line(random, names)}${random.below(12) === 0 ? '' : '\n'}`;
  return text;
}

function line(random: Random, names: readonly string[]): string {
  const { pick } = random;
  const name = () => pick(names);
  const command = () =>
    pick([
      '/bin/echo hi $CMDLINE_OPTS',
      '/bin/true',
      '/bin/false',
      'exit 7',
      '/bin/echo [$MODPROBE_OPTIONS]',
      '/bin/echo $MODPROBE_MODULE; /bin/echo $CMDLINE_OPTS',
      '',
    ]);
  switch (random.below(20)) {
    case 0:
      return `alias ${pick(ALIASES)} ${name()}`;
    case 1:
      return `alias ${pick(ALIASES)}`;
    case 2:
    case 3:
      return `options ${random.below(3) === 0 ? pick(ALIASES) : name()} ${pick(PARAMETERS)}`;
    case 4:
      return `blacklist ${name()}`;
    case 5:
    case 6:
      return `install ${random.below(5) === 0 ? 'v*' : name()} ${command()}`;
    case 7:
      return `remove ${name()} ${command()}`;
    case 8:
    case 9:
      return `softdep ${name()} pre: ${name()} ${name()} post: ${name()}`;
    case 10:
      return `softdep ${name()} ${pick(['pre:', 'post:', 'pre: nosuch', 'stray pre: dummy', 'pre:dummy post: loop', ''])}`;
    case 11:
      return `weakdep ${name()} ${pick([name(), '', `${name()}  ${name()}`])}`;
    case 12:
      return pick(['include /etc/other', 'config x', 'nonsense here', 'mask', 'ALIAS a b', 'alias']);
    case 13:
      return pick([
        '# comment',
        '',
        '   ',
        '\t# set in',
        '  blacklist dummy',
        'blacklist',
        'options dummy',
        'options',
        'install loop',
      ]);
    case 14:
      return `options dummy \\\n numdummies=2 \\\n  more=1`;
    case 15:
      return `blacklist \\dummy`;
    case 16:
      return `alias\teth1\t${name()}`;
    case 17:
      return `options   ${name()}    ${pick(PARAMETERS)}  `;
    case 18:
      return `alias ${pick(ALIASES)} ${pick(ALIASES)}`;
    default:
      return `install ${name()} /sbin/modprobe --ignore-install ${name()} \\\n $CMDLINE_OPTS`;
  }
}

/** Files of modprobe.d in some of its folders, and the kernel's command line. */
export function configure(root: KmodRoot, random: Random, words: readonly string[] = NAMES): void {
  root.clear(...CONFIG_FOLDERS, 'etc/more.conf', 'etc/more.d');
  for (let i = random.below(6); i > 0; i--) {
    const folder = CONFIG_FOLDERS[random.below(CONFIG_FOLDERS.length)];
    const names = [
      'a.conf',
      'b.conf',
      'modules.softdep.conf',
      'zz.conf',
      '.hidden.conf',
      'README',
      'x.conf.bak',
      '.conf',
    ];
    root.write(`${folder}/${names[random.below(names.length)]}`, configFile(random, words));
  }
  if (random.below(8) === 0) root.write(`${CONFIG_FOLDERS[0]}/folder.conf/inside.conf`, 'blacklist dummy\n');
  root.write('etc/more.conf', configFile(random, words));
  root
    .write('etc/more.d/one.conf', configFile(random, words))
    .write('etc/more.d/two', configFile(random, words));
  const given = [
    'quiet',
    'modprobe.blacklist=dummy,loop',
    'modprobe.blacklist=',
    'dummy.numdummies=5',
    'loop.max_loop',
    'e1000e.debug="1 2"',
    '"dummy.text=with blanks"',
    'x-y.z=1',
    'root=UUID=a.b',
    'ext4.=1',
    '.x=1',
    'a[b.c=1',
    'dummy.a.b=c',
    '"open',
    '-- init.arg=1',
  ];
  let text = 'ro';
  for (let i = random.below(5); i > 0; i--) text += ` ${given[random.below(given.length)]}`;
  root.write('proc/cmdline', `${text}\n`);
}

/** /sys/module and /proc/modules as a kernel with some modules in it shows them. */
export function pretendLoaded(
  root: KmodRoot,
  random: Random,
  loaded: readonly string[] = ['ext4', 'jbd2', 'mbcache', 'crc16', 'dummy', 'loop', 'd', 'a', 'vfat'],
): void {
  root.clear('sys/module', 'proc/modules');
  root.write('sys/module/.keep', '');
  let list = '';
  for (const name of loaded) {
    if (random.below(3) !== 0) continue;
    const at = `sys/module/${name}`;
    const state = ['live', 'live', 'live', 'live', 'coming', 'going', ''][random.below(7)];
    root.write(`${at}/${state === '' ? 'other' : 'initstate'}`, `${state}\n`);
    if (random.below(6) > 0) root.write(`${at}/refcnt`, `${random.below(3)}\n`);
    if (random.below(6) > 0) root.write(`${at}/coresize`, `${4096 * (1 + random.below(50))}\n`);
    if (random.below(8) > 0) root.write(`${at}/holders/.keep`, '').clear(`${at}/holders/.keep`);
    for (const holder of ['zz-top', loaded[0], 'b.dot', 'a_a'])
      if (random.below(4) === 0) root.write(`${at}/holders/${holder}`, '');
    list += `${name} ${16384 + random.below(99999)} ${random.below(3)} - Live 0x0000000000000000\n`;
  }
  if (random.below(10) > 0) root.write('proc/modules', list);
  if (random.below(8) === 0)
    root.write('sys/module/compression', ['xz\n', 'zstd\n', 'gzip\n', 'lz4\n'][random.below(4)]);
}

// -- command lines --------------------------------------------------------------------------------------------

export interface CommandLine {
  readonly tool: string;
  readonly words: readonly string[];
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
}

export function commandLine(root: KmodRoot, random: Random): CommandLine {
  const { pick } = random;
  const chance = (one: number) => random.below(one) === 0;
  const release = pick([root.release, root.release, ...Object.values(ODD), 'no-such-release']);
  const tree = `/lib/modules/${release}`;
  const files = [
    `${tree}/kernel/fs/ext4/ext4.ko`,
    `${tree}/kernel/fs/jbd2/jbd2.ko.gz`,
    `${tree}/kernel/fs/mbcache.ko.xz`,
    `${tree}/kernel/lib/crc16.ko.zst`,
    `${tree}/kernel/drivers/net/dummy.ko`,
    `${tree}/kernel/drivers/net/veth.ko`,
    `${tree}/kernel/fs/fat/vfat.ko.gz`,
    `${tree}/kernel/crypto/xor.ko.zst`,
    `${tree}/a.ko`,
    `${tree}/modules.dep`,
    `.${tree}/kernel/fs/ext4/ext4.ko`,
    `.${tree}/nosuch.ko`,
    tree,
    '/nosuch.ko',
  ];
  const names = [
    ...NAMES,
    ...NAMES,
    'jbd2',
    'aesni-intel',
    'aesni_intel',
    'e1000',
    'self',
    'lost',
    'lost_user',
    'nocolon',
    'elsewhere',
    'twice',
    'inside',
    'b',
    'unix',
    'sha256_generic',
    'crypto-sha256',
    'fs-inside',
    'fs-ext4',
    'fs-btrfs',
    'net-pf-99',
    'mything',
    'hobe',
    'eth0',
    'eth1',
    'symbol:thing',
    'symbol:jbd2_journal_start',
    'symbol:nosuch',
    'pci:v00008086d000010D3sv0000sd0000bc02sc00i00',
    'pci:v0001d0011',
    'usb:1x',
    'nothing',
    'nosuch',
    'No[such',
    'a]b',
    'crypto-[x]-y',
    'ext4.ko',
    '',
    '-',
    'a b',
    'char-major-10-200',
    'char-major-10-229',
    'rtnl-link-dummy',
    'vf\xc3\xa4t',
  ];
  const word = () => (chance(6) ? pick(files) : pick(names));
  const environment: Record<string, string> = {};
  const words: string[] = [];
  const tool = pick([
    'modprobe',
    'modprobe',
    'modprobe',
    'modprobe',
    'modprobe',
    'modinfo',
    'modinfo',
    'insmod',
    'rmmod',
    'lsmod',
    'kmod',
  ]);
  const wrong = () =>
    pick([
      '--nosuch',
      '-Z',
      '--ver',
      '--s',
      '--force=1',
      '-',
      '--',
      '--dirname',
      '-C',
      '-k',
      '--help',
      '-h',
      '-V',
      '--version',
      '-vv',
      '-s',
      '--syslog',
      '-vv',
    ]);
  switch (tool) {
    case 'modprobe': {
      if (chance(5))
        environment.MODPROBE_OPTIONS = pick([
          '-q',
          '-v',
          '--first-time  -n',
          '-C /etc/more.conf',
          "-C '/etc/more.d'",
          '-d"/"',
          '"-v" -n',
          "x'y z'",
          '-b',
          '-D -i',
          ' ',
        ]);
      const action = pick([
        ['-D'],
        ['-D'],
        ['-D'],
        ['-n'],
        ['-n', '-v'],
        ['-R'],
        ['-c'],
        ['-r', '-n'],
        ['-rn', '--remove-holders'],
        ['-r'],
        ['--remove-dependencies', '-n'],
        [],
        ['-a', '-D'],
        ['-a', '-n'],
        ['--show-exports'],
        ['--show-modversions'],
        ['--dump-modversions'],
        ['--resolve-alias'],
        ['--show'],
        ['--showconfig'],
        ['--show-depends', '-v'],
        ['-ra'],
        ['-nR'],
      ]);
      words.push(...action);
      for (const option of [
        '-i',
        '-b',
        '-q',
        '-v',
        '--first-time',
        '-f',
        '-a',
        '--force-vermagic',
        '--ignore-remove',
      ])
        if (chance(14)) words.push(option);
      if (chance(12)) words.push('-w', pick(['1', '0x2', 'abc', '', '010', '-1', ' 5', '5 ']));
      if (chance(4))
        words.push('-C', pick(['/etc/more.conf', '/etc/more.d', '/nosuch', '/etc/more.d/', '/dev/null']));
      if (release !== root.release || chance(3)) words.push('-S', release);
      if (chance(8)) words.push('-d', pick(['/', '', '.', '/nosuch']));
      if (chance(16)) words.push(wrong());
      if (!chance(20)) words.push(word());
      while (chance(3)) words.push(chance(2) ? word() : pick(PARAMETERS));
      break;
    }
    case 'modinfo':
      for (const option of ['-0', '-m', '-a', '-d', '-l', '-p', '-n']) if (chance(8)) words.push(option);
      if (chance(3))
        words.push(
          '-F',
          pick([
            'license',
            'LICENSE',
            'parm',
            'parmtype',
            'alias',
            'depends',
            'filename',
            'name',
            'vermagic',
            'firmware',
            'signature',
            'sig_id',
            'build-id',
            'nosuch',
            '',
          ]),
        );
      if (release !== root.release || chance(4)) words.push('-k', release);
      if (chance(8)) words.push('-b', pick(['/', '', '.', '/nosuch']));
      if (chance(16)) words.push(wrong());
      do if (!chance(20)) words.push(chance(2) ? pick(files) : word());
      while (chance(3));
      break;
    case 'insmod':
      if (chance(6)) words.push(pick(['-f', '--force-vermagic', '--force-modversion', '-v']));
      if (chance(10)) words.push(wrong());
      if (!chance(12)) words.push(chance(8) ? pick(names) : pick(files));
      while (chance(3)) words.push(pick(PARAMETERS));
      break;
    case 'rmmod':
      if (chance(6)) words.push(pick(['-f', '-v']));
      if (chance(10)) words.push(wrong());
      do if (!chance(12)) words.push(word());
      while (chance(3));
      break;
    case 'lsmod':
      if (chance(3)) words.push(chance(2) ? wrong() : word());
      break;
    default: {
      const command = pick([
        'list',
        'list',
        'help',
        'static-nodes',
        'static-nodes',
        '',
        'nosuch',
        '-V',
        '-h',
        '--help',
        '--nosuch',
        'modprobe',
      ]);
      if (!chance(10)) words.push(command);
      if (command === 'static-nodes')
        words.push(
          ...pick([
            [],
            ['-f', 'tmpfiles'],
            ['--format=devname'],
            ['-f', 'nosuch'],
            ['-o', '/tmp/nodes'],
            ['-h'],
            ['-f'],
            ['--nosuch'],
            ['extra'],
            ['-f', 'human'],
          ]),
        );
      else if (chance(4)) words.push(pick(['-v', 'extra', '-h', '--nosuch', '-V']));
    }
  }
  return {
    tool,
    words,
    folder: pick(['/', '/', '/etc', tree === '/lib/modules/no-such-release' ? '/' : tree]),
    environment,
  };
}
