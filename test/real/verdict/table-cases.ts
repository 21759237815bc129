/** Modules whose tables for other parts of the kernel do not hold what those parts expect, and modules with two faults. */
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
  type SymbolSpec,
} from './module-builder.ts';
import type { LoadStep } from './qemu.ts';
import { type Add, collect } from './steps.ts';

export function modulesWithTables(kernel: KernelFile): LoadStep[] {
  const { steps, add } = collect(kernel);
  emptyTables(add);
  oddTables(add);
  callSites(add);
  renamedSections(kernel, steps);
  twoFaults(add, kernel);
  oddSymbols(add);
  return steps;
}

/** Relocations of arm64 by number, each against a place that is near, far, small and zero; and sections that may not be absent. */
export function arm64Modules(kernel: KernelFile): LoadStep[] {
  const { steps, add } = collect(kernel);
  const places: readonly (readonly [string, SymbolSpec])[] = [
    ['near', { name: 'place', section: '.text' }],
    ['kernel', { name: '_printk', section: SHN.UNDEF }],
    ['zero', { name: 'place', section: SHN.ABS, value: 0 }],
    ['small', { name: 'place', section: SHN.ABS, value: 0x1234 }],
    ['half', { name: 'place', section: SHN.ABS, value: 0x12340 }],
    ['word', { name: 'place', section: SHN.ABS, value: 0x123456780 }],
  ];
  for (const type of [
    0,
    1,
    3,
    99,
    256,
    ...Array.from({ length: 45 }, (_, i) => 257 + i),
    311,
    512,
    1026,
    1027,
  ])
    for (const [what, symbol] of places)
      add(`reloc-${type}-${what}`, {
        ...(symbol.section === SHN.UNDEF ? { imports: [symbol.name] } : { symbols: [symbol] }),
        relocations: [{ offset: 128, type, symbol: symbol.name }],
      });
  add('reloc-258-negative', {
    symbols: [{ name: 'place', section: SHN.ABS }],
    relocations: [{ offset: 128, type: 258, symbol: 'place', addend: -1 }],
  });
  for (const name of ['.plt', '.init.plt', '.text.ftrace_trampoline'])
    add(`without-${name}`, { without: [name] });
  add('without-all', { without: ['.plt', '.init.plt', '.text.ftrace_trampoline'] });
  add('without-.plt-vermagic', {
    without: ['.plt'],
    modinfo: retag(modinfo(kernel), 'vermagic', 'x y z'),
  });
  add('without-.plt-write-execute', {
    without: ['.plt'],
    sections: [table('.wx', 8, SHF.ALLOC | SHF.WRITE | SHF.EXEC)],
  });
  add('without-tracer-unknown', { without: ['.text.ftrace_trampoline'], imports: ['no_such_symbol_a'] });
  add('without-tracer-duplicate', {
    without: ['.text.ftrace_trampoline'],
    exports: [{ name: 'kfree', crc: 1 }],
  });
  return steps;
}

const table = (name: string, size: number, flags: number = SHF.ALLOC, align = 8): SectionSpec => ({
  name,
  flags,
  bytes: new Uint8Array(size),
  align,
});

/** Sections that a module of the kernel's own build brings, by how large one entry is. */
const TABLES: readonly (readonly [name: string, entry: number, flags?: number])[] = [
  ['__ex_table', 12],
  ['__bug_table', 12, SHF.ALLOC | SHF.WRITE],
  ['__jump_table', 16, SHF.ALLOC | SHF.WRITE],
  ['__tracepoints_ptrs', 4],
  ['__tracepoints', 80, SHF.ALLOC | SHF.WRITE],
  ['_ftrace_events', 8, SHF.ALLOC | SHF.WRITE],
  ['_ftrace_eval_map', 8, SHF.ALLOC | SHF.WRITE],
  ['__trace_printk_fmt', 8, SHF.ALLOC | SHF.WRITE],
  ['__dyndbg', 56, SHF.ALLOC | SHF.WRITE],
  ['__dyndbg_classes', 64, SHF.ALLOC | SHF.WRITE],
  ['.static_call_sites', 8, SHF.ALLOC | SHF.WRITE],
  ['.static_call_tramp_key', 8, SHF.ALLOC | SHF.WRITE],
  ['.altinstructions', 14],
  ['.smp_locks', 4],
  ['.parainstructions', 16],
  ['.retpoline_sites', 4],
  ['.return_sites', 4],
  ['.call_sites', 4],
  ['.ibt_endbr_seal', 4],
  ['.cfi_sites', 4],
  ['__mcount_loc', 8],
  ['__patchable_function_entries', 8],
  ['_kprobe_blacklist', 8],
  ['_error_injection_whitelist', 16],
  ['__bpf_raw_tp_map', 32, SHF.ALLOC | SHF.WRITE],
  ['.printk_index', 8],
  ['.kunit_test_suites', 8],
  ['.kunit_init_test_suites', 8],
  ['.noinstr.text', 8, SHF.ALLOC | SHF.EXEC],
  ['.kprobes.text', 8, SHF.ALLOC | SHF.EXEC],
  ['.text.unlikely', 8, SHF.ALLOC | SHF.EXEC],
  ['___srcu_struct_ptrs', 8],
  ['.init.plt', 8, SHF.ALLOC | SHF.EXEC],
  ['.gnu.version', 2],
  ['.codetag.alloc_tags', 40, SHF.ALLOC | SHF.WRITE],
  ['alloc_tags', 40, SHF.ALLOC | SHF.WRITE],
  ['.BTF_ids', 4],
  ['.BTF.base', 24],
];

function emptyTables(add: Add): void {
  for (const [name, , flags] of TABLES) add(`table-empty-${name}`, { sections: [table(name, 0, flags)] });
}

/** A byte short of one entry: that is none. */
function oddTables(add: Add): void {
  // Of this one a part of an entry is taken for a whole.
  for (const [name, entry, flags] of TABLES)
    if (entry > 4 && name !== '.parainstructions')
      add(`table-short-${name}`, { sections: [table(name, Math.min(entry - 1, 7), flags)] });
}

/** Places of code and what they belong to, as differences from where the table says it. */
function callSites(add: Add): void {
  const own = [{ name: 'own', section: '.text', value: 16 }];
  const site = (name: string, key: string, more: ModuleSpec = {}) =>
    add(`static-call-${name}`, {
      ...more,
      symbols: [...own, ...(more.symbols ?? [])],
      sections: [table('.static_call_sites', 8, SHF.ALLOC | SHF.WRITE), ...(more.sections ?? [])],
      relocations: [
        { section: '.static_call_sites', offset: 0, type: 2, symbol: 'own' },
        { section: '.static_call_sites', offset: 4, type: 2, symbol: key },
      ],
    });
  site('of-kernel-code', '_printk', { imports: ['_printk'] });
  site('of-own-code', 'own');
}

/** Sections of the kernel's own meaning under each other's names. */
function renamedSections(kernel: KernelFile, steps: LoadStep[]): void {
  const spec: ModuleSpec = {
    imports: ['_printk'],
    exports: [
      { name: 'verdict_one', crc: 1 },
      { name: 'verdict_two', gpl: true, crc: 2 },
    ],
    parameters: [{ name: 'number', type: 'int' }],
  };
  const names = ['.text', '.modinfo', '__versions', '.gnu.linkonce.this_module', '__param', '__ksymtab'];
  for (const from of names)
    for (const to of names) {
      // A table of exports that is none is followed blindly, into a crash.
      if (from === to || (to === '__ksymtab' && from !== '.gnu.linkonce.this_module')) continue;
      const built = buildModule(kernel, spec);
      const view = new DataView(built.bytes.buffer);
      view.setUint32(built.header(from), view.getUint32(built.header(to), true), true);
      steps.push({ name: `renamed:${from}:${to}`, how: 'finit', bytes: built.bytes });
    }
  for (const name of [...names, '__ksymtab_gpl', '__kcrctab', '__ksymtab_strings', '.symtab', '.strtab']) {
    const built = buildModule(kernel, spec);
    if (built.header(name) < 64) continue;
    new DataView(built.bytes.buffer).setUint32(built.header(name), 0, true);
    steps.push({ name: `nameless:${name}`, how: 'finit', bytes: built.bytes });
    const large = buildModule(kernel, spec);
    new DataView(large.bytes.buffer).setUint32(large.header(name) + 8, 0, true);
    // The kernel forgets the strings when it has read the file, and looks at them later.
    if (name !== '__ksymtab_strings')
      steps.push({ name: `not-loaded:${name}`, how: 'finit', bytes: large.bytes });
    const none = buildModule(kernel, spec);
    new DataView(none.bytes.buffer).setUint32(none.header(name) + 4, SHT.NOBITS, true);
    steps.push({ name: `without-bytes:${name}`, how: 'finit', bytes: none.bytes });
  }
}

/** Which of two faults is told shows the order of the rules. */
function twoFaults(add: Add, kernel: KernelFile): void {
  const info = modinfo(kernel);
  const kfree = [{ name: 'kfree', crc: 1 }];
  const faults: Readonly<Record<string, ModuleSpec>> = {
    vermagic: { modinfo: retag(info, 'vermagic', 'x y z') },
    layout: { crcs: { module_layout: 1 } },
    crc: { imports: ['_printk'], crcs: { _printk: 1 } },
    unknown: { imports: ['no_such_symbol_a'] },
    duplicate: { exports: kfree },
    writeExecute: { sections: [table('.wx', 8, SHF.ALLOC | SHF.WRITE | SHF.EXEC)] },
    perCpu: {
      sections: [
        { name: '.data..percpu', flags: SHF.ALLOC | SHF.WRITE, bytes: new Uint8Array(90_000), align: 8 },
      ],
    },
    relocation: {
      relocations: [{ offset: 200, type: 99, symbol: 'own' }],
      symbols: [{ name: 'own', section: '.text' }],
    },
    common: { symbols: [{ name: 'shared', section: 0xfff2, value: 8, size: 8 }] },
    noVersions: { exports: [{ name: 'verdict_bare' }] },
    argument: { parameters: [{ name: 'number', type: 'int' }] },
    types: { sections: [{ name: '.BTF', bytes: new Uint8Array(40), align: 4 }] },
    builtIn: { name: 'printk' },
    builtInVersion: { name: 'xz_dec' },
  };
  const join = (a: ModuleSpec, b: ModuleSpec): ModuleSpec => ({
    ...a,
    ...b,
    crcs: { ...a.crcs, ...b.crcs },
    imports: [...(a.imports ?? []), ...(b.imports ?? [])],
    sections: [...(a.sections ?? []), ...(b.sections ?? [])],
    symbols: [...(a.symbols ?? []), ...(b.symbols ?? [])],
    exports: [...(a.exports ?? []), ...(b.exports ?? [])],
    relocations: [...(a.relocations ?? []), ...(b.relocations ?? [])],
  });
  const list = Object.entries(faults);
  list.forEach(([a, one], i) => {
    for (const [b, other] of list.slice(i + 1))
      add(`two:${a}+${b}`, join(one, other), {
        args: a === 'argument' || b === 'argument' ? 'number=x' : '',
      });
  });
}

function oddSymbols(add: Add): void {
  add('symbol-local-undefined', { symbols: [{ name: 'no_such_symbol_l', binding: 'local', section: 0 }] });
  add('symbol-local-of-kernel', { symbols: [{ name: '_printk', binding: 'local', section: 0 }] });
  add('symbol-typed-undefined', { symbols: [{ name: 'no_such_symbol_t', section: 0, type: 2 }] });
  add('symbol-file', { symbols: [{ name: 'probe.c', binding: 'local', section: 0xfff1, type: 4 }] });
  add('symbol-weak-defined', { symbols: [{ name: '_printk', binding: 'weak', section: '.text' }] });
  add('symbol-kernel-defined', { symbols: [{ name: 'kfree', section: '.text' }] });
  add('symbol-init-module-undefined', { imports: ['init_module'] });
  add('symbol-this-module', { imports: ['__this_module'] });
  add('symbol-fentry', { imports: ['__fentry__'] });
  add('symbol-unexported', { imports: ['schedule_tail', 'kallsyms_lookup_name'] });
  add('symbol-dot', { imports: ['.TOC.'] });
}
