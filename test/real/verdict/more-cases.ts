/** More broken modules: what a module brings for other parts of the kernel, its parameters, what its start returns. */
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { buildModule, type ModuleSpec, modinfo, retag, SHF, SHT, strings } from './module-builder.ts';
import type { LoadStep } from './qemu.ts';
import { type Add, collect } from './steps.ts';

export function moreModules(kernel: KernelFile): LoadStep[] {
  const { steps, add } = collect(kernel);
  typeInformation(add);
  extendedVersions(add, kernel);
  memory(add, kernel);
  names(add, kernel);
  strangeInfo(add, kernel);
  parameters(add);
  starts(add);
  duplicates(add);
  wholeFiles(kernel, steps);
  return steps;
}

function btf(length: number, change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  if (length >= 24) {
    view.setUint16(0, 0xeb9f, true);
    view.setUint8(2, 1);
    view.setUint32(4, 24, true);
  }
  change(view);
  return bytes;
}

function typeInformation(add: Add): void {
  const types = (name: string, bytes: Uint8Array, flags = 0) =>
    add(`types-${name}`, { sections: [{ name: '.BTF', flags, bytes, align: 4 }] });
  types('none', new Uint8Array(0));
  types('4-bytes', new Uint8Array(4));
  types('8-bytes', new Uint8Array(8));
  types('zeros', new Uint8Array(100));
  types('zeros-loaded', new Uint8Array(100), SHF.ALLOC);
  types(
    'header-long',
    btf(24, (v) => v.setUint32(4, 1000, true)),
  );
  types(
    'header-larger',
    btf(40, (v) => v.setUint32(4, 40, true)),
  );
  types(
    'header-larger-used',
    btf(40, (v) => [v.setUint32(4, 40, true), v.setUint8(30, 1)]),
  );
  types(
    'header-short',
    btf(24, (v) => v.setUint32(4, 8, true)),
  );
  types(
    'magic',
    btf(25, (v) => v.setUint16(0, 0x9feb, true)),
  );
  types(
    'version',
    btf(25, (v) => v.setUint8(2, 2)),
  );
  types(
    'flags',
    btf(25, (v) => v.setUint8(3, 1)),
  );
  types('empty', btf(24));
  types('rest', btf(32));
  types(
    'gap',
    btf(32, (v) => [v.setUint32(16, 4, true), v.setUint32(20, 4, true)]),
  );
  types(
    'overlap',
    btf(32, (v) => [v.setUint32(12, 8, true), v.setUint32(16, 4, true), v.setUint32(20, 4, true)]),
  );
  types(
    'far',
    btf(32, (v) => v.setUint32(8, 100, true)),
  );
  types(
    'long',
    btf(32, (v) => v.setUint32(12, 100, true)),
  );
  types(
    'strings-first',
    btf(32, (v) => [v.setUint32(8, 4, true), v.setUint32(12, 4, true), v.setUint32(20, 4, true)]),
  );
  types(
    'strings-open',
    btf(26, (v) => [v.setUint32(20, 2, true), v.setUint8(25, 65)]),
  );
}

function extendedVersions(add: Add, kernel: KernelFile): void {
  const crc = kernel.exports.find('_printk')?.crc ?? 0;
  const layout = kernel.exports.find('module_layout')?.crc ?? 0;
  const words = (...list: number[]) => new Uint8Array(Uint32Array.from(list).buffer);
  const extended = (
    name: string,
    crcs: Uint8Array | undefined,
    texts: Uint8Array | undefined,
    spec: ModuleSpec = {},
  ) =>
    add(`extended-${name}`, {
      imports: ['_printk'],
      ...spec,
      sections: [
        ...(crcs ? [{ name: '__version_ext_crcs', flags: SHF.ALLOC, bytes: crcs, align: 4 }] : []),
        ...(texts ? [{ name: '__version_ext_names', flags: SHF.ALLOC, bytes: texts }] : []),
      ],
    });
  const both = strings(['module_layout', '_printk']);
  extended('right', words(layout, crc), both);
  extended('only', words(layout, crc), both, { versions: false });
  extended('wrong', words(layout, crc ^ 1), both);
  extended('wrong-layout', words(layout ^ 1, crc), both);
  extended('wrong-in-the-old', words(layout, crc), both, { crcs: { _printk: 1 } });
  extended('incomplete', words(layout), strings(['module_layout']));
  extended('crcs-alone', words(layout, crc), undefined);
  extended('names-alone', undefined, both);
  extended('names-few', words(layout, crc, 7), both);
  extended('names-open', words(layout, crc), both.subarray(0, -1));
  extended('names-more', words(layout), both);
  extended('empty', new Uint8Array(0), new Uint8Array(0));
  add(
    'extended-ignored',
    { imports: ['_printk'], sections: [{ name: '__version_ext_crcs', flags: SHF.ALLOC, bytes: words(1) }] },
    { flags: 1 },
  );
}

function memory(add: Add, kernel: KernelFile): void {
  for (const size of [4096, 8192, 8200, 20_000, 40_000])
    add(`percpu-${size}`, {
      sections: [
        { name: '.data..percpu', flags: SHF.WRITE | SHF.ALLOC, bytes: new Uint8Array(size), align: 8 },
      ],
    });
  add('percpu-no-bytes', {
    sections: [{ name: '.data..percpu', type: SHT.NOBITS, flags: SHF.WRITE | SHF.ALLOC, size: 64, align: 8 }],
  });
  add('percpu-align-3', {
    sections: [{ name: '.data..percpu', flags: SHF.WRITE | SHF.ALLOC, bytes: new Uint8Array(64), align: 3 }],
  });
  const whole = kernel.moduleBytes ?? 896;
  for (const less of [1, 8, 32, 64]) add(`this-module-less-${less}`, { thisModule: { size: whole - less } });
  add('this-module-more-1', { thisModule: { size: whole + 1 } });
  add('this-module-read-only', { thisModule: { flags: SHF.ALLOC } });
}

function names(add: Add, kernel: KernelFile): void {
  const named = (what: string, name: string, structName = name) =>
    add(`named-${what}`, { name, structName, modinfo: modinfo(kernel, name) });
  named('with-dash', 'two-words');
  named('with-blank', 'two words');
  named('with-dot', 'two.words');
  named('with-slash', 'two/words');
  named('with-percent', '%s%d%p');
  named('with-umlaut', 'fünf');
  named('capital', 'VERDICT');
  named('digits', '1234');
  named('55', 'n'.repeat(55));
  named('56', 'n'.repeat(56), 'n'.repeat(55));
  named('otherwise', 'stated_name', 'real_name');
  add('named-otherwise-staging', {
    name: 'stated_name',
    structName: 'real_name',
    modinfo: [...retag(modinfo(kernel, 'stated_name'), 'intree', undefined), 'staging=Y'],
  });
  add('named-otherwise-vermagic', {
    structName: 'real_name',
    modinfo: retag(modinfo(kernel, 'stated_name'), 'vermagic', 'x y'),
  });
  add('named-otherwise-crc', {
    structName: 'real_name',
    modinfo: modinfo(kernel, 'stated_name'),
    imports: ['_printk'],
    crcs: { _printk: 1 },
  });
  add('named-otherwise-unknown', {
    structName: 'real_name',
    modinfo: modinfo(kernel, 'stated_name'),
    imports: ['no_such_symbol_a'],
  });
  add('named-otherwise-force', {
    structName: 'real_name',
    modinfo: retag(modinfo(kernel, 'stated_name'), 'vermagic', undefined),
    versions: false,
    imports: ['_printk'],
  });
  add('named-nothing', { name: '', structName: '', modinfo: modinfo(kernel, '') });
  add('named-kernel-module', { name: 'ext4', modinfo: modinfo(kernel, 'ext4') });
}

function strangeInfo(add: Add, kernel: KernelFile): void {
  const info = modinfo(kernel);
  const listed = (name: string, list: readonly string[], spec: ModuleSpec = {}) =>
    add(`info-${name}`, { imports: ['_printk'], modinfo: list, ...spec });
  listed(
    'upper-case',
    info.map((one) => one.toUpperCase()),
  );
  listed(
    'blank-before',
    info.map((one) => ` ${one}`),
  );
  listed(
    'blank-behind-tag',
    info.map((one) => one.replace('=', ' =')),
  );
  listed('licence-quoted', retag(info, 'license', '"GPL"'));
  listed('licence-gpl-3', retag(info, 'license', 'GPL v3'));
  listed('licence-or', retag(info, 'license', 'GPL or BSD'));
  listed('licence-list', ['license=GPL', 'license=Proprietary', ...info.slice(1)]);
  listed('licence-last', [...info.slice(1), 'license=Proprietary', 'license=GPL']);
  listed('intree-no', retag(info, 'intree', 'N'));
  listed('retpoline-no', retag(info, 'retpoline', 'N'));
  listed('staging-no', [...info, 'staging=N']);
  listed('livepatch-empty', [...info, 'livepatch=']);
  listed('vermagic-twice', ['vermagic=9.9 x ', ...info]);
  listed('vermagic-blank-twice', retag(info, 'vermagic', kernel.vermagic.replace(' ', '  ')));
  listed('vermagic-newline', retag(info, 'vermagic', `${kernel.vermagic}\n`));
  listed('vermagic-extra', retag(info, 'vermagic', `${kernel.vermagic}gcc-12 `));
  listed('vermagic-case', retag(info, 'vermagic', kernel.vermagic.toLowerCase()));
  listed('vermagic-begins-blank', retag(info, 'vermagic', ` ${kernel.vermagic}`));
  listed('name-twice', ['name=first_name', ...info]);
  listed('depends-missing-module', retag(info, 'depends', 'no_such_module'));
  listed('import-two', [...info, 'import_ns=A,B']);
  listed('import-module', [...info, 'import_ns=module:verdict_probe']);
  listed('import-empty', [...info, 'import_ns=']);
  listed('only-licence', ['license=GPL']);
  listed('no-strings', []);
  listed('long-licence', retag(info, 'license', 'x'.repeat(900)));
  listed('control-characters', retag(info, 'license', 'a\tb\x01c'));
  listed('percent', retag(info, 'license', '%s %n'));
}

function parameters(add: Add): void {
  const spec: ModuleSpec = {
    imports: ['_printk'],
    parameters: [
      { name: 'number', type: 'int' },
      { name: 'small', type: 'byte' },
      { name: 'big', type: 'ullong' },
      { name: 'flag', type: 'bool' },
      { name: 'not_flag', type: 'invbool' },
      { name: 'text', type: 'charp', mode: 0 },
      { name: 'unsigned', type: 'uint' },
      { name: 'hidden', type: 'int', mode: 0 },
      { name: 'hex', type: 'hexint' },
    ],
  };
  for (const args of [
    '',
    'number=1',
    'number=-1',
    'number=0x10',
    'number=010',
    'number=08',
    'number=2147483647',
    'number=2147483648',
    'number=x',
    'number=',
    'number',
    'number=1x',
    'number=1 number=2',
    'small=255',
    'small=256',
    'small=-1',
    'big=18446744073709551615',
    'big=18446744073709551616',
    'unsigned=-1',
    'unsigned=+1',
    'flag',
    'flag=y',
    'flag=0',
    'flag=maybe',
    'flag=on',
    'flag=of',
    'flag=',
    'not_flag',
    'not-flag=1',
    'not_flag=x',
    'text=abc',
    'text',
    'text=',
    'text="a b"',
    'text="a b',
    '"text=a b"',
    'text=a"b c"',
    'hidden=5',
    'hex=ff',
    'hex=0xff',
    'nothing=1',
    'nothing',
    'verdict_probe.number=1',
    'number=1 nothing=2 small=300',
    'nothing=1 small=x number=y',
    '-- number=x',
    'number=1 -- x',
    'async_probe',
    'async_probe=x',
    'dyndbg',
    'NUMBER=1',
    'number =1',
    'number= 1',
    '=1',
    ' number=3 ',
    'number=1,2',
    `text=${'x'.repeat(1500)}`,
  ])
    add(`parameters:${args.slice(0, 40).replaceAll(' ', '_') || 'none'}`, spec, { args });
}

/** mov $N, %eax; ret */
const returns = (value: number): number[] => [0xb8, ...new Uint8Array(Int32Array.of(value).buffer), 0xc3];

function starts(add: Add): void {
  const gone = [0xc3];
  for (const value of [0, -1, -2, -5, -12, -16, -17, -22, -38, -110, -517, 1, 5])
    add(`start-${value}`, { imports: ['_printk'], init: returns(value), exit: gone });
  add('start-0-for-ever', { name: 'verdict_for_ever', init: returns(0) }, { how: 'keep' });
  add('start-0-again', { name: 'verdict_for_ever', init: returns(0) });
  add('exit-alone', { exit: gone });
}

function duplicates(add: Add): void {
  const two = (a: string, b: string) => ({
    exports: [
      { name: a, crc: 1 },
      { name: b, gpl: true, crc: 2 },
    ],
  });
  add('exports-same-twice', two('verdict_same', 'verdict_same'));
  add('exports-of-kernel-gpl', two('verdict_own', 'kobject_create_and_add'));
  add('exports-of-kernel-both', two('kfree', '_printk'));
  add('exports-proprietary', { ...two('verdict_a', 'verdict_b') });
  add('imports-own-export', { imports: ['verdict_own'], exports: [{ name: 'verdict_own2', crc: 1 }] });
  add('imports-twice', { imports: ['_printk', 'kfree', '_printk'] });
  add('imports-empty-name', { imports: [''] });
  add('imports-long-name', { imports: ['n'.repeat(300)] });
  add('imports-non-ascii', { imports: ['fünf'] });
  for (const name of ['.data', '.rodata', '.text', '.note.x'])
    add(`section-twice-${name}`, {
      sections: [
        { name, flags: SHF.ALLOC, bytes: new Uint8Array(16) },
        { name, flags: SHF.ALLOC, bytes: new Uint8Array(16) },
      ],
    });
  add('section-twice-empty', {
    sections: [
      { name: '.x', flags: SHF.ALLOC, bytes: new Uint8Array(0) },
      { name: '.x', flags: SHF.ALLOC, bytes: new Uint8Array(16) },
    ],
  });
}

function wholeFiles(kernel: KernelFile, steps: LoadStep[]): void {
  const { bytes } = buildModule(kernel, { imports: ['_printk'] });
  const whole = (name: string, file: Uint8Array, more: Partial<LoadStep> = {}) =>
    steps.push({ name: `file-${name}`, how: 'finit', bytes: file, ...more });
  const joined = (...parts: readonly (Uint8Array | readonly number[])[]) =>
    Uint8Array.from(parts.flatMap((part) => [...part]));
  whole('more-bytes', joined(bytes, new Array(100).fill(0x41)));
  whole('twice', joined(bytes, bytes));
  whole('blank-before', joined([0x20], bytes));
  whole(
    'text',
    new TextEncoder().encode('#!/bin/sh\necho this is no module at all, and longer than 64 bytes\n'),
  );
  whole('gzip', joined([0x1f, 0x8b, 8, 0], bytes));
  whole('gzip-compressed', joined([0x1f, 0x8b, 8, 0], bytes), { flags: 4 });
  whole('xz-damaged', joined([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], bytes), { flags: 4 });
  whole('zeros', new Uint8Array(4096));
  whole('init-more-bytes', joined(bytes, [0]), { how: 'init' });
  for (const part of [1, 2, 3])
    whole(`cut-${part}`, bytes.subarray(0, Math.floor((bytes.length * part) / 4)));
  whole('cut-1', bytes.subarray(0, -1));
}
