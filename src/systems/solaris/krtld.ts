/**
 * krtld: a module's file becomes code and data in memory (krtld/kobj.c, kobj_load_module). The steps are in its order;
 * what it prints goes to the console, and the caller is told EINVAL, whatever it was.
 */
import { FormatError } from '../../bytes/errors.ts';
import { elfObject } from '../../formats/elf/object.ts';
import type { ElfFile } from '../../formats/elf/read.ts';
import type { ColumnarFile, ObjectRelocation, ObjectSymbol } from '../../formats/object.ts';
import type { PlacedSection, Segment } from '../../kernel/modules.ts';
import type { Request, Steps } from '../../kernel/steps.ts';
import { relocationMachine } from '../../link/machines.ts';
import {
  type AreaPlan,
  ImageTooLarge,
  type PlacementPlan,
  planPlacement,
  type StagedSection,
  stage,
} from '../../link/place.ts';
import {
  applyRelocations,
  type RelocationPolicy,
  type RelocationProblem,
  relocationTarget,
} from '../../link/relocate.ts';
import { type Lookup, resolveSymbols } from '../../link/resolve.ts';
import { AreaError } from '../../memory/areas.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import { MODDEBUG, moddebug } from './configuration.ts';
import { type Dependencies, MAX_NAME, readDependencies } from './depends.ts';
import { segmentBytes } from './describe.ts';
import { Errno } from './errno.ts';
import { isKernelName } from './kernel-names.ts';
import type { Modctl } from './modctl.ts';
import type { SolarisModule } from './module.ts';
import { modctls } from './modules.ts';
import { type Part, partOf, partOwning } from './parts.ts';
import { type Finding, invalid, Refusal } from './refusal.ts';
import { checkFile, damaged } from './rules/file.ts';
import { checkSignature, type SignatureGate } from './rules/signature.ts';
import { assertionLine, isProbe, isUnsafe, lookUp, OFTEN_TWICE, type SymbolView } from './rules/symbols.ts';
import type { Solaris } from './solaris.ts';

export interface KrtldRequest {
  readonly bytes: Uint8Array;
  /** As it was opened. */
  readonly path: string;
  readonly modctl: Modctl;
  readonly signatures: SignatureGate;
  /** Loads a dependency (`misc/foo`), or says that it cannot be had. */
  readonly dependency: (name: string) => Steps<Modctl | undefined>;
}

/** One load while it goes on. */
class Linking {
  readonly k: Solaris;
  readonly request: KrtldRequest;
  readonly elf: ElfFile;
  readonly object: ColumnarFile;
  readonly depends: Dependencies;
  /** What the dependencies that were found define, in order. */
  readonly needed: ((name: string) => Address | undefined)[] = [];
  readonly notFound: string[] = [];
  readonly imports: string[] = [];
  /** It needs a module of the system that nobody here has a file of: what that module has cannot be said for certain. */
  guesses = false;
  plan!: PlacementPlan;
  bases = new Map<string, { base: Address; pages: number }>();
  sections!: Map<number, StagedSection>;
  common: Address = 0;

  constructor(k: Solaris, request: KrtldRequest, elf: ElfFile, depends: Dependencies) {
    this.k = k;
    this.request = request;
    this.elf = elf;
    this.object = elfObject(elf);
    this.depends = depends;
  }

  /** Prints what a rule says, and refuses. */
  refuse(finding: Finding): never {
    return refuse(this.k, finding);
  }

  unmap(): void {
    for (const [name, { base, pages }] of this.bases)
      this.k.unmapPages(name === 'text' ? this.k.textArea : this.k.dataArea, base, pages);
    this.bases.clear();
  }
}

function refuse(k: Solaris, finding: Finding): never {
  if (!finding.quiet || moddebug(k, MODDEBUG.ERRMSG))
    for (const [format, text] of finding.said) k.syslog.plain(format, text);
  throw new Refusal(finding);
}

/** Reads, places, links and relocates; the module's code has not run when it returns. Throws a Refusal. */
export function* kobjLoadModule(k: Solaris, request: KrtldRequest): Steps<SolarisModule> {
  const verdict = checkFile(k, request.bytes, request.path);
  if ('refused' in verdict) refuse(k, verdict.refused);
  const link = open(k, request, verdict.elf);
  try {
    const signed = checkSignature(request.signatures, verdict.elf, request.path);
    if (signed !== undefined) {
      for (const [format, text] of signed.said) k.syslog.plain(format, text);
      if (signed.errno !== 0) throw new Refusal(signed);
    }
    reserve(link);
    yield* loadDependents(link);
    placeCommon(link);
    const rules = symbolRules(link);
    const values = yield* resolveSymbols<Request>(link.object.symbolColumns, rules);
    if (rules.failed.names.length > 0) refuseUnresolved(link, rules.failed);
    return finish(link, values);
  } catch (error) {
    link.unmap();
    k.state(modctls).releaseRequisites(request.modctl);
    if (error instanceof FormatError) refuse(k, damaged(request.path, error, 'symbols'));
    throw error;
  }
}

function open(k: Solaris, request: KrtldRequest, elf: ElfFile): Linking {
  try {
    const depends = readDependencies(elf);
    if (depends.deprecated && k.debug) {
      const format =
        'Warning: %s uses deprecated _depends_on interface.\nPlease notify module developer or vendor.\n';
      k.syslog.plain(format, format.replace('%s', request.path));
    }
    return new Linking(k, request, elf, depends);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const said = [
      'Error processing dependency for %s',
      `Error processing dependency for ${request.path}`,
    ] as const;
    return refuse(k, invalid('dependencies', [said], error.message, 'Build the module again.'));
  }
}

/** Non-writable sections are text, constants among them; the rest is data. Both can be written: segkmem maps them so. */
function reserve(link: Linking): void {
  const { k, object, request } = link;
  const every = Perm.R | Perm.W;
  const area = (name: string, perm: number, writable: boolean) => ({
    name,
    segmentAlign: PAGE_SIZE,
    segments: [{ name, perm, takes: (section: { writable: boolean }) => section.writable === writable }],
  });
  try {
    const rules = [area('text', every | Perm.X, false), area('data', every, true)];
    link.plan = planPlacement(object, rules, (section) => section.allocated && section.size > 0);
    const pages = link.plan.areas.reduce((sum, { size }) => sum + size / PAGE_SIZE, 0);
    if (pages > k.memory.frames.freePages) throw new OutOfMemory(0, k.memory.frames.freePages);
    for (const one of link.plan.areas) takeArea(link, one, one.name === 'text' ? every | Perm.X : every);
  } catch (error) {
    if (!(error instanceof ImageTooLarge || error instanceof AreaError || error instanceof OutOfMemory))
      throw error;
    const said = ['%s unable to allocate space', `${request.path} unable to allocate space`] as const;
    link.refuse({
      ...invalid('memory', [said], `There is no memory for it: ${error.message}.`, 'Unload something.'),
      errno: Errno.ENOMEM,
    });
  }
}

function takeArea({ k, bases, request }: Linking, { name, size }: AreaPlan, perm: number): void {
  if (size === 0) return;
  const pages = size / PAGE_SIZE;
  const area = name === 'text' ? k.textArea : k.dataArea;
  bases.set(name, { base: k.mapPages(area, pages, perm, `${request.modctl.name} (${name})`), pages });
}

/** do_dependents: each one is loaded, and counted; one that is not to be had is no error yet. */
function* loadDependents(link: Linking): Steps<void> {
  const { k, request, depends } = link;
  for (const name of depends.names) {
    if (name.length > MAX_NAME) {
      const format = "%s: dependency '%s' too long (max %d chars)";
      const text = `${request.path}: dependency '${name}' too long (max ${MAX_NAME} chars)`;
      link.refuse(invalid('dependency-name', [[format, text]], text, 'No module has such a name.'));
    }
    const found = yield* request.dependency(name);
    const module = found === undefined ? undefined : moduleOf(k, found);
    const part = found === undefined ? undefined : partOf(k, found.address);
    if (found === undefined || (module === undefined && part === undefined && found.get('prim') === 0)) {
      link.notFound.push(name);
      continue;
    }
    k.state(modctls).makeRequisite(request.modctl, found);
    if (module !== undefined) link.needed.push((symbol) => module.symbols.get(symbol)?.address);
    else if (part !== undefined) {
      link.guesses ||= !part.whole;
      link.needed.push((symbol) => partSymbol(k, part, symbol));
    }
  }
}

/** A function of a module that the base kernel stands for: one that nobody wrote follows the policy for those. */
function partSymbol(k: Solaris, { owns }: Part, name: string): Address | undefined {
  if (!owns.test(name)) return undefined;
  return (
    k.functionGates.address(name) ??
    (k.missingPolicy === 'refuse' ? undefined : k.functionGates.missing(name))
  );
}

export function moduleOf(k: Solaris, modctl: Modctl): SolarisModule | undefined {
  for (const module of k.modules) if (module.control === modctl.address) return module;
  return undefined;
}

/** Common symbols get memory of their own, each at its alignment. */
function placeCommon(link: Linking): void {
  const { k, object } = link;
  const commons = object.symbols.filter(({ place }) => place === 'common');
  const align = Math.max(16, ...commons.map(({ value }) => value));
  const size = commons.reduce(
    (sum, symbol) => Math.ceil(sum / Math.max(1, symbol.value)) * symbol.value + symbol.size,
    0,
  );
  if (commons.length === 0) return;
  if (!(size < 2 ** 28 && align <= PAGE_SIZE)) {
    link.refuse(
      invalid('common', [], 'Its common symbols ask for more memory than there is.', 'Copy the file again.'),
    );
  }
  const pages = Math.ceil((size + align) / PAGE_SIZE);
  link.common = k.mapPages(k.dataArea, pages, Perm.R | Perm.W, `${link.request.modctl.name} (bss)`);
  link.bases.set('bss', { base: link.common, pages });
}

interface Unresolved {
  readonly names: string[];
  unsafe: boolean;
}

function symbolRules(link: Linking) {
  const { k, needed } = link;
  const staged = stage(link.plan, (area) => link.bases.get(area.name)?.base ?? 0);
  link.sections = staged.sections;
  const view: SymbolView<Address> = {
    dependencies: needed.length,
    dependency: (index, name) => needed[index](name),
    primary: (name) => k.primarySymbol(name) ?? missing(link, name),
  };
  let commonAt = link.common;
  const failed: Unresolved = { names: [], unsafe: false };
  checkKinds(link, view);
  return {
    *undefined(symbol: ObjectSymbol): Lookup<Request> {
      return resolveOne(link, view, symbol, failed);
    },
    common(symbol: ObjectSymbol): Address {
      commonAt = Math.ceil(commonAt / Math.max(1, symbol.value)) * Math.max(1, symbol.value);
      const at = commonAt;
      commonAt += symbol.size;
      return at;
    },
    sectionAddress: (index: number): Address | undefined => staged.sections.get(index)?.address,
    failed,
  };
}

/** What krtld says of definitions before it looks anything up. */
function checkKinds(link: Linking, view: SymbolView<Address>): void {
  const { k, object, request, depends } = link;
  for (const symbol of object.symbols) {
    if (symbol.type === 'tls') {
      const text = `${request.path}: TLS symbol not supported '${symbol.name}'`;
      link.refuse(
        invalid(
          'tls',
          [["%s: TLS symbol not supported '%s'", text]],
          text,
          'Kernel code has no thread-local variables.',
        ),
      );
    }
    const twice = symbol.binding === 'global' && symbol.place === 'section' && k.implements(symbol.name);
    if (!twice || depends.ignoreMultiple || OFTEN_TWICE.has(symbol.name)) continue;
    if (view.primary(symbol.name) !== undefined)
      k.syslog.plain(
        '%s symbol %s multiply defined',
        `${request.path} symbol ${symbol.name} multiply defined`,
      );
  }
}

function resolveOne(
  link: Linking,
  view: SymbolView<Address>,
  symbol: ObjectSymbol,
  failed: Unresolved,
): Address | undefined {
  const { k, request, imports } = link;
  const { name } = symbol;
  if (name === '') return 0;
  const line = assertionLine(name);
  if (line !== undefined) return line;
  const found = lookUp(view, name);
  if (found !== undefined) {
    imports.push(name);
    return found;
  }
  if (symbol.binding === 'weak' || isProbe(name)) return 0;
  if (link.guesses && k.missingPolicy !== 'refuse') return k.functionGates.missing(name);
  k.syslog.plain('%s: undefined symbol', `${request.path}: undefined symbol`);
  k.syslog.plain(" '%s'\n", ` '${name}'`);
  failed.names.push(name);
  failed.unsafe ||= isUnsafe(name);
  return undefined;
}

/** A name that the real kernel has and the base kernel has not. */
function missing(link: Linking, name: string): Address | undefined {
  const { k } = link;
  if (k.missingPolicy === 'refuse' || isProbe(name)) return undefined;
  if (k.missingPolicy === 'stop' && partOwning(name) !== undefined) return undefined;
  if (k.missingPolicy === 'stop' && !isKernelName(name)) return undefined;
  return k.functionGates.missing(name);
}

/** More names than a person reads are counted. */
const FEW = 6;

function refuseUnresolved(link: Linking, { names, unsafe }: Unresolved): never {
  const { k, request, notFound } = link;
  const { name } = request.modctl;
  const format = unsafe
    ? "mod_load: MT-unsafe module '%s' rejected"
    : notFound.length > 0
      ? "%s: unable to resolve dependency, module '%s' not found"
      : "mod_load: cannot load module '%s'";
  const text =
    !unsafe && notFound.length > 0
      ? `${name}: unable to resolve dependency, module '${notFound[0]}' not found`
      : format.replace('%s', name);
  // Printed by krtld itself, so its priority is a notice whatever the text says.
  k.syslog.plain(`WARNING: ${format}`, `WARNING: ${text}`);
  const more = names.length > FEW ? ` and ${names.length - FEW} more` : '';
  const list = names.slice(0, FEW).join(', ') + more;
  const why = `${names.length} of the symbols it needs cannot be had: ${list}.`;
  const hint =
    notFound.length > 0
      ? `Put ${notFound.join(', ')} into the module path.`
      : 'Only the kernel and the modules named with ld -N are asked; add -N CLASS/MODULE for each module it uses.';
  throw new Refusal({ rule: 'symbols', errno: Errno.EINVAL, why, hint });
}

function finish(link: Linking, values: Float64Array): SolarisModule {
  const { k, object, request, sections } = link;
  relocate(link, values);
  blankProbes(link);
  for (const { address, bytes } of sections.values()) k.memory.poke(address, bytes);
  const module = describe(link, values);
  const named = object.symbols.flatMap((symbol) => namedSymbol(link, symbol, values));
  const removals = module.image.segments.map((segment) =>
    k.symbols.add(
      segment.base,
      segment.bytes,
      module.name,
      named.filter(({ address }) => address >= segment.base && address < segment.base + segment.bytes),
    ),
  );
  const release = () => {
    for (const remove of removals) remove();
    link.unmap();
    k.modules.remove(module);
  };
  const complete = Object.assign(module, { release });
  k.modules.add(complete);
  request.modctl.set('mp', complete.text.address || complete.data.address);
  return complete;
}

function namedSymbol({ sections }: Linking, symbol: ObjectSymbol, values: Float64Array) {
  const named = symbol.name !== '' && ['function', 'object', 'none'].includes(symbol.type);
  if (!named || symbol.place !== 'section' || !sections.has(symbol.section)) return [];
  return [{ name: symbol.name, address: values[symbol.index], size: symbol.size || undefined }];
}

function describe(link: Linking, values: Float64Array) {
  const { object, plan, bases, request, depends, imports } = link;
  const segments: Segment[] = plan.areas.flatMap(({ name, size }) => {
    const base = bases.get(name)?.base;
    const perm = name === 'text' ? Perm.R | Perm.W | Perm.X : Perm.R | Perm.W;
    return base === undefined ? [] : [{ name, base, bytes: size, pages: size / PAGE_SIZE, perm }];
  });
  const sections = new Map<number, PlacedSection>();
  for (const [index, { section, area, offset }] of plan.sections) {
    const segment = segments.find(({ name }) => name === area.name);
    if (segment === undefined) continue;
    sections.set(index, {
      index,
      name: section.name,
      address: segment.base + offset,
      size: section.size,
      segment,
    });
  }
  const symbols = new Map<string, { address: Address; size: number }>();
  for (const symbol of object.symbols) {
    const defined = symbol.place === 'section' || symbol.place === 'common' || symbol.place === 'absolute';
    if (symbol.binding === 'local' || !defined || symbol.type === 'file') continue;
    symbols.set(symbol.name, { address: values[symbol.index], size: symbol.size });
  }
  const part = (writable: boolean) =>
    segmentBytes(object.sections.filter((section) => section.allocated && section.writable === writable))
      .size;
  return {
    name: request.modctl.name,
    path: request.path,
    control: request.modctl.address,
    image: { file: object, segments, sections },
    dependencies: depends,
    symbols,
    imports,
    text: { address: bases.get('text')?.base ?? 0, size: part(false) },
    data: { address: bases.get('data')?.base ?? 0, size: part(true) },
    release: (): void => undefined,
  };
}

/** PLT32 is stored without a look (krtld/amd64/reloc.h). */
const UNCHECKED: ReadonlySet<number> = new Set([4]);

function relocate(link: Linking, values: Float64Array): void {
  const { object, elf, sections, request } = link;
  const machine = relocationMachine(object.machine);
  if (machine === undefined) throw new Error(`no relocations written for ${object.machine}`);
  const policy: RelocationPolicy = {
    unchecked: UNCHECKED,
    emptyPlace: false,
    fail: (problem, at) => failRelocation(link, problem, at),
  };
  const rel = elf.sections.find(({ type, info }) => type === 9 && sections.has(info));
  if (rel !== undefined && object.bits === 64) {
    const text = `${request.path} can't process type SHT_REL`;
    link.refuse(
      invalid('rel', [["%s can't process type SHT_REL", text]], text, 'Build it with addends (RELA).'),
    );
  }
  for (const { section, address, bytes } of sections.values()) {
    const target = relocationTarget(bytes, address);
    const relocations = object.relocations(section.index).map((one) => withContents(one, target.view));
    applyRelocations(machine, target, relocations, values, policy);
  }
}

/** krtld adds to what stands in the place, even where the relocation has an addend of its own. */
function withContents(relocation: ObjectRelocation, view: DataView): ObjectRelocation {
  const { addend, offset } = relocation;
  if (addend === undefined || !(offset >= 0 && offset + 4 <= view.byteLength)) return relocation;
  const there = view.getInt32(offset, true);
  return there === 0 ? relocation : { ...relocation, addend: addend + there };
}

function failRelocation(link: Linking, problem: RelocationProblem, at: ObjectRelocation): never {
  const { object, request } = link;
  const { path } = request;
  const symbol = object.symbols[at.symbol]?.name || `symbol ${at.symbol}`;
  const where = `${object.sections[at.section]?.name ?? at.section}+0x${at.offset.toString(16)}`;
  const said: [string, string][] = [];
  if (problem.kind === 'overflow') {
    const value = BigInt.asUintN(64, BigInt(Math.trunc(problem.value))).toString(16);
    const text = `relocation error: file ${path}: symbol ${symbol}: value 0x${value} does not fit`;
    said.push(['relocation error: file %s: symbol %s: value 0x%llx does not fit', text]);
  } else if (problem.kind === 'unknown-type') {
    const place = `0x${at.offset.toString(16)}`;
    const text = `krtld: invalid relocation type ${problem.type} at ${place}: file=${path}`;
    said.push(['krtld: invalid relocation type %d at 0x%llx: file=%s', text]);
  }
  said.push(['do_relocations: %s do_relocate failed', `do_relocations: ${path} do_relocate failed`]);
  said.push(['%s error doing relocations', `${path} error doing relocations`]);
  const why = `The relocation of type ${problem.type} at ${where} against ${symbol} cannot be done (${problem.kind}).`;
  const hint = 'Build the module for the kernel: -mcmodel=kernel -fno-pic, without thread-local variables.';
  return link.refuse(invalid('relocation', said, why, hint));
}

/** Calls of DTrace probes become five nops, at field - 1. */
function blankProbes({ object, sections }: Linking): void {
  for (const { section, bytes } of sections.values()) {
    for (const { offset, symbol } of object.relocations(section.index)) {
      if (!isProbe(object.symbols[symbol]?.name ?? '') || offset < 1) continue;
      bytes.fill(0x90, offset - 1, offset + 4);
    }
  }
}
