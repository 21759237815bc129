/**
 * loadModuleAt: place the segments, resolve against the one symbol table, relocate, add the names, run constructors.
 * Nothing starts, nothing is counted, and undefined symbols are a warning: their address is 0.
 */
import { FormatError } from '../../bytes/errors.ts';
import { FOREIGN_TYPE, readCoffObject } from '../../formats/coff/object.ts';
import { isCoff } from '../../formats/coff/read.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import type { ObjectFile, ObjectSymbol } from '../../formats/object.ts';
import type { Steps } from '../../kernel/steps.ts';
import { Transaction } from '../../kernel/transaction.ts';
import { relocationMachine } from '../../link/machines.ts';
import { ImageTooLarge, stage } from '../../link/place.ts';
import { applyRelocations, type RelocationProblem, relocationTarget } from '../../link/relocate.ts';
import type { Address } from '../../memory/address.ts';
import { xtorsOf } from './constructors.ts';
import { ERRNO } from './errno.ts';
import { planImage, segmentOf, type VxPlan } from './image.ts';
import { LOAD } from './load-flags.ts';
import { baseName, type SegmentKind, type VxModule, type VxSegment } from './module.ts';
import { KERNEL_GROUP, type SymbolKind, type VxSymbol } from './symbols.ts';
import type { VxWorks } from './vxworks.ts';
import { wording } from './wording.ts';

/** The loader gives up; `message` says why in our words, `errno` what the caller sees. */
export class LoadRefused extends Error {
  readonly rule: string;
  readonly errno: number;

  constructor(rule: string, message: string, errno = 0) {
    super(message);
    this.name = 'LoadRefused';
    this.rule = rule;
    this.errno = errno;
  }
}

export interface LoadRequest {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** LOAD.* */
  readonly flags: number;
  /** Addresses that the caller has chosen for the segments. */
  readonly at?: Partial<Record<SegmentKind, Address>>;
}

export interface Loaded {
  readonly module: VxModule;
  readonly undefinedNames: readonly string[];
}

/** Reads what the loader takes. @throws LoadRefused */
export function readModule(bytes: Uint8Array): ObjectFile {
  try {
    const file = isCoff(bytes) ? readCoffObject(bytes) : readElfObject(bytes);
    // The lists are read when first asked for: what is wrong with them is to be said here.
    for (const section of file.sections) file.relocations(section.index);
    if (file.symbols.length === 0) throw new LoadRefused('symbol-table', 'the file has no symbol table');
    return file;
  } catch (error) {
    // [uncertain]: which number a file gets that is no object module at all.
    if (error instanceof FormatError)
      throw new LoadRefused('format', error.message, ERRNO.S_loadLib_ROUTINE_NOT_INSTALLED);
    throw error;
  }
}

/** Loads a module; its constructors run in the calling task. @throws LoadRefused; everything done so far is undone */
export function* loadModule(k: VxWorks, request: LoadRequest): Steps<Loaded> {
  const t = new Transaction();
  try {
    checkFlags(request.flags);
    const module = link(k, t, request);
    const manual = (request.flags & LOAD.CPLUS_XTOR_MANUAL) !== 0;
    const automatic = (request.flags & LOAD.CPLUS_XTOR_AUTO) !== 0 || k.automaticConstructors;
    t.commit();
    for (const hook of [...k.modules.createHooks]) yield* k.call(hook, module.id);
    if (automatic && !manual) for (const routine of module.constructors) yield* k.call(routine);
    return { module, undefinedNames: module.undefinedNames };
  } catch (error) {
    yield* t.unwind();
    throw error;
  }
}

/** Of each line one at most makes sense. */
const EXCLUSIVE: readonly (readonly number[])[] = [
  [LOAD.NO_SYMBOLS, LOAD.LOCAL_SYMBOLS],
  [LOAD.NO_SYMBOLS, LOAD.GLOBAL_SYMBOLS],
  [LOAD.COMMON_MATCH_NONE, LOAD.COMMON_MATCH_USER],
  [LOAD.COMMON_MATCH_NONE, LOAD.COMMON_MATCH_ALL],
  [LOAD.COMMON_MATCH_USER, LOAD.COMMON_MATCH_ALL],
  [LOAD.CPLUS_XTOR_AUTO, LOAD.CPLUS_XTOR_MANUAL],
];

function checkFlags(flags: number): void {
  const hex = `0x${(flags >>> 0).toString(16)}`;
  if (EXCLUSIVE.some((bits) => bits.every((bit) => (flags & bit) !== 0)))
    throw new LoadRefused(
      'flags',
      `${hex} asks for what excludes itself`,
      ERRNO.S_loadLib_ILLEGAL_FLAGS_COMBINATION,
    );
  if ((flags & LOAD.NOT_WRITTEN) === 0) return;
  const problem = `${hex}: of these options lkm knows the names alone (LOAD_FULLY_LINKED, _NO_DOWNLOAD, _COMMON_HEAP, _MODULE_INFO_ONLY)`;
  throw new LoadRefused('flags', problem, ERRNO.S_loadLib_INVALID_LOAD_FLAG);
}

function link(k: VxWorks, t: Transaction, request: LoadRequest): VxModule {
  const file = readModule(request.bytes);
  if (file.kind !== 'relocatable')
    throw new LoadRefused('type', `an object module is wanted, not ${file.kind}`);
  if (file.machine !== k.spec.name) {
    const problem = `the module is for ${file.machine}, this kernel runs on ${k.spec.name}`;
    throw new LoadRefused('machine', problem, ERRNO.S_loadLib_ISA_MISMATCH);
  }
  const shared = commonMatches(k, file, request.flags);
  const plan = planned(file, shared);
  const segments = allocate(k, t, plan, request);
  const group = k.modules.nextGroup();
  const resolved = resolve(k, file, plan, segments, shared);
  reportUndefined(k, file, resolved.undefinedNames);
  place(k, file, plan, segments, resolved.values);
  const id = k.allocate(64);
  t.undo('descriptor', () => void k.pool.free(id));
  const forget = nameAddresses(k, file, request.path, segments, resolved.values);
  t.undo('names', forget);
  const symbols = publish(k, t, file, { group, flags: request.flags, values: resolved.values, segments });
  const xtors = xtorsOf(k, file, resolved.values, symbols);
  const module: VxModule = {
    name: baseName(request.path),
    path: request.path,
    group,
    flags: request.flags,
    id,
    file,
    segments,
    undefinedNames: resolved.undefinedNames,
    ...xtors,
    uses: resolved.uses,
    forget,
  };
  k.modules.add(module);
  return module;
}

function planned(file: ObjectFile, shared: ReadonlyMap<number, VxSymbol>): VxPlan {
  try {
    return planImage(file, (symbol) => !shared.has(symbol.index));
  } catch (error) {
    if (!(error instanceof ImageTooLarge)) throw error;
    throw new LoadRefused('memory', error.message, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
  }
}

/** Common blocks that share the memory of a symbol that is there already (LOAD_COMMON_MATCH_*). */
function commonMatches(k: VxWorks, file: ObjectFile, flags: number): Map<number, VxSymbol> {
  const shared = new Map<number, VxSymbol>();
  if ((flags & (LOAD.COMMON_MATCH_ALL | LOAD.COMMON_MATCH_USER)) === 0) return shared;
  const kernelToo = (flags & LOAD.COMMON_MATCH_ALL) !== 0;
  for (const symbol of file.symbols) {
    if (symbol.place !== 'common') continue;
    const known = k.sysSymTbl.find(symbol.name);
    if (known === undefined || (known.kind !== 'bss' && known.kind !== 'data')) continue;
    if (kernelToo || known.group !== 1) shared.set(symbol.index, known);
  }
  return shared;
}

function allocate(
  k: VxWorks,
  t: Transaction,
  { areas, alignment }: VxPlan,
  request: LoadRequest,
): Record<SegmentKind, VxSegment> {
  const one = (kind: SegmentKind): VxSegment => {
    const bytes = areas[kind].size;
    const given = request.at?.[kind];
    if (given !== undefined) return { kind, address: given, bytes };
    if (bytes === 0) return { kind, address: 0, bytes };
    const address = k.allocate(bytes, 0, alignment[kind]);
    if (address === 0) {
      const problem = `the memory partition has no ${bytes} bytes for the ${kind} segment`;
      throw new LoadRefused('memory', problem, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
    }
    t.undo(`${kind} segment`, () => void k.pool.free(address));
    return { kind, address, bytes };
  };
  return { text: one('text'), data: one('data'), bss: one('bss') };
}

interface Resolved {
  readonly values: Float64Array;
  readonly undefinedNames: string[];
  readonly uses: Map<number, string[]>;
}

function resolve(
  k: VxWorks,
  file: ObjectFile,
  { plan, commons }: VxPlan,
  segments: Readonly<Record<SegmentKind, VxSegment>>,
  shared: ReadonlyMap<number, VxSymbol>,
): Resolved {
  const values = new Float64Array(file.symbols.length);
  const undefinedNames: string[] = [];
  const uses = new Map<number, string[]>();
  for (const symbol of file.symbols) {
    const { index, place, value, name } = symbol;
    if (place === 'section') {
      const at = plan.sections.get(symbol.section);
      const base = at === undefined ? 0 : segments[at.segment.name as SegmentKind].address + at.offset;
      values[index] = base + value;
    } else if (place === 'common') {
      values[index] = shared.get(index)?.address ?? segments.bss.address + (commons.get(index) ?? 0);
    } else if (place === 'absolute') values[index] = value;
    else if (index > 0 && name !== '') {
      const known = k.sysSymTbl.find(name) ?? unprefixed(k, file, name);
      values[index] = known?.address ?? missing(k, symbol, undefinedNames);
      if (known !== undefined) note(uses, known.group, name);
    }
  }
  return { values, undefinedNames, uses };
}

/**
 * Compilers whose objects are COFF put an underscore before every name of C, and a kernel built with them has its names
 * so in the table. This one has them plain: names of the kernel alone are found without it.
 */
function unprefixed(k: VxWorks, file: ObjectFile, name: string): VxSymbol | undefined {
  if (file.format !== 'coff' || !name.startsWith('_')) return undefined;
  const known = k.sysSymTbl.find(name.slice(1));
  return known?.group === KERNEL_GROUP ? known : undefined;
}

function note(uses: Map<number, string[]>, group: number, name: string): void {
  const names = uses.get(group);
  if (names === undefined) uses.set(group, [name]);
  else names.push(name);
}

/** The address of what nobody defines: 0, or a gate that counts calls where the caller of lkm asked for stand-ins. */
function missing(k: VxWorks, symbol: ObjectSymbol, names: string[]): Address {
  if (symbol.binding === 'weak') return 0;
  names.push(symbol.name);
  return k.missingPolicy === 'stand-in' ? k.functions.missing(symbol.name) : 0;
}

const BINDING = { local: 0, global: 1, weak: 2, unique: 10 } as const;
const ELF_TYPE: Partial<Record<ObjectSymbol['type'], number>> = { object: 1, function: 2 };

function reportUndefined(k: VxWorks, file: ObjectFile, names: readonly string[]): void {
  if (names.length === 0) return;
  for (const symbol of file.symbols) {
    if (symbol.place !== 'undefined' || !names.includes(symbol.name)) continue;
    const type = ELF_TYPE[symbol.type] ?? 0;
    k.console.say(wording.undefinedSymbol(symbol.name, BINDING[symbol.binding], type));
  }
  if (k.keepUndefined && k.missingPolicy !== 'refuse') return;
  throw new LoadRefused(
    'undefined-references',
    `nothing defines ${names.join(', ')}`,
    ERRNO.S_loadLib_UNDEFINED_REFERENCES,
  );
}

function place(
  k: VxWorks,
  file: ObjectFile,
  { plan }: VxPlan,
  segments: Readonly<Record<SegmentKind, VxSegment>>,
  values: Float64Array,
): void {
  const machine = relocationMachine(file.machine);
  if (machine === undefined)
    throw new LoadRefused('machine', `relocations of ${file.machine} are not written`);
  const staged = stage(plan, (area) => segments[area.name as SegmentKind].address);
  for (const { section, address, bytes } of staged.sections.values()) {
    applyRelocations(machine, relocationTarget(bytes, address), file.relocations(section.index), values, {
      emptyPlace: false,
      fail: (problem, { symbol }) => {
        throw new LoadRefused(
          'relocation',
          relocationText(problem, section.name, file.symbols[symbol]?.name),
        );
      },
    });
  }
  for (const { base, bytes } of staged.areas) if (bytes.length > 0) k.memory.write(base, bytes);
}

/** What a relocation that does not work says, with what to do where that is known. */
export function relocationText(
  problem: RelocationProblem,
  section: string,
  symbol: string | undefined,
): string {
  const { type } = problem;
  const number = type >= FOREIGN_TYPE ? `${type - FOREIGN_TYPE} of COFF` : `${type}`;
  const where = `${section}: relocation type ${number} against ${symbol || 'a section'}`;
  switch (problem.kind) {
    case 'unknown-type':
      return `${where} is none that this loader knows`;
    case 'no-addend':
      return `${where} has no addend`;
    case 'outside':
      return `${where} is at offset ${problem.offset}, outside of the section of ${problem.size} bytes`;
    case 'not-empty':
      return `${where} is at a place that holds something already`;
    case 'overflow':
      return `${where}: the value does not fit; code for far calls is wanted (-mlongcall, -mcmodel=kernel)`;
  }
}

interface Publication {
  readonly group: number;
  readonly flags: number;
  readonly values: Float64Array;
  readonly segments: Readonly<Record<SegmentKind, VxSegment>>;
}

/** Adds the module's names to the table; gives all its defined symbols, published or not. */
function publish(k: VxWorks, t: Transaction, file: ObjectFile, publication: Publication): VxSymbol[] {
  const { group, flags, values } = publication;
  const defined: VxSymbol[] = [];
  for (const symbol of file.symbols) {
    const one = definedSymbol(file, symbol, group, values[symbol.index]);
    if (one === undefined) continue;
    defined.push(one);
    const wanted = one.global ? flags & LOAD.GLOBAL_SYMBOLS : flags & LOAD.LOCAL_SYMBOLS;
    if (wanted !== 0) k.sysSymTbl.add(one);
  }
  t.undo('symbols', () => k.sysSymTbl.removeGroup(group));
  return defined;
}

function definedSymbol(
  file: ObjectFile,
  symbol: ObjectSymbol,
  group: number,
  address: Address,
): VxSymbol | undefined {
  const { name, place, type, index } = symbol;
  if (index === 0 || name === '' || place === 'undefined' || type === 'section' || type === 'file')
    return undefined;
  const common = place === 'common';
  let kind: SymbolKind = common ? 'bss' : 'abs';
  if (place === 'section') {
    const segment = segmentOf(file.sections[symbol.section]);
    if (segment === undefined) return undefined;
    kind = segment;
  }
  return { name, address, kind, group, global: symbol.binding !== 'local', ...(common ? { common } : {}) };
}

function nameAddresses(
  k: VxWorks,
  file: ObjectFile,
  path: string,
  segments: Readonly<Record<SegmentKind, VxSegment>>,
  values: Float64Array,
): () => void {
  const named = file.symbols
    .filter(
      ({ name, type, place }) =>
        name !== '' && type !== 'file' && type !== 'section' && place !== 'undefined',
    )
    .map(({ name, index, size }) => ({ name, address: values[index], size }));
  const undo = Object.values(segments)
    .filter(({ bytes }) => bytes > 0)
    .map(({ address, bytes }) => {
      const inside = named.filter((one) => one.address >= address && one.address < address + bytes);
      return k.symbols.add(address, bytes, baseName(path), inside);
    });
  return () => {
    for (const remove of undo) remove();
  };
}
