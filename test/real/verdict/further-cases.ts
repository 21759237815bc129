/** Further broken modules: parameters of every shape, live patches, what modules take from each other, packed files. */
import { execFileSync } from 'node:child_process';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import {
  buildModule,
  type ModuleSpec,
  modinfo,
  retag,
  type SectionSpec,
  SHF,
  SHN,
  SHT,
} from './module-builder.ts';
import type { LoadStep } from './qemu.ts';
import { type Add, collect } from './steps.ts';

export function furtherModules(kernel: KernelFile): LoadStep[] {
  const { steps, add } = collect(kernel);
  parameters(add);
  parameterTables(add);
  sections(add);
  versions(add, kernel);
  licences(add, kernel);
  livePatches(add, kernel);
  perCpu(add);
  relocations(add);
  namespaces(add, kernel);
  neighbours(add, steps, kernel);
  packed(kernel, steps);
  return steps;
}

/** Arrays and strings with a limit. */
function parameters(add: Add): void {
  const spec: ModuleSpec = {
    parameters: [
      { name: 'list', type: 'int', room: 3 },
      { name: 'words', type: 'charp', room: 2 },
      { name: 'short_text', type: 'string', room: 8 },
      { name: 'long_number', type: 'long' },
      { name: 'wide', type: 'ulong' },
      { name: 'half', type: 'short' },
      { name: 'uhalf', type: 'ushort' },
      { name: 'once', type: 'bool_enable_only' },
      { name: 'bits', type: 'bint' },
    ],
  };
  for (const args of [
    'list=1,2,3',
    'list=1,2,3,4',
    'list=1,,3',
    'list=',
    'list=1,x',
    'list=,',
    'list',
    'list=1,2,3,',
    'words=a,b',
    'words=a,b,c',
    'short_text=1234567',
    'short_text=12345678',
    'short_text=',
    'short_text',
    'long_number=9223372036854775808',
    'long_number=-9223372036854775808',
    'wide=-1',
    'wide=18446744073709551616',
    'half=32768',
    'half=-32769',
    'half=-32768',
    'uhalf=65536',
    'uhalf=-0',
    'once',
    'once=0',
    'once=1 once=0',
    'once=?',
    'once=t',
    'once=false',
    'bits=True',
    'bits=2',
    'bits=y',
    'bits',
    'list=1 list=9,9,9,9',
    'half=99999 wide=1',
    'half=99999 nothing=1',
    'unknown-name=1',
    'half="5"',
    'half=5"',
    '"half=5',
    'half= ',
    'half=0x7fff uhalf=0xffff',
    'half=+0x10',
    'half=0b11',
    'half=1_0',
    'half=१',
    'half=5\thalf=6',
    '--',
    '-- half=x',
    '--half=5',
    'half=5 --',
    'half--=5',
    'half.=5',
    '.half=5',
    'short_text=a=b=c',
    'short_text="a b" half=x',
    "short_text='a",
    `short_text=${'x'.repeat(30)} half=5`,
    `words=${'x'.repeat(1024)}`,
    `words=${'x'.repeat(1025)}`,
  ])
    add(`arguments:${args.slice(0, 40).replaceAll(/\s/g, '_')}`, spec, { args });
}

/** Tables of parameters that do not fit together. */
function parameterTables(add: Add): void {
  const two = (a: string, b: string, mode?: number): ModuleSpec => ({
    parameters: [
      { name: a, type: 'int', mode },
      { name: b, type: 'int', mode },
    ],
  });
  add('parameter-twice', two('number', 'number'));
  add('parameter-twice-hidden', two('number', 'number', 0));
  add('parameter-dash-and-underscore', two('a-b', 'a_b'));
  add('parameter-slash', two('a/b', 'c'));
  add('parameter-no-name', two('', 'c'));
  add('parameter-mode-0777', two('a', 'b', 0o777));
  add('parameter-mode-0111', two('a', 'b', 0o111));
  add('parameter-unknown-type', { parameters: [{ name: 'a', type: 'no_such_type' }] });
  add('parameter-table-short', {
    sections: [{ name: '__param', flags: SHF.ALLOC, bytes: new Uint8Array(39), align: 8 }],
  });
  add('parameter-table-not-loaded', { sections: [{ name: '__param', bytes: new Uint8Array(80), align: 8 }] });
  add('parameter-named-dyndbg', two('dyndbg', 'async_probe'), { args: 'dyndbg=5 async_probe=6' });
}

const data = (name: string, size: number, more: Partial<SectionSpec> = {}): SectionSpec => ({
  name,
  flags: SHF.ALLOC,
  bytes: new Uint8Array(size),
  ...more,
});

function sections(add: Add): void {
  const with_ = (name: string, ...list: SectionSpec[]) => add(`sections-${name}`, { sections: list });
  with_('slash', data('.a/b', 8));
  with_('no-name', data('', 8));
  with_('dots', data('..', 8));
  with_('one-dot', data('.', 8));
  with_('long-name', data(`.${'n'.repeat(300)}`, 8));
  with_('notes-twice', data('.note.a', 16, { type: SHT.NOTE }), data('.note.b', 16, { type: SHT.NOTE }));
  with_('notes-same', data('.note.a', 16, { type: SHT.NOTE }), data('.note.a', 16, { type: SHT.NOTE }));
  with_('note-slash', data('.note/a', 16, { type: SHT.NOTE }));
  with_('note-empty', data('.note.a', 0, { type: SHT.NOTE }));
  with_('build-id-short', data('.note.gnu.build-id', 4, { type: SHT.NOTE }));
  with_('write-execute-init', data('.init.text', 8, { flags: SHF.ALLOC | SHF.EXEC | SHF.WRITE }));
  with_('write-execute-empty', data('.wx', 0, { flags: SHF.ALLOC | SHF.EXEC | SHF.WRITE }));
  with_('write-execute-second', data('.ok', 8), data('.wx', 8, { flags: SHF.EXEC | SHF.WRITE }));
  with_('compressed-flag', data('.z', 8, { flags: SHF.ALLOC | 0x800 }));
  with_('tls', data('.tdata', 8, { flags: SHF.ALLOC | SHF.WRITE | 0x400 }));
  with_('group', data('.group', 8, { type: 17, flags: 0 }));
  with_('init-array', data('.init_array', 8, { flags: SHF.ALLOC | SHF.WRITE }));
  with_(
    'both-constructors',
    data('.init_array', 8, { flags: SHF.ALLOC | SHF.WRITE }),
    data('.ctors', 8, { flags: SHF.ALLOC | SHF.WRITE }),
  );
  with_('obsolete-not-loaded', data('__obsparm', 8, { flags: 0 }));
  with_('kprobe-blacklist', data('_kprobe_blacklist', 8));
  with_('trace-names', data('__tracepoints_strings', 8));
  with_('exit-text', data('.exit.text', 32, { flags: SHF.ALLOC | SHF.EXEC }));
  with_('many', ...Array.from({ length: 300 }, (_, i) => data(`.s${i}`, 4)));
  with_('modinfo-second-not-loaded', data('.modinfo', 8, { flags: 0 }));
  with_('versions-second', data('__versions', 64));
  with_('read-only-after-init', data('.data..ro_after_init', 64, { flags: SHF.ALLOC | SHF.WRITE }));
  with_('text-nobits', data('.text.zero', 0, { type: SHT.NOBITS, flags: SHF.ALLOC | SHF.EXEC, size: 64 }));
  with_('64-mib', data('.bss.big', 0, { type: SHT.NOBITS, flags: SHF.ALLOC | SHF.WRITE, size: 64 << 20 }));
  with_('align-2-mib', data('.big', 8, { align: 2 << 20 }));
}

function versions(add: Add, kernel: KernelFile): void {
  const crc = kernel.exports.find('_printk')?.crc ?? 0;
  type Entry = readonly [name: string, low: number, high?: number];
  const table = (...entries: readonly Entry[]) => {
    const bytes = new Uint8Array(entries.length * 64);
    const view = new DataView(bytes.buffer);
    entries.forEach(([name, low, high = 0], i) => {
      view.setUint32(i * 64, low, true);
      view.setUint32(i * 64 + 4, high, true);
      bytes.set(new TextEncoder().encode(name).subarray(0, 56), i * 64 + 8);
    });
    return bytes;
  };
  const layout = ['module_layout', kernel.exports.find('module_layout')?.crc ?? 0] as const;
  const listed = (name: string, ...entries: readonly Entry[]) =>
    add(`versions-${name}`, {
      imports: ['_printk'],
      versions: false,
      sections: [data('__versions', 0, { bytes: table(...entries), align: 32 })],
    });
  listed('own', layout, ['_printk', crc]);
  listed('first-wrong', layout, ['_printk', crc ^ 1], ['_printk', crc]);
  listed('second-wrong', layout, ['_printk', crc], ['_printk', crc ^ 1]);
  listed('high-half', layout, ['_printk', crc, 1]);
  listed('high-half-layout', [layout[0], layout[1], 1], ['_printk', crc]);
  listed('layout-last', ['_printk', crc], layout);
  listed('layout-alone', layout);
  listed('other-names', layout, ['printk', crc]);
  listed('zero', layout, ['_printk', 0]);
  listed('open-name', layout, ['_printk'.padEnd(56, 'x'), crc]);
  add('versions-import-long', { imports: ['long_name_'.repeat(8)], crcs: { ['long_name_'.repeat(8)]: 5 } });
  add('versions-of-others', { imports: ['_printk'], crcs: { kfree: 1 } });
  add('versions-not-loaded', {
    imports: ['_printk'],
    versions: false,
    sections: [data('__versions', 0, { bytes: table(layout, ['_printk', crc]), flags: 0 })],
  });
  const words = kernel.vermagic.split(' ').slice(1).join(' ');
  const magic = (name: string, value: string) =>
    add(`magic-${name}`, { imports: ['_printk'], modinfo: retag(modinfo(kernel), 'vermagic', value) });
  magic(
    'rt',
    `${kernel.release} ${words.replace(/preempt(_rt)? /, (_all, rt) => (rt ? 'preempt ' : 'preempt_rt '))}`,
  );
  magic('no-smp', `${kernel.release} ${words.replace('SMP ', '')}`);
  magic('no-modversions', `${kernel.release} ${words.replace('modversions ', '')}`);
  magic('no-unload', `${kernel.release} ${words.replace('mod_unload ', '')}`);
  magic('randstruct', `${kernel.release} ${words}RANDSTRUCT_0123456789abcdef `);
  magic('tab', kernel.vermagic.replace(' ', '\t'));
  magic('other-release', `5.10.0-9-amd64 ${words}`);
  magic('only-words', ` ${words}`);
}

function licences(add: Add, kernel: KernelFile): void {
  for (const licence of [
    'GPL v2 only',
    'GPL-2.0',
    'GPL-2.0-only',
    'LGPL',
    'MIT',
    'Dual MIT',
    'Dual BSD',
    'Dual BSD/GPL v2',
    'Dual GPL/BSD',
    'BSD/GPL',
    'MPL',
    'Apache-2.0',
    'Public Domain',
    'GPL\n',
    'GPL\t',
    'unspecified',
    'Proprietary',
    'NVIDIA',
    'Gpl',
    'GPL and Additional rights',
    'GPL,v2',
  ])
    add(`licences-${licence.replaceAll(/\s/g, '_')}`, {
      imports: ['_printk'],
      modinfo: retag(modinfo(kernel), 'license', licence),
    });
}

/** Sections that a live patch brings (Documentation/livepatch/module-elf-format.rst). */
function livePatches(add: Add, kernel: KernelFile): void {
  const KLP_SECTION = 0x00100000;
  const KLP_SYMBOL = 0xff20;
  const marked = [...modinfo(kernel), 'livepatch=Y'];
  const patch = (
    name: string,
    symbol: string,
    { info = marked, section = '.klp.rela.vmlinux..text', type = 1 } = {},
  ) =>
    add(`live-${name}`, {
      modinfo: info,
      symbols: [{ name: symbol, section: KLP_SYMBOL }],
      sections: [
        {
          name: section,
          type: SHT.RELA,
          flags: KLP_SECTION | SHF.ALLOC,
          bytes: rela(200, type, 1),
          link: '.symtab',
          info: '.text',
          entrySize: 24,
          align: 8,
        },
      ],
    });
  patch('known', '.klp.sym.vmlinux._printk,0');
  patch('position-2', '.klp.sym.vmlinux._printk,2');
  patch('bad-name', '.klp.symbol');
  patch('no-position', '.klp.sym.vmlinux._printk');
  patch('other-object', '.klp.sym.ext4.ext4_read,0', { section: '.klp.rela.ext4..text' });
  patch('bad-section', '.klp.sym.vmlinux._printk,0', { section: '.klp.rela' });
  patch('not-marked', '.klp.sym.vmlinux._printk,0', { info: modinfo(kernel) });
  patch('unknown-type', '.klp.sym.vmlinux._printk,0', { type: 99 });
}

function rela(offset: number, type: number, symbol: number): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, offset, true);
  view.setUint32(8, type, true);
  view.setUint32(12, symbol, true);
  return bytes;
}

/** Per-CPU variables have addresses of their own. */
function perCpu(add: Add): void {
  for (const [name, type] of [
    ['64', 1],
    ['PC32', 2],
    ['32', 10],
    ['32S', 11],
    ['PC64', 24],
  ] as const)
    add(`percpu-reloc-${name}`, {
      sections: [data('.data..percpu', 64, { flags: SHF.ALLOC | SHF.WRITE, align: 8 })],
      symbols: [{ name: 'counter', section: '.data..percpu', value: 8 }],
      relocations: [{ offset: 160, type, symbol: 'counter' }],
    });
  add('percpu-relocated', {
    sections: [data('.data..percpu', 64, { flags: SHF.ALLOC | SHF.WRITE, align: 8 })],
    symbols: [{ name: 'counter', section: '.data..percpu', value: 8 }],
    relocations: [{ section: '.data..percpu', offset: 0, type: 1, symbol: 'counter' }],
  });
  add('percpu-twice', {
    sections: [
      data('.data..percpu', 64, { flags: SHF.ALLOC | SHF.WRITE, align: 8 }),
      data('.data..percpu', 64, { flags: SHF.ALLOC | SHF.WRITE, align: 8 }),
    ],
  });
}

/** Each place that a symbol can have, as 32 bits. */
function relocations(add: Add): void {
  const places: readonly (readonly [string, ModuleSpec, string])[] = [
    ['code', { symbols: [{ name: 'own', section: '.text', value: 4 }] }, 'own'],
    ['kernel', { imports: ['_printk'] }, '_printk'],
    ['data-of-kernel', { imports: ['jiffies'] }, 'jiffies'],
    ['weak', { imports: [{ name: 'no_such_symbol_w', weak: true }] }, 'no_such_symbol_w'],
    ['zero', { symbols: [{ name: 'zero', section: SHN.ABS, value: 0 }] }, 'zero'],
    ['2-gib', { symbols: [{ name: 'high', section: SHN.ABS, value: 0x80000000 }] }, 'high'],
    [
      'not-loaded',
      {
        sections: [{ name: '.comment', bytes: new Uint8Array(8) }],
        symbols: [{ name: 'c', section: '.comment' }],
      },
      'c',
    ],
  ];
  for (const [name, spec, symbol] of places)
    for (const [what, type] of [
      ['32', 10],
      ['32S', 11],
      ['PC64', 24],
      ['64', 1],
    ] as const)
      add(`place-${name}-${what}`, { ...spec, relocations: [{ offset: 200, type, symbol, addend: 16 }] });
  const own = [{ name: 'own', section: '.text' }];
  add('relocated-modinfo', {
    symbols: own,
    relocations: [{ section: '.modinfo', offset: 0, type: 99, symbol: 'own' }],
  });
  add('relocated-zeros', {
    symbols: own,
    sections: [data('.bss', 0, { type: SHT.NOBITS, flags: SHF.ALLOC | SHF.WRITE, size: 64 })],
    relocations: [{ section: '.bss', offset: 8, type: 1, symbol: 'own' }],
  });
  add('relocated-second-fails', {
    symbols: own,
    relocations: [
      { offset: 200, type: 1, symbol: 'own' },
      { offset: 208, type: 37, symbol: 'own' },
    ],
  });
  add('relocation-and-duplicate', {
    exports: [{ name: 'kfree', crc: 1 }],
    relocations: [{ offset: 200, type: 37, symbol: 'kfree' }],
  });
}

function namespaces(add: Add, kernel: KernelFile): void {
  const all = [...kernel.exports].filter(({ kind }) => kind === 'function');
  const info = modinfo(kernel);
  const forModules = all.find(({ namespace }) => namespace.startsWith('module:'));
  if (forModules !== undefined) {
    const [first] = forModules.namespace.slice('module:'.length).split(',');
    const imports = [forModules.name];
    add('for-modules-other', { imports });
    add('for-modules-imported', { imports, modinfo: [...info, `import_ns=${forModules.namespace}`] });
    add('for-modules-named', { name: first, imports, modinfo: modinfo(kernel, first.replace('*', 'x')) });
    add('for-modules-struct-name', { structName: first, imports });
  }
  const spaced = all.filter(({ namespace }) => namespace !== '' && !namespace.startsWith('module:'));
  const [one] = spaced;
  const other = spaced.find(({ namespace }) => namespace !== one?.namespace);
  if (one === undefined || other === undefined) return;
  const imports = [one.name, other.name];
  add('namespaces-none', { imports });
  add('namespaces-one', { imports, modinfo: [...info, `import_ns=${one.namespace}`] });
  add('namespaces-quoted', { imports, modinfo: [...info, `import_ns="${one.namespace}"`] });
  add('namespaces-lower-case', { imports, modinfo: [...info, `import_ns=${one.namespace.toLowerCase()}`] });
  add('namespaces-listed', { imports, modinfo: [...info, `import_ns=${one.namespace},${other.namespace}`] });
  add('namespaces-both', {
    imports,
    modinfo: [...info, `import_ns=${one.namespace}`, `import_ns=${other.namespace}`],
  });
  add('namespaces-and-crc', { imports, crcs: { [one.name]: 1 } });
  add('namespaces-weak', { imports: [{ name: one.name, weak: true }] });
}

/** What modules take from each other: licences, namespaces, versions. */
function neighbours(add: Add, steps: LoadStep[], kernel: KernelFile): void {
  const closed = (name: string) => retag(modinfo(kernel, name), 'license', 'Proprietary');
  const keep = { how: 'keep' } as const;
  const gpl = 'kobject_create_and_add';
  const lent = { lent: 5 };
  add('lender', { name: 'lender', exports: [{ name: 'lent', crc: 5 }], modinfo: closed('lender') }, keep);
  add('heir', { imports: ['lent'], crcs: lent });
  add('heir-then-gpl', { imports: ['lent', gpl], crcs: lent });
  add('gpl-then-heir', { imports: [gpl, 'lent'], crcs: lent });
  add('heir-proprietary', { imports: ['lent'], crcs: lent, modinfo: closed('verdict_probe') });
  add('heir-no-version', { imports: ['lent'], crcs: { lent: null } });
  add('heir-weak-wrong', { imports: [{ name: 'lent', weak: true }], crcs: { lent: 6 } });
  add('heir-exports-same', { imports: ['lent'], crcs: lent, exports: [{ name: 'lent', crc: 5 }] });
  steps.push({ name: 'drop-lender', how: 'drop', file: 'lender' });
  add('open', { name: 'open_one', exports: [{ name: 'open_gpl', gpl: true, crc: 5 }] }, keep);
  const open = { open_gpl: 5 };
  // Kernels with flags beside exports do not look at the table for the GPL, which other files of the module's kind have.
  const flagged = kernel.rules.has('export-flags');
  if (!flagged) add('taker', { imports: ['open_gpl'], crcs: open });
  add('taker-proprietary', { imports: ['open_gpl'], crcs: open, modinfo: closed('verdict_probe') });
  add('taker-of-name', { name: 'open_one', imports: ['open_gpl'], crcs: open });
  if (!flagged)
    add('taker-depends', {
      imports: ['open_gpl'],
      crcs: open,
      modinfo: retag(modinfo(kernel), 'depends', 'open_one'),
    });
  steps.push({ name: 'drop-open', how: 'drop', file: 'open_one' });
  const space = (namespace: string) => ({
    name: 'spacer',
    exports: [{ name: 'spaced_one', namespace, crc: 5 }],
  });
  for (const namespace of ['module:verdict_probe', 'module:other,verdict_*', 'module:other', 'module:']) {
    add(`spacer-${namespace}`, space(namespace), keep);
    add(`guest-${namespace}`, { imports: ['spaced_one'], crcs: { spaced_one: 5 } });
    add(`guest-imports-${namespace}`, {
      imports: ['spaced_one'],
      crcs: { spaced_one: 5 },
      modinfo: [...modinfo(kernel), `import_ns=${namespace}`],
    });
    steps.push({ name: 'drop-spacer', how: 'drop', file: 'spacer' });
  }
}

/** Packed files, with and without the flag that says so. */
function packed(kernel: KernelFile, steps: LoadStep[]): void {
  const { bytes } = buildModule(kernel, { imports: ['_printk'] });
  const refused = buildModule(kernel, { imports: ['no_such_symbol_a'] }).bytes;
  const programs = {
    gzip: ['gzip', '-nc'],
    xz: ['xz', '-c', '--check=crc32', '--lzma2=dict=1MiB'],
    'xz-crc64': ['xz', '-c', '--check=crc64'],
    zstd: ['zstd', '-qc'],
    lzma: ['xz', '-c', '--format=lzma'],
    bzip2: ['bzip2', '-c'],
  };
  for (const [name, [program, ...options]] of Object.entries(programs)) {
    const pack = (input: Uint8Array) => new Uint8Array(execFileSync(program, options, { input }));
    const file = pack(bytes);
    const whole = (what: string, content: Uint8Array, flags = 4) =>
      steps.push({ name: `packed-${name}-${what}`, how: 'finit', bytes: content, flags });
    whole('flag', file);
    whole('no-flag', file, 0);
    whole('refused', pack(refused));
    whole('cut', file.subarray(0, file.length >> 1));
    const damaged = file.slice();
    damaged[file.length >> 1] ^= 0x55;
    whole('damaged', damaged);
    whole('more', Uint8Array.from([...file, 1, 2, 3, 4]));
    whole('text', pack(new TextEncoder().encode('no module at all'.repeat(9))));
    whole('flag-and-force', file, 7);
  }
  steps.push({ name: 'packed-nothing', how: 'finit', flags: 4, bytes });
}
