/** Broken modules, one rule of the loader each, for any kernel of x86-64. */
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import {
  type Built,
  buildModule,
  type ModuleSpec,
  modinfo,
  NAME,
  retag,
  SHF,
  SHN,
  SHT,
  strings,
} from './module-builder.ts';
import type { LoadStep } from './qemu.ts';
import { type Add, collect } from './steps.ts';

/** Imports that every kernel has, one of each kind. */
interface Names {
  readonly plain: string;
  readonly gpl: string;
  readonly spaced: { readonly name: string; readonly namespace: string } | undefined;
}

function namesOf(kernel: KernelFile): Names {
  const all = [...kernel.exports].filter(({ kind }) => kind === 'function');
  const spaced = all.find(({ namespace }) => namespace !== '' && !namespace.startsWith('module:'));
  return {
    plain: '_printk',
    gpl:
      'kthread_create_worker' in {}
        ? ''
        : (all.find(({ name }) => name === 'kobject_create_and_add')?.name ?? ''),
    spaced,
  };
}

type Edit = (built: Built, view: DataView) => void;

/** The whole list for a kernel. Modules of one list are loaded one after another into the same kernel. */
export function brokenModules(kernel: KernelFile): LoadStep[] {
  const { plain, gpl, spaced } = namesOf(kernel);
  const { steps, add } = collect(kernel);
  const info = modinfo(kernel);
  const edit = (
    name: string,
    change: Edit,
    spec: ModuleSpec = { imports: [plain] },
    more: Partial<LoadStep> = {},
  ) => {
    const built = buildModule(kernel, spec);
    change(built, new DataView(built.bytes.buffer, built.bytes.byteOffset, built.bytes.length));
    steps.push({ name, how: 'finit', bytes: built.bytes, ...more });
  };
  const tagged = (
    name: string,
    tag: string,
    value: string | undefined,
    spec: ModuleSpec = {},
    more: Partial<LoadStep> = {},
  ) => add(name, { ...spec, modinfo: retag(info, tag, value) }, more);

  add('good', { imports: [plain] });
  add('good-init-module', { imports: [plain] }, { how: 'init' });
  headers(edit);
  sectionTable(edit);
  sectionContents(edit);
  // special sections
  edit('no-symbols', (b, v) => v.setUint32(b.header('.symtab') + 4, SHT.PROGBITS, true));
  edit('two-symbol-tables', () => {}, {
    sections: [
      { name: '.symtab2', type: SHT.SYMTAB, bytes: new Uint8Array(24), link: '.strtab', entrySize: 24 },
    ],
  });
  edit('no-this-module', (b, v) => v.setUint32(b.header('.gnu.linkonce.this_module'), 1, true));
  add('this-module-missing', { thisModule: { copies: 0 } });
  add('this-module-small', { thisModule: { size: (kernel.moduleBytes ?? 0) - 64 } });
  add('this-module-large', { thisModule: { size: (kernel.moduleBytes ?? 0) + 64 } });
  add('this-module-twice', { thisModule: { copies: 2 } });
  edit('this-module-nobits', (b, v) =>
    v.setUint32(b.header('.gnu.linkonce.this_module') + 4, SHT.NOBITS, true),
  );
  edit('this-module-empty', (b, v) => v.setBigUint64(b.header('.gnu.linkonce.this_module') + 32, 0n, true));
  edit('this-module-not-alloc', (b, v) =>
    v.setBigUint64(b.header('.gnu.linkonce.this_module') + 8, 1n, true),
  );
  edit('modinfo-missing', (b, v) => v.setUint32(b.header('.modinfo'), 1, true));
  add('modinfo-twice', {
    sections: [{ name: '.modinfo', flags: SHF.ALLOC, bytes: strings(['license=GPL']) }],
  });
  edit('modinfo-not-alloc', (b, v) => v.setBigUint64(b.header('.modinfo') + 8, 0n, true));
  edit('modinfo-empty', (b, v) => v.setBigUint64(b.header('.modinfo') + 32, 0n, true));
  add('modinfo-no-terminator', {
    rawModinfo: strings([...info.slice(0, -1), `vermagic=${kernel.vermagic}`]).slice(0, -1),
  });
  add('modinfo-zeros', { rawModinfo: strings(['', '', '', ...info, '', '']) });
  // names
  tagged('name-missing', 'name', undefined);
  tagged('name-other', 'name', 'another_name');
  tagged('name-long', 'name', 'n'.repeat(70));
  tagged('name-empty', 'name', '');
  add('struct-name-long', { modinfo: retag(info, 'name', undefined), structName: 'm'.repeat(55) });
  add('name-of-built-in', { name: 'printk' });
  add('name-of-built-in-kernel', { name: 'workqueue' });
  // vermagic
  const [release, ...words] = kernel.vermagic.split(' ');
  tagged('vermagic-missing', 'vermagic', undefined);
  tagged('vermagic-empty', 'vermagic', '');
  tagged('vermagic-release', 'vermagic', `9.9.9 ${words.join(' ')}`);
  tagged('vermagic-words', 'vermagic', `${release} SMP mod_unload `);
  tagged('vermagic-no-blank', 'vermagic', kernel.vermagic.trimEnd());
  tagged('vermagic-release-no-versions', 'vermagic', `9.9.9 ${words.join(' ')}`, { versions: false });
  tagged('vermagic-one-word', 'vermagic', 'oneword');
  tagged('vermagic-ignored', 'vermagic', 'x y z', {}, { flags: 2 });
  // versions
  add('no-versions', { versions: false, imports: [plain] });
  add('versions-ignored', { imports: [plain], crcs: { [plain]: 1, module_layout: 2 } }, { flags: 1 });
  add('flags-both', { imports: [plain] }, { flags: 3 });
  add('flags-unknown', { imports: [plain] }, { flags: 8 });
  add('flags-compressed', { imports: [plain] }, { flags: 4 });
  add('crc-module-layout', { crcs: { module_layout: 0x12345678 } });
  add('crc-module-layout-missing', { crcs: { module_layout: null } });
  add('crc-import', { imports: [plain], crcs: { [plain]: 0x12345678 } });
  add('crc-import-missing', { imports: [plain], crcs: { [plain]: null } });
  add('crc-two-imports', { imports: [plain, 'kfree'], crcs: { [plain]: 1, kfree: 2 } });
  edit('versions-odd-size', (b, v) => v.setBigUint64(b.header('__versions') + 32, 100n, true));
  edit('versions-empty', (b, v) => v.setBigUint64(b.header('__versions') + 32, 0n, true));
  edit('versions-not-alloc', (b, v) => v.setBigUint64(b.header('__versions') + 8, 0n, true));
  // symbols
  add('unknown-symbol', { imports: ['no_such_symbol_at_all'] });
  add('unknown-symbols', { imports: ['no_such_symbol_a', plain, 'no_such_symbol_b'] });
  add('unknown-and-crc', { imports: ['no_such_symbol_a', plain], crcs: { [plain]: 1 } });
  add('crc-and-unknown', { imports: [plain, 'no_such_symbol_a'], crcs: { [plain]: 1 } });
  add('weak-symbol', { imports: [{ name: 'no_such_symbol_w', weak: true }, plain] });
  add('weak-symbol-crc', { imports: [{ name: plain, weak: true }], crcs: { [plain]: 7 } });
  add('global-offset-table', { imports: ['_GLOBAL_OFFSET_TABLE_'] });
  add('common-symbol', { symbols: [{ name: 'shared', section: SHN.COMMON, value: 8, size: 8 }] });
  add('common-lto', { symbols: [{ name: '__gnu_lto_slim', section: SHN.COMMON, value: 1, size: 1 }] });
  add('absolute-symbol', {
    symbols: [{ name: 'fixed', section: SHN.ABS, value: 0x1234 }],
    relocations: [{ offset: 64, type: 1, symbol: 'fixed' }],
  });
  add('livepatch-symbol', { symbols: [{ name: '.klp.sym.vmlinux._printk,0', section: 0xff20 }] });
  add('processor-symbol', { symbols: [{ name: 'weird', section: 0xff05 }] });
  add('gpl-symbol', { imports: [gpl] });
  const proprietary = retag(info, 'license', 'Proprietary');
  add('gpl-symbol-proprietary', { imports: [gpl], modinfo: proprietary });
  add('gpl-symbol-no-licence', { imports: [gpl], modinfo: retag(info, 'license', undefined) });
  add('gpl-symbol-weak-proprietary', { imports: [{ name: gpl, weak: true }], modinfo: proprietary });
  add('gpl-symbol-nul-licence', {
    imports: [gpl],
    modinfo: retag(info, 'license', 'GPL\0for the header only'),
  });
  for (const licence of [
    'GPL v2',
    'GPL and additional rights',
    'Dual BSD/GPL',
    'Dual MIT/GPL',
    'Dual MPL/GPL',
    'GPLv2',
    'gpl',
    'GPL ',
    'BSD',
    '',
  ])
    add(`licence-${licence.replaceAll(' ', '_')}`, {
      imports: [gpl],
      modinfo: retag(info, 'license', licence),
    });
  add('licence-twice', { imports: [gpl], modinfo: ['license=Proprietary', ...info] });
  if (spaced !== undefined) {
    add('namespace-missing', { imports: [spaced.name] });
    add('namespace-imported', {
      imports: [spaced.name],
      modinfo: [...info, `import_ns=${spaced.namespace}`],
    });
    add('namespace-other', { imports: [spaced.name], modinfo: [...info, 'import_ns=NO_SUCH_SPACE'] });
    add('namespace-among-others', {
      imports: [spaced.name],
      modinfo: [...info, 'import_ns=ONE', `import_ns=${spaced.namespace}`],
    });
    add('namespace-proprietary', {
      imports: [spaced.name],
      modinfo: [...proprietary, `import_ns=${spaced.namespace}`],
    });
  }
  marks(add, info, kernel);
  relocations(add, edit, plain);
  exportsAndNames(add, steps, plain);
  sizes(add, edit);
  add('argument-unknown', { imports: [plain] }, { args: 'colour=red size' });
  add('arguments-after-dashes', { imports: [plain] }, { args: '-- a b' });
  return steps;
}

type EditCase = (name: string, change: Edit, spec?: ModuleSpec, more?: Partial<LoadStep>) => void;

function headers(edit: EditCase): void {
  const cut = (name: string, length: number, how: LoadStep['how'] = 'finit') =>
    edit(
      name,
      () => {},
      {},
      { how, bytes: new Uint8Array([0x7f, 0x45, 0x4c, 0x46, ...new Array(60).fill(0)]).slice(0, length) },
    );
  cut('file-empty', 0);
  cut('file-10', 10);
  cut('file-63', 63);
  cut('file-64', 64);
  cut('file-10-init', 10, 'init');
  const u8 = (name: string, at: number, value: number) => edit(name, (_b, v) => v.setUint8(at, value));
  const u16 = (name: string, at: number, value: number) =>
    edit(name, (_b, v) => v.setUint16(at, value, true));
  u8('magic', 0, 0x7e);
  u8('magic-last', 3, 0x47);
  u8('class-32', 4, 1);
  u8('class-none', 4, 0);
  u8('data-big', 5, 2);
  u8('ident-version', 6, 9);
  u8('os-abi', 7, 9);
  u16('type-none', 16, 0);
  u16('type-exec', 16, 2);
  u16('type-dyn', 16, 3);
  u16('type-core', 16, 4);
  u16('type-odd', 16, 0xfe00);
  u16('machine-arm64', 18, 183);
  u16('machine-386', 18, 3);
  u16('machine-none', 18, 0);
  edit('version', (_b, v) => v.setUint32(20, 7, true));
  edit('flags', (_b, v) => v.setUint32(48, 0xff, true));
  edit('entry-and-phoff', (_b, v) => v.setBigUint64(24, 0x1234n, true));
  u16('ehsize', 52, 1);
  u16('shentsize-63', 58, 63);
  u16('shentsize-0', 58, 0);
  u16('shnum-0', 60, 0);
  u16('shnum-1', 60, 1);
  u16('shnum-large', 60, 0xfff0);
  u16('shstrndx-0', 62, 0);
  u16('shstrndx-shnum', 62, 0x30);
  u16('shstrndx-xindex', 62, 0xffff);
  edit('shoff-end', (b, v) => v.setBigUint64(40, BigInt(b.bytes.length), true));
  edit('shoff-far', (_b, v) => v.setBigUint64(40, 0x7fffffffffffff00n, true));
  edit('shoff-negative', (_b, v) => v.setBigUint64(40, 0xffffffffffffff00n, true));
  edit('shoff-0', (_b, v) => v.setBigUint64(40, 0n, true));
  edit('file-cut', () => {}, {}, {});
}

function sectionTable(edit: EditCase): void {
  const field = (name: string, section: string, at: number, value: number | bigint) =>
    edit(name, (b, v) => {
      if (typeof value === 'bigint') v.setBigUint64(b.header(section) + at, value, true);
      else v.setUint32(b.header(section) + at, value, true);
    });
  field('shstrtab-far', '.shstrtab', 24, 0x10000000n);
  field('shstrtab-overflow', '.shstrtab', 24, 0xffffffffffffffffn);
  field('shstrtab-empty', '.shstrtab', 32, 0n);
  field('shstrtab-unterminated', '.shstrtab', 32, 20n);
  field('shstrtab-progbits', '.shstrtab', 4, SHT.PROGBITS);
  field('shstrtab-nobits', '.shstrtab', 4, SHT.NOBITS);
  field('shstrtab-null', '.shstrtab', 4, SHT.NULL);
  field('section-0-type', '', 4, SHT.PROGBITS);
  field('section-0-size', '', 32, 1n);
  field('section-0-address', '', 16, 1n);
  field('section-0-link', '', 40, 1);
  field('symtab-link-0', '.symtab', 40, 0);
  field('symtab-link-large', '.symtab', 40, 200);
  field('symtab-link-other', '.symtab', 40, 2);
  field('symtab-far', '.symtab', 24, 0x1000000n);
  field('symtab-size-far', '.symtab', 32, 0x1000000n);
  field('symtab-size-odd', '.symtab', 32, 47n);
  field('symtab-size-0', '.symtab', 32, 0n);
  field('symtab-entsize-0', '.symtab', 56, 0n);
  field('symtab-info-large', '.symtab', 44, 99);
  field('strtab-type', '.strtab', 4, SHT.PROGBITS);
  field('strtab-far', '.strtab', 24, 0x1000000n);
  field('strtab-empty', '.strtab', 32, 0n);
  field('strtab-short', '.strtab', 32, 4n);
  field('text-far', '.text', 24, 0x1000000n);
  field('text-overflow', '.text', 32, 0xffffffffffffff00n);
  field('text-type-0', '.text', 4, SHT.NULL);
  field('text-type-odd', '.text', 4, 0x70000001);
  field('text-name-large', '.text', 0, 0x10000);
  field('rela-name-large', '.rela.text', 0, 0x10000);
  field('rela-far', '.rela.text', 24, 0x1000000n);
  field('rela-size-odd', '.rela.text', 32, 23n);
  field('rela-info-large', '.rela.text', 44, 200);
  field('rela-info-symtab', '.rela.text', 44, 5);
  field('rela-info-0', '.rela.text', 44, 0);
  field('rela-link-other', '.rela.text', 40, 1);
  field('rela-entsize-0', '.rela.text', 56, 0n);
  field('text-align-0', '.text', 48, 0n);
  field('text-align-3', '.text', 48, 3n);
  field('text-align-64k', '.text', 48, 0x10000n);
  field('text-address', '.text', 16, 0x1000n);
}

function sectionContents(edit: EditCase): void {
  edit('strtab-unterminated', (b) => {
    b.bytes[b.contents('.strtab') + 8] = 0x41;
  });
  edit('strtab-first', (b) => {
    b.bytes[b.contents('.strtab')] = 0x41;
  });
  edit('shstrtab-first', (b) => {
    b.bytes[b.contents('.shstrtab')] = 0x41;
  });
  edit('symbol-name-far', (b, v) => v.setUint32(b.symbol('_printk'), 0x10000, true));
  edit('symbol-0-name', (b, v) => v.setUint32(b.contents('.symtab'), 3, true));
}

function marks(add: Add, info: readonly string[], kernel: KernelFile): void {
  add('not-in-tree', { modinfo: retag([...info], 'intree', undefined) });
  add('not-retpoline', { modinfo: retag([...info], 'retpoline', undefined) });
  add('staging', { modinfo: [...info, 'staging=Y'] });
  add('test-module', { modinfo: [...info, 'test=Y'] });
  add('livepatch-mark', { modinfo: [...info, 'livepatch=Y'] });
  add('out-of-tree-proprietary', {
    modinfo: retag(retag([...info], 'intree', undefined), 'license', 'Proprietary'),
  });
  add('named-ndiswrapper', { name: 'ndiswrapper', modinfo: modinfo(kernel, 'ndiswrapper') });
  add('named-driverloader', { name: 'driverloader', modinfo: modinfo(kernel, 'driverloader') });
}

function relocations(add: Add, edit: EditCase, plain: string): void {
  const R = {
    NONE: 0,
    '64': 1,
    PC32: 2,
    GOT32: 3,
    PLT32: 4,
    COPY: 5,
    GOTPCREL: 9,
    '32': 10,
    '32S': 11,
    '16': 12,
    '8': 14,
    PC64: 24,
    SIZE64: 33,
    GOTPCRELX: 41,
    REX: 42,
  } as const;
  for (const [name, type] of Object.entries(R))
    add(`reloc-${name}`, {
      imports: [plain],
      relocations: [{ offset: 128, type, symbol: plain, addend: -4 }],
    });
  add('reloc-type-99', {
    relocations: [{ offset: 128, type: 99, symbol: 'own' }],
    symbols: [{ name: 'own', section: '.text' }],
  });
  const own = { symbols: [{ name: 'own', section: '.text' }] };
  for (const [name, type] of [
    ['64', 1],
    ['PC32', 2],
    ['PLT32', 4],
    ['32S', 11],
    ['PC64', 24],
  ] as const)
    edit(
      `reloc-nonzero-${name}`,
      (b) => {
        b.bytes[b.contents('.text') + 129] = 0x11;
      },
      { ...own, relocations: [{ offset: 128, type, symbol: 'own' }] },
    );
  add('reloc-32-fits', {
    symbols: [{ name: 'low', section: SHN.ABS, value: 0x1234 }],
    relocations: [{ offset: 128, type: 10, symbol: 'low' }],
  });
  add('reloc-32s-negative', {
    symbols: [{ name: 'low', section: SHN.ABS, value: 0 }],
    relocations: [{ offset: 128, type: 11, symbol: 'low', addend: -5 }],
  });
  add('reloc-32-negative', {
    symbols: [{ name: 'low', section: SHN.ABS, value: 0 }],
    relocations: [{ offset: 128, type: 10, symbol: 'low', addend: -5 }],
  });
  add('reloc-32s-overflow', {
    symbols: [{ name: 'big', section: SHN.ABS, value: 0x123456789 }],
    relocations: [{ offset: 128, type: 11, symbol: 'big' }],
  });
  add('reloc-pc32-overflow', {
    symbols: [{ name: 'big', section: SHN.ABS, value: 0x123456789 }],
    relocations: [{ offset: 128, type: 2, symbol: 'big' }],
  });
  add('reloc-same-place-twice', {
    ...own,
    relocations: [
      { offset: 128, type: 1, symbol: 'own' },
      { offset: 128, type: 1, symbol: 'own' },
    ],
  });
  edit('rel-section', (b, v) => v.setUint32(b.header('.rela.text') + 4, SHT.REL, true));
  add('reloc-in-note', {
    ...own,
    sections: [{ name: '.comment', bytes: new Uint8Array(16) }],
    relocations: [{ section: '.comment', offset: 0, type: 99, symbol: 'own' }],
  });
}

function exportsAndNames(add: Add, steps: LoadStep[], plain: string): void {
  add('exports', { exports: [{ name: 'verdict_one', crc: 1 }] });
  add('exports-gpl', { exports: [{ name: 'verdict_gpl', gpl: true, crc: 1 }] });
  add('exports-no-crc', { exports: [{ name: 'verdict_two' }] });
  add('exports-duplicate-of-kernel', { exports: [{ name: plain, crc: 1 }] });
  add('exports-duplicate-unknown-symbol', {
    imports: ['no_such_symbol_a'],
    exports: [{ name: 'kfree', crc: 1 }],
  });
  const provider = {
    name: 'provider',
    exports: [
      { name: 'provided', crc: 5 },
      { name: 'provided_gpl', gpl: true, crc: 6 },
      { name: 'provided_ns', namespace: 'SPACE', crc: 7 },
    ],
  };
  add('provider', provider, { how: 'keep' });
  add('same-name', provider);
  add('same-name-unknown-symbol', { name: 'provider', imports: ['no_such_symbol_a'] });
  add('same-name-crc', { name: 'provider', crcs: { module_layout: 1 } });
  add('exports-duplicate-of-module', { exports: [{ name: 'provided', crc: 5 }] });
  add('user', { imports: ['provided'], crcs: { provided: 5 } });
  add('user-crc', { imports: ['provided'], crcs: { provided: 55 } });
  add('user-namespace', { imports: ['provided_ns'], crcs: { provided_ns: 7 } });
  add('user-two-faults', { imports: ['provided_ns', 'no_such_symbol_a'], crcs: { provided_ns: 8 } });
  steps.push({ name: 'drop-provider', how: 'drop', file: 'provider' });
  add('user-provider-gone', { imports: ['provided'], crcs: { provided: 5 } });
}

function sizes(add: Add, edit: EditCase): void {
  add('write-execute', {
    sections: [{ name: '.wx', flags: SHF.WRITE | SHF.ALLOC | SHF.EXEC, bytes: new Uint8Array(8) }],
  });
  add('write-execute-not-alloc', {
    sections: [{ name: '.wx', flags: SHF.WRITE | SHF.EXEC, bytes: new Uint8Array(8) }],
  });
  add('percpu', {
    sections: [{ name: '.data..percpu', flags: SHF.WRITE | SHF.ALLOC, bytes: new Uint8Array(64), align: 8 }],
  });
  add('percpu-align-8k', {
    sections: [
      { name: '.data..percpu', flags: SHF.WRITE | SHF.ALLOC, bytes: new Uint8Array(64), align: 8192 },
    ],
  });
  add('percpu-large', {
    sections: [
      {
        name: '.data..percpu',
        flags: SHF.WRITE | SHF.ALLOC,
        type: SHT.PROGBITS,
        bytes: new Uint8Array(200_000),
        align: 8,
      },
    ],
  });
  add('obsolete-parameters', {
    sections: [{ name: '__obsparm', flags: SHF.ALLOC, bytes: new Uint8Array(8) }],
  });
  add('constructors', {
    sections: [{ name: '.ctors', flags: SHF.ALLOC | SHF.WRITE, bytes: new Uint8Array(8) }],
  });
  add('bss-large', {
    sections: [{ name: '.bss', type: SHT.NOBITS, flags: SHF.WRITE | SHF.ALLOC, size: 1 << 20, align: 64 }],
  });
  edit('bss-huge', (b, v) => v.setBigUint64(b.header('.bss') + 32, 0x200000000n, true), {
    sections: [{ name: '.bss', type: SHT.NOBITS, flags: SHF.WRITE | SHF.ALLOC, size: 8 }],
  });
  edit('bss-2g', (b, v) => v.setBigUint64(b.header('.bss') + 32, 0x70000000n, true), {
    sections: [{ name: '.bss', type: SHT.NOBITS, flags: SHF.WRITE | SHF.ALLOC, size: 8 }],
  });
  add('init-sections', {
    sections: [
      { name: '.init.text', flags: SHF.ALLOC | SHF.EXEC, bytes: new Uint8Array(16) },
      { name: '.exit.text', flags: SHF.ALLOC | SHF.EXEC, bytes: new Uint8Array(16) },
    ],
  });
}

export const probeName = NAME;
