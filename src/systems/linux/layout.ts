/**
 * Where the sections of a module lie (layout_sections and layout_symtab, kernel/module/main.c and kallsyms.c). Kernels
 * up to 6.3 take two areas, core and init; later ones one area for each kind of memory.
 */

import { nulAt } from '../../bytes/cstring.ts';
import type { TypeTable } from '../../ctypes/table.ts';
import { SHF, SHN } from '../../formats/elf/layout.ts';
import type { ElfSymbols } from '../../formats/elf/symbols.ts';
import type { ObjectSection } from '../../formats/object.ts';
import { type AreaPlan, type AreaRule, type PlacementPlan, planPlacement } from '../../link/place.ts';
import { PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { ModuleFile } from './module-file.ts';
import { notLoaded } from './rules/sections.ts';

/** Sections that become read-only when the module has started (module_mark_ro_after_init). */
const READ_ONLY_AFTER_INIT = new Set(['.data..ro_after_init', '__jump_table']);

/** sizeof(Elf64_Sym) and sizeof(Elf32_Sym). */
export const symbolBytes = (bits: 32 | 64): number => (bits === 64 ? 24 : 16);

/** Names of segments whose meaning other steps ask for. */
export const Segments = {
  TEXT: 'text',
  RODATA: 'rodata',
  RO_AFTER_INIT: 'ro after init',
  DATA: 'data',
} as const;

export interface KallsymsPlan {
  /** The symbols that stay after init, by index in the file's table; entry 0 first. */
  readonly kept: readonly number[];
  /** Offsets in the core (or data) area. */
  readonly core: { readonly symbols: number; readonly strings: number; readonly types: number };
  /** Offsets in the init (or init data) area. */
  readonly init: {
    readonly symbols: number;
    readonly strings: number;
    readonly types: number;
    readonly struct: number;
  };
}

export interface ModuleLayout {
  readonly plan: PlacementPlan;
  readonly kallsyms: KallsymsPlan;
  /** The area that holds the symbol table after init, and the one that holds it until then. */
  readonly coreData: AreaPlan;
  readonly initData: AreaPlan;
  /** `core_layout` and `init_layout`, rather than an array of memories. */
  readonly classic: boolean;
}

const isInit = (section: ObjectSection): boolean => section.name.startsWith('.init');
const isText = (section: ObjectSection): boolean => section.executable;
const isReadOnly = (section: ObjectSection): boolean => !section.writable;
const isLate = (section: ObjectSection): boolean => READ_ONLY_AFTER_INIT.has(section.name);

/** One rule for each segment; `init` chooses the sections that are given back. */
function segmentRules(init: boolean): AreaRule['segments'] {
  const mine = (test: (s: ObjectSection) => boolean) => (s: ObjectSection) => isInit(s) === init && test(s);
  const late = { name: Segments.RO_AFTER_INIT, perm: Perm.R | Perm.W, takes: mine(isLate) };
  return [
    { name: Segments.TEXT, perm: Perm.R | Perm.X, takes: mine(isText) },
    { name: Segments.RODATA, perm: Perm.R, takes: mine(isReadOnly) },
    ...(init ? [] : [late]),
    { name: Segments.DATA, perm: Perm.R | Perm.W, takes: mine(() => true) },
  ];
}

const CLASSIC: readonly AreaRule[] = [
  { name: 'core', segmentAlign: PAGE_SIZE, segments: segmentRules(false) },
  { name: 'init', segmentAlign: PAGE_SIZE, segments: segmentRules(true) },
];

/** 6.4 and later, in the order of enum mod_mem_type. */
function separateRules(): AreaRule[] {
  const [text, rodata, late, data] = segmentRules(false);
  const [initText, initRodata, initData] = segmentRules(true);
  const area = (name: string, segment: AreaRule['segments'][number]) => ({
    name,
    segmentAlign: PAGE_SIZE,
    segments: [segment],
  });
  // Text and read-only data choose first, whatever the order in memory.
  return [
    area('text', text),
    area('rodata', rodata),
    area('ro after init', late),
    area('data', data),
    area('init text', initText),
    area('init rodata', initRodata),
    area('init data', initData),
  ];
}

/** Is this section loaded? The per-CPU template, the versions and .modinfo are not, whatever their flags (`notLoaded`). */
function isLoaded(notLoaded: readonly number[]): (section: ObjectSection) => boolean {
  const left = new Set(notLoaded);
  return (section) => section.allocated && !left.has(section.index);
}

/** What the layout depends on in a kernel: which fields struct module has, and one size. */
export type LayoutTypes = Pick<TypeTable, 'has' | 'sizeof'>;

/** @param left indices of sections that are read and not kept. @throws ImageTooLarge */
export function layoutModule(
  types: LayoutTypes,
  file: ModuleFile,
  left: readonly number[] = notLoaded(file),
): ModuleLayout {
  const classic = types.has('module.core_layout');
  const plan = planPlacement(file.object, classic ? CLASSIC : separateRules(), isLoaded(left));
  const find = (name: string) => plan.areas.find((area) => area.name === name) ?? plan.areas[0];
  const coreData = find(classic ? 'core' : 'data');
  const initData = find(classic ? 'init' : 'init data');
  const kallsyms = layoutSymbols(types, file, plan, coreData, initData);
  return { plan, kallsyms, coreData, initData, classic };
}

/** layout_symtab: the whole table in init memory, the symbols that stay in core memory. */
function layoutSymbols(
  types: LayoutTypes,
  file: ModuleFile,
  plan: PlacementPlan,
  core: AreaPlan,
  init: AreaPlan,
): KallsymsPlan {
  const { elf, symbolTable } = file;
  const strings = elf.sections[symbolTable.link];
  const symbols = elf.symbols(symbolTable);
  const kept = symbols === undefined ? [] : keptSymbols(symbols, plan, file);
  const names = elf.data(strings);
  const stringBytes = kept.reduce((sum, index) => sum + nameBytes(names, symbols, index) + 1, 0);
  const initSymbols = init.reserve(symbolTable.size, symbolTable.alignment);
  const coreSymbols = core.reserve(kept.length * symbolBytes(elf.bits), symbolTable.alignment);
  const coreStrings = core.reserve(stringBytes, 1);
  const coreTypes = core.reserve(kept.length, 1);
  core.close();
  const initStrings = init.reserve(strings.size, strings.alignment);
  const struct = init.reserve(types.sizeof('mod_kallsyms'), elf.bits / 8);
  const initTypes = init.reserve(symbols?.count ?? 0, 1);
  init.close();
  return {
    kept,
    core: { symbols: coreSymbols, strings: coreStrings, types: coreTypes },
    init: { symbols: initSymbols, strings: initStrings, types: initTypes, struct },
  };
}

/** Length of a symbol's name in bytes. */
function nameBytes(strings: Uint8Array, symbols: ElfSymbols | undefined, index: number): number {
  if (symbols === undefined) return 0;
  const start = symbols.nameOffset(index);
  const nul = nulAt(strings, start);
  return (nul < 0 ? strings.length : nul) - start;
}

/** is_core_symbol with CONFIG_KALLSYMS_ALL: symbols of sections that stay, and per-CPU ones. */
function keptSymbols(symbols: ElfSymbols, plan: PlacementPlan, file: ModuleFile): number[] {
  const stays = file.elf.sections.map((section) => {
    if (section.index === file.perCpu?.index) return true;
    const placed = plan.sections.get(section.index);
    return placed !== undefined && (section.flags & SHF.ALLOC) !== 0 && !isInit(placed.section);
  });
  const kept = symbols.count > 0 ? [0] : [];
  for (let index = 1; index < symbols.count; index++) {
    const section = symbols.rawSection(index);
    if (section === SHN.UNDEF || section >= stays.length || symbols.nameOffset(index) === 0) continue;
    if (stays[section]) kept.push(index);
  }
  return kept;
}
