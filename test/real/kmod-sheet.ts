/**
 * A sheet of command lines for the module tools, as somebody who tries each option would write them: every tool, long and
 * short options, cut short and permuted, odd configuration in each of its folders, odd trees. kmod's answers are recorded
 * (test/golden/kmod/sheet.json): test/real/kmod-sheet.test.ts says how.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { KmodRoot } from './kmod-root.ts';
import { type OddModule, oddModule } from './odd-module.ts';

export const SHEET_RELEASE = '6.6.0-sheet';
const TREE = `lib/modules/${SHEET_RELEASE}`;

const common = ['license=GPL', 'vermagic=6.6.0-sheet SMP preempt mod_unload modversions ', 'intree=Y'];

/** Paths below the tree; the ending says how each is packed. */
const MODULES: Readonly<Record<string, OddModule>> = {
  'kernel/lib/base.ko': {
    exports: [
      ['base_a', 0x11111111],
      ['base_b', 0x2222],
    ],
    modinfo: [
      ...common,
      'author=First <a@example.org>',
      'author=Second: B',
      'description=The base',
      'version=1.0',
      'srcversion=ABCDEF0123456789ABCDEF0',
    ],
  },
  'kernel/fs/mid-fs.ko.xz': {
    needs: ['base_a', 'printk'],
    exports: [['mid_x', 0xdeadbeef]],
    versions: [
      ['module_layout', 1],
      ['base_a', 0x11111111],
      ['printk', 0x92997ed8],
    ],
    modinfo: [
      ...common,
      'alias=fs-mid',
      'softdep=pre: helper-one post: late_two',
      'parm=size:How large, in pages: at least one',
      'parmtype=size:uint',
      'parm=name:Its name',
      'parmtype=name:charp',
      'parmtype=untold:bool',
      'parm=typeless:No type',
      'depends=base',
    ],
  },
  'kernel/drivers/top_dev.ko.zst': {
    needs: ['mid_x', 'base_b', '?weak_one'],
    modinfo: [
      ...common,
      'alias=pci:v00008086d00001234sv*sd*bc*sc*i*',
      'alias=char-major-10-200',
      'alias=devname:top/dev',
      'firmware=top/one.bin',
      'firmware=top/two.bin',
      'depends=mid-fs,base',
    ],
  },
  'kernel/drivers/helper-one.ko.gz': {
    modinfo: [...common, 'alias=usb:v1D6Bp*d*dc*dsc*dp*ic*isc*ip*in*', 'weakdep=base'],
  },
  'kernel/drivers/late_two.ko': { modinfo: [...common, 'alias=acpi*:PNP0C0[AB]:*', 'alias=block-major-7-*'] },
  'kernel/sound/dup.ko': { names: ['dup_sym', 'dup_other'], modinfo: [...common, 'description=first'] },
  'updates/dup.ko': { names: ['dup_sym'], modinfo: [...common, 'description=second'] },
  'extra/small-endian.ko': { bits: 32, machine: 3, exports: [['small', 5]], modinfo: common },
  'extra/big_endian.ko': {
    littleEndian: false,
    machine: 21,
    exports: [['big', 0x01020304]],
    crcSection: true,
    needs: ['small'],
    modinfo: [...common, 'alias=of:N*T*Cbig,oneC*'],
  },
  'extra/noinfo.ko': { needs: ['big', 'nowhere'] },
};

const ODD_FILES: Readonly<Record<string, string>> = {
  'extra/empty.ko': '',
  'extra/text.ko': 'no module at all\n',
  'extra/short.ko': '\x7fELF\x02\x01\x01',
  'extra/bad_xz.ko.xz': '\xfd7zXZ\0nothing',
  'extra/bad_zst.ko.zst': '\x28\xb5\x2f\xfd nothing of use',
  'extra/bad_gz.ko.gz': '\x1f\x8b\x08nothing',
};

const BUILTIN_INFO = [
  'inside.license=GPL',
  'inside.file=drivers/inside',
  'inside.alias=fs-inside',
  'inside.alias=in-[a-c]-x',
  'inside.parm=depth:How deep',
  'inside.parmtype=depth:int',
  'other_in.license=MIT',
  'other_in.description=Another: one',
].map((line) => `${line}\0`);

function packed(bytes: Uint8Array, path: string): Uint8Array {
  if (path.endsWith('.gz')) return gzipSync(bytes);
  if (path.endsWith('.xz')) return execFileSync('xz', ['-c', '--check=crc32'], { input: bytes });
  if (path.endsWith('.zst'))
    return execFileSync('zstd', ['-cq', `--stream-size=${bytes.length}`], { input: bytes });
  return bytes;
}

/** Files of a state in which lines run: paths, and what stands there. */
type State = Readonly<Record<string, string>>;

/** One line: the tool and its words as a shell would divide them. */
interface Line {
  readonly line: string;
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Files below the root whose content is told with the answer. */
  readonly shows?: readonly string[];
}

export interface Part {
  readonly name: string;
  readonly state: State;
  readonly lines: readonly (string | Line)[];
}

/** The tree that all parts begin with; its indexes are made by what is tried, as depmod's lines tell what they are like. */
export function makeSheetTree(root: KmodRoot): void {
  for (const [path, module] of Object.entries(MODULES))
    root.write(`${TREE}/${path}`, packed(oddModule(module), path));
  root.write(`${TREE}/modules.order`, `${ORDER.join('\n')}\n`);
  root.write(`${TREE}/modules.builtin`, 'kernel/drivers/inside.ko\nkernel/lib/other-in.ko\n');
  root.write(`${TREE}/modules.builtin.modinfo`, BUILTIN_INFO.join(''));
  const link = (to: string, at: string): void => {
    mkdirSync(dirname(join(root.path, at)), { recursive: true });
    symlinkSync(to, join(root.path, at));
  };
  link(SHEET_RELEASE, `lib/modules/${root.release}`);
  for (const [path, text] of Object.entries(ODD_FILES)) root.write(`broken/${path}`, text);
  for (const [path, text] of Object.entries(ODD_FILES)) root.write(`lib/modules/6.6.1-odd/${path}`, text);
  root.write('lib/modules/6.6.1-odd/kernel/good.ko', oddModule({ exports: [['good', 1]], modinfo: common }));
  root.write('lib/modules/6.6.1-odd/kernel/loose.ko.bz2', 'BZh9');
  link('../kernel/good.ko', 'lib/modules/6.6.1-odd/updates/linked.ko');
  link('/nowhere', 'lib/modules/6.6.1-odd/kernel/dangling.ko');
  link('/usr/src/linux', 'lib/modules/6.6.1-odd/build');
  mkdirSync(join(root.path, 'lib/modules/6.6.2-empty'));
  const ring = ['one', 'two', 'three'];
  ring.forEach((name, i) => {
    const next = ring[(i + 1) % ring.length];
    const module = oddModule({ exports: [[`s_${name}`, i]], needs: [`s_${next}`], modinfo: common });
    root.write(`lib/modules/6.6.3-ring/kernel/${name}.ko`, module);
  });
  root.write('lib/modules/6.6.3-ring/kernel/user.ko', oddModule({ needs: ['s_one'], modinfo: common }));
  root.write(
    'System.map',
    'ffffffff81000000 T _text\nffffffff81000010 r __ksymtab_printk\nffffffff81000018 r __ksymtab_nowhere\n',
  );
  root.write(
    'Module.symvers',
    '0x92997ed8\tprintk\tvmlinux\tEXPORT_SYMBOL\n0x00000001\tnowhere\tvmlinux\tEXPORT_SYMBOL_GPL\n0x3\tbig\textra/big\tEXPORT_SYMBOL\n',
  );
}

const ORDER = [
  'kernel/drivers/late_two.ko',
  'kernel/drivers/top_dev.ko',
  'kernel/lib/base.ko',
  'kernel/lib/base.ko',
  'kernel/nosuch.ko',
  'kernel/fs/mid-fs.ko',
];

const D = `-d / -S ${SHEET_RELEASE}`;
const P = `/${TREE}`;

export const SHEET: readonly Part[] = [
  {
    name: 'depmod',
    state: {},
    lines: [
      'depmod -V',
      'depmod --version',
      'depmod -h',
      'depmod --help',
      'depmod --he',
      'depmod --v',
      'depmod --verb -n 6.6.3-ring',
      'depmod --nosuch',
      'depmod -x',
      'depmod -b',
      'depmod --basedir',
      'depmod -n',
      `depmod -n ${SHEET_RELEASE}`,
      `depmod -n -v ${SHEET_RELEASE}`,
      `depmod -nvv ${SHEET_RELEASE}`,
      `depmod -nw ${SHEET_RELEASE}`,
      `depmod ${SHEET_RELEASE} -n`,
      `depmod --dry-run --all ${SHEET_RELEASE}`,
      `depmod --show -- ${SHEET_RELEASE}`,
      `depmod -n -e -F /System.map ${SHEET_RELEASE}`,
      `depmod -ne --filesyms=/System.map ${SHEET_RELEASE}`,
      `depmod -ne -E /Module.symvers ${SHEET_RELEASE}`,
      `depmod -n -E /Module.symvers -F /System.map -e ${SHEET_RELEASE}`,
      `depmod -ne ${SHEET_RELEASE}`,
      `depmod -n -F /nosuch ${SHEET_RELEASE}`,
      `depmod -n -E /nosuch ${SHEET_RELEASE}`,
      `depmod -nvv -F /nosuch ${SHEET_RELEASE}`,
      'depmod -nvv 6.6.3-ring',
      `depmod -n -P s ${SHEET_RELEASE}`,
      `depmod -n -P ss ${SHEET_RELEASE}`,
      `depmod -n --symbol-prefix= ${SHEET_RELEASE}`,
      'depmod -n 6.6.1-odd',
      'depmod -n 6.6.2-empty',
      'depmod -n 6.6.3-ring',
      'depmod -n 6.6.9-none',
      'depmod -n notaversion',
      'depmod -n 6',
      'depmod -n 6.x',
      'depmod -n " 6.6.0-sheet"',
      'depmod -n -b /nosuch 6.6.0-sheet',
      'depmod -n -b / 6.6.0-sheet',
      'depmod -n -b // 6.6.0-sheet',
      'depmod -n -b . 6.6.0-sheet',
      { line: 'depmod -n -b ../ 6.6.3-ring', folder: '/tmp' },
      `depmod -n -m modules ${SHEET_RELEASE}`,
      `depmod -n -m lib/modules ${SHEET_RELEASE}`,
      `depmod -n -m /lib/modules ${SHEET_RELEASE}`,
      `depmod -n -m "" ${SHEET_RELEASE}`,
      `depmod -n -o /tmp/out ${SHEET_RELEASE}`,
      `depmod -n ${SHEET_RELEASE} ${P}/kernel/lib/base.ko`,
      `depmod -n ${SHEET_RELEASE} ${P}/kernel/lib/base.ko ${P}/kernel/fs/mid-fs.ko.xz`,
      `depmod -n ${SHEET_RELEASE} ${P}/kernel/lib/base.ko ${P}/kernel/lib/base.ko`,
      `depmod -n ${SHEET_RELEASE} ${P}/kernel/sound/dup.ko ${P}/updates/dup.ko`,
      `depmod -n ${SHEET_RELEASE} kernel/lib/base.ko`,
      `depmod -n ${SHEET_RELEASE} /nosuch.ko`,
      `depmod -n ${SHEET_RELEASE} /broken/extra/text.ko`,
      `depmod -n -C /nosuch ${SHEET_RELEASE}`,
      `depmod -n -C /dev/null ${SHEET_RELEASE}`,
      `depmod -an ${SHEET_RELEASE} ${P}/kernel/lib/base.ko`,
      `depmod -A -n ${SHEET_RELEASE}`,
      'depmod -A -n 6.6.9-none',
    ],
  },
  {
    name: 'depmod.d',
    state: {
      'etc/depmod.d/10.conf':
        '# a comment\n\n  search   extra updates\tbuilt-in  # not one\noverride dup * kernel/sound\nexclude   sound\nmake_map_files yes\n',
      'run/depmod.d/20.conf': '\xef\xbb\xbfsearch built-in\r\nexternal * /outside/mods \\\n',
      'usr/lib/depmod.d/10.conf': 'nonsense here\n',
      'usr/local/lib/depmod.d/30.conf':
        'external 6.6.0.* /outside\nexternal 5.* /nosuch\noverride\noverride a\nexclude\n',
      'lib/depmod.d/40.conf': 'include /etc/more\nsearch\n',
      'etc/depmod.d/README': 'garbage\n',
      'outside/away.txt': 'x',
      'alone.conf': 'search extra \\\n  built-in\noverride dup 6.6.0-sheet updates',
      'alone2.conf': 'override dup ^6\\.[0-9]+\\.0 kernel/sound\nsearch updates built-in external\n',
      'bad.conf': 'override dup [ kernel\nexternal ( /outside\nbogus\nsearch updates external\n',
    },
    lines: [
      `depmod -n ${SHEET_RELEASE}`,
      `depmod -nv ${SHEET_RELEASE}`,
      `depmod -n -C /alone.conf ${SHEET_RELEASE}`,
      `depmod -n -C /alone2.conf ${SHEET_RELEASE}`,
      `depmod -n -C /alone.conf -C /alone2.conf ${SHEET_RELEASE}`,
      `depmod -n -C /bad.conf ${SHEET_RELEASE}`,
      `depmod -n --config=/etc/depmod.d ${SHEET_RELEASE}`,
      `depmod -n -C /etc/depmod.d/README ${SHEET_RELEASE}`,
      `depmod -nvv -C /alone.conf -C /etc/depmod.d ${SHEET_RELEASE}`,
    ],
  },
  {
    name: 'modinfo',
    state: {},
    lines: [
      'modinfo',
      'modinfo -V',
      'modinfo -h',
      'modinfo --nosuch',
      'modinfo -F',
      'modinfo base',
      'modinfo mid-fs mid_fs top_dev',
      `modinfo ${P}/kernel/fs/mid-fs.ko.xz`,
      `modinfo ${P}/kernel/drivers/top_dev.ko.zst ${P}/kernel/drivers/helper-one.ko.gz`,
      { line: 'modinfo kernel/lib/base.ko', folder: P },
      { line: 'modinfo ./kernel/lib/../lib/base.ko', folder: P },
      { line: 'modinfo base.ko', folder: P },
      'modinfo -F description base',
      'modinfo -F author base',
      'modinfo --field=alias top_dev',
      'modinfo --fi license base',
      'modinfo --f license base',
      'modinfo -F parm mid-fs',
      'modinfo -F parmtype mid-fs',
      'modinfo -F filename mid-fs',
      'modinfo -F name mid-fs',
      'modinfo -F firmware top_dev',
      'modinfo -F nosuch base',
      'modinfo -F "" base',
      'modinfo -a base',
      'modinfo -d base',
      'modinfo -l base',
      'modinfo -p mid-fs',
      'modinfo -n mid-fs',
      'modinfo -adl base',
      'modinfo -0 mid-fs',
      'modinfo -0 -p mid-fs',
      'modinfo --null -F author base',
      'modinfo -m mid_fs',
      'modinfo --modname fs-mid',
      'modinfo fs-mid',
      'modinfo pci:v00008086d00001234sv00sd00bc00sc00i00',
      'modinfo char-major-10-200',
      'modinfo block-major-7-3',
      'modinfo inside',
      'modinfo other-in',
      'modinfo -F parm inside',
      'modinfo -p inside',
      'modinfo -n inside',
      'modinfo -0 other_in',
      'modinfo fs-inside',
      'modinfo in-b-x',
      'modinfo nosuch',
      'modinfo nosuch base alsonot',
      'modinfo nosuch.ko',
      'modinfo ""',
      'modinfo -k 6.6.1-odd good',
      'modinfo -k 6.6.9-none good',
      'modinfo -b / base',
      `modinfo -b / -k ${SHEET_RELEASE} base`,
      'modinfo -b /nosuch base',
      'modinfo --set-version=6.6.3-ring one',
      'modinfo dup',
      'modinfo noinfo',
      'modinfo big_endian small-endian',
      'modinfo /broken/extra/empty.ko',
      'modinfo /broken/extra/text.ko',
      'modinfo /broken/extra/short.ko',
      'modinfo /broken/extra/bad_xz.ko.xz /broken/extra/bad_zst.ko.zst /broken/extra/bad_gz.ko.gz',
      'modinfo /broken/extra',
      'modinfo /lib/modules',
      'modinfo -- base',
      'modinfo base -l',
      'modinfo symbol:base_a',
      'modinfo "fs[mid"',
    ],
  },
  {
    name: 'modprobe',
    state: {},
    lines: [
      'modprobe',
      'modprobe -V',
      'modprobe -h',
      'modprobe --nosuch x',
      'modprobe -D base',
      'modprobe -D mid-fs',
      'modprobe -D mid_fs',
      'modprobe --show-depends top-dev',
      'modprobe --show-dep top-dev',
      'modprobe --show top-dev',
      'modprobe --sh top-dev',
      'modprobe -D top_dev one=1 two="a b"',
      'modprobe -D fs-mid',
      'modprobe -D nosuch',
      'modprobe -qD nosuch',
      'modprobe -aD base nosuch mid-fs',
      'modprobe -D inside',
      'modprobe -D fs-inside',
      'modprobe -D symbol:mid_x',
      'modprobe -D symbol:nosuch',
      'modprobe -R fs-mid',
      'modprobe -R mid-fs',
      'modprobe -R nosuch',
      'modprobe -qR nosuch',
      'modprobe --resolve-alias usb:v1D6Bp0002d0515dc09dsc00dp00ic09isc00ip00in00',
      'modprobe -R acpi:PNP0C0A:',
      'modprobe -R "acpi[x"',
      'modprobe -c',
      'modprobe --showconfig',
      'modprobe --show-config',
      `modprobe ${D} -c`,
      'modprobe -n base',
      'modprobe -nv base',
      'modprobe -nv top_dev a=b',
      'modprobe --dry-run --verbose --all base mid_fs',
      'modprobe --first-time -n inside',
      'modprobe -n inside',
      'modprobe -nv --first-time base',
      'modprobe -r base',
      'modprobe -rn top_dev',
      'modprobe -r --first-time base',
      'modprobe -rv nosuch',
      'modprobe -r inside',
      'modprobe -r -w 10 base',
      'modprobe -r -w x base',
      'modprobe --wait',
      'modprobe --remove-holders -nv base',
      'modprobe --remove-dependencies -nv base',
      `modprobe --show-modversions ${P}/kernel/fs/mid-fs.ko.xz`,
      'modprobe --show-modversions mid-fs',
      'modprobe --show-modversions base',
      'modprobe --dump-modversions nosuch.ko',
      `modprobe --dump-modversions ${P}/kernel/fs/mid-fs.ko.xz`,
      'modprobe --show-exports base',
      `modprobe --show-exports ${P}/extra/big_endian.ko`,
      'modprobe --show-exports inside',
      'modprobe --show-exports dup',
      `modprobe -D ${P}/kernel/lib/base.ko`,
      { line: 'modprobe -D ./kernel/lib/base.ko', folder: P },
      { line: 'modprobe -D kernel/lib/base.ko', folder: P },
      'modprobe -D /nosuch.ko',
      'modprobe -S 6.6.9-none -D base',
      'modprobe -S 6.6.3-ring -D user',
      'modprobe -d /nosuch -D base',
      'modprobe --set-version=6.6.1-odd -D good',
      'modprobe -i -D mid-fs',
      'modprobe -b -D mid-fs',
      'modprobe -f -D mid-fs',
      'modprobe --force-vermagic --force-modversion -D mid-fs',
      'modprobe -C /nosuch -D base',
      'modprobe -C /dev/null -D mid-fs',
      'modprobe -D -- base',
      'modprobe -- -D base',
      'modprobe base -D',
      'modprobe -D base -v',
      'modprobe -q',
      'modprobe -a',
      'modprobe -s -D base',
      { line: 'modprobe base', environment: { MODPROBE_OPTIONS: '-D' } },
      { line: 'modprobe base', environment: { MODPROBE_OPTIONS: "-D  '-v'" } },
      { line: 'modprobe base', environment: { MODPROBE_OPTIONS: '-D "-C" /nosuch' } },
      { line: 'modprobe base', environment: { MODPROBE_OPTIONS: '-D --' } },
      { line: 'modprobe base', environment: { MODPROBE_OPTIONS: "-D 'open" } },
      { line: 'modprobe base', environment: { MODPROBE_OPTIONS: '--nosuch' } },
      { line: 'modprobe -D', environment: { MODPROBE_OPTIONS: 'base' } },
      { line: 'modprobe -D base', environment: { MODPROBE_OPTIONS: '-C /caf\u00e9' } },
      { line: 'modprobe -D base', environment: { KMOD_LOG: 'err' } },
      { line: 'modprobe -D base', environment: { MODPROBE_MODULE: 'x' } },
    ],
  },
  {
    name: 'modprobe.d',
    state: {
      'etc/modprobe.d/a.conf': [
        '# comment',
        '   # another',
        'alias  eth0\tbase  trailing words',
        'alias two-step eth0',
        'alias wild[0-9]* mid-fs',
        'alias dash-under_score mid_fs',
        'alias broken[ base',
        'options base one=1   two="a  b"',
        'options base \\',
        '   three=3 \\',
        '   four=4',
        'options eth0 five=5',
        'blacklist late-two',
        'blacklist  helper_one  more',
        'install late_two /bin/echo late $CMDLINE_OPTS; /bin/true',
        'remove late_two /bin/echo gone',
        'softdep top-dev pre: late_two post: helper-one',
        'weakdep base helper-one late_two',
        'include /etc/other.conf',
        'config x',
        'frobnicate',
        'alias',
        'options',
        'alias lonely',
        'install base',
      ].join('\n'),
      'etc/modprobe.d/crlf.conf': 'alias crlf base\r\noptions mid_fs size=3\r\n\r\n',
      'etc/modprobe.d/bom.conf': '\xef\xbb\xbfalias bom base\nalias afterbom base\n',
      'etc/modprobe.d/masked.conf': 'alias masked base\n',
      'etc/modprobe.d/notconf': 'alias notconf base\n',
      'etc/modprobe.d/x.conf.bak': 'alias bak base\n',
      'etc/modprobe.d/.hidden.conf': 'alias hidden base\n',
      'run/modprobe.d/a.conf': 'alias never base\n',
      'run/modprobe.d/b.conf': 'alias fromrun base\nblacklist inside\n',
      'usr/lib/modprobe.d/masked.conf': 'alias unmasked base\n',
      'usr/lib/modprobe.d/z.conf': 'alias fromusrlib base\nalias eth0 mid-fs\n',
      'usr/local/lib/modprobe.d/l.conf': 'alias fromlocal base',
      'lib/modprobe.d/q.conf': 'alias fromlib base\noptions top_dev debug',
      'more/m.conf': 'alias more base\noptions base late=9\n',
      'proc/cmdline':
        'ro quiet modprobe.blacklist=mid_fs,dup base.five="x y" mid-fs.size=7 "top_dev.q=a b" -- init.x=1\n',
    },
    lines: [
      'modprobe -c',
      ...[
        'eth0',
        'two-step',
        'wild7x',
        'dash_under-score',
        'broken[',
        'crlf',
        'bom',
        'afterbom',
        'masked',
        'unmasked',
        'notconf',
        'bak',
        'hidden',
        'never',
        'fromrun',
        'fromusrlib',
        'fromlocal',
        'fromlib',
        'base',
        'mid-fs',
        'top_dev',
        'late_two',
        'helper-one',
        'inside',
        'fs-mid',
        'acpi:PNP0C0B:',
      ].map((name) => `modprobe -D ${name}`),
      'modprobe -bD late_two',
      'modprobe -bD mid-fs',
      'modprobe -iD late_two',
      'modprobe -aD eth0 wild1 late_two',
      'modprobe -R eth0',
      'modprobe -R late_two',
      'modprobe -nv late_two x=1 y="2 3"',
      'modprobe -nv eth0 z=1',
      'modprobe late_two x=1',
      'modprobe -v late_two x=1',
      'modprobe -r late_two',
      'modprobe -rv late_two',
      'modprobe -ir -n late_two',
      'modprobe -C /more -c',
      'modprobe -C /more/m.conf -D more',
      'modprobe -C /more -C /etc/modprobe.d/crlf.conf -D base',
      'modprobe -C /etc/modprobe.d -D fromrun',
      'modprobe --config=/more -D eth0',
      { line: 'modprobe -D more', environment: { MODPROBE_OPTIONS: '-C /more' } },
    ],
  },
  {
    name: 'a kernel that runs',
    state: {
      'proc/modules':
        'top_dev 16384 0 - Live 0x0000000000000000\nmid_fs 20480 1 top_dev, Live 0x0000000000000000 (OE)\nbase 12288 2 top_dev,mid_fs, Live 0x0000000000000000\nlate_two 4096 0 - Loading 0x0000000000000000\nodd 1\n',
      'sys/module/top_dev/initstate': 'live\n',
      'sys/module/top_dev/refcnt': '0\n',
      'sys/module/top_dev/coresize': '16384\n',
      'sys/module/mid_fs/initstate': 'live\n',
      'sys/module/mid_fs/refcnt': '1\n',
      'sys/module/mid_fs/holders/top_dev': '',
      'sys/module/base/initstate': 'live\n',
      'sys/module/base/refcnt': '2\n',
      'sys/module/base/holders/top_dev': '',
      'sys/module/base/holders/mid_fs': '',
      'sys/module/late_two/initstate': 'coming\n',
      'sys/module/inside/parameters/depth': '1\n',
      'broken/inside.ko': '',
    },
    lines: [
      'lsmod',
      'lsmod -v',
      'lsmod -V',
      'lsmod -h',
      'lsmod x',
      'lsmod --nosuch',
      'kmod list',
      'kmod',
      'kmod -V',
      'kmod --version',
      'kmod -h',
      'kmod help',
      'kmod nosuch',
      'kmod --nosuch',
      'kmod list extra',
      'kmod static-nodes',
      'kmod static-nodes -h',
      'kmod static-nodes -f tmpfiles',
      'kmod static-nodes -f devname',
      'kmod static-nodes --format=human',
      'kmod static-nodes -f nosuch',
      'kmod static-nodes -f',
      { line: 'kmod static-nodes -o /tmp/nodes -f tmpfiles', shows: ['tmp/nodes'] },
      'kmod static-nodes -o /nosuch/nodes',
      'rmmod',
      'rmmod -V',
      'rmmod -h',
      'rmmod nosuch',
      'rmmod base',
      'rmmod mid-fs',
      'rmmod inside',
      'rmmod /broken/inside.ko',
      'rmmod inside /broken/inside.ko inside',
      'rmmod base mid_fs nosuch',
      `rmmod ${P}/kernel/lib/base.ko`,
      'rmmod -v top_dev',
      'rmmod late_two',
      'rmmod --nosuch',
      'insmod',
      'insmod -V',
      'insmod -h',
      'insmod -',
      'insmod nosuch',
      'insmod /nosuch.ko',
      `insmod ${P}`,
      `insmod ${P}/kernel/lib/base.ko`,
      `insmod -v ${P}/kernel/fs/mid-fs.ko.xz a=1`,
      'insmod /broken/extra/empty.ko',
      'insmod /broken/extra/bad_xz.ko.xz',
      'insmod -f /broken/extra/text.ko',
      'insmod --nosuch x',
      'modprobe base',
      'modprobe --first-time base',
      'modprobe -v top_dev',
      'modprobe -n --first-time mid-fs',
      'modprobe inside',
      'modprobe --first-time inside',
      'modprobe -r base',
      'modprobe -r mid-fs',
      'modprobe -rn top-dev',
      'modprobe -rnv top-dev',
      'modprobe -rnv --remove-holders base',
      'modprobe -ra base nosuch',
      'modprobe -r --first-time helper-one',
      'modprobe -r inside',
      'modprobe -r late_two',
      'modprobe -D top_dev',
      'modprobe -rD base',
    ],
  },
  {
    name: 'what is missing',
    state: {
      [`${TREE}/modules.builtin.modinfo`]: 'inside.alias=one\0noequals\0inside.\0.x=1\0inside.alias=two',
      [`${TREE}/modules.builtin`]: 'kernel/a.ko\n\n1bad.ko\nkernel/no-feed.ko',
      [`${TREE}/modules.order`]: 'kernel/lib/base.ko\n\nkernel/fs/mid-fs.ko',
      [`${TREE}/kernel/new\nline.ko`]: 'x',
      [`${TREE}/kernel/with space.ko`]: 'y',
      [`${TREE}/modules.dep.bin`]: 'cut',
      [`${TREE}/modules.alias.bin`]: '',
    },
    lines: [
      `depmod -n ${SHEET_RELEASE}`,
      'modinfo inside',
      'modinfo base',
      'modprobe -D base',
      'modprobe -D fs-mid',
      'modprobe -D inside',
      'modprobe -c',
      'modinfo mid-fs',
    ],
  },
];

/** Words of a line, with double quotes round those that have blanks. */
export function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|([^ "]*"[^"]*"|[^ ]+)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? plain.replaceAll('"', '') : quoted,
  );
}
