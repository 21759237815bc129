/** simplify_symbols, resolve_symbol_wait and ref_module (kernel/module/main.c): every import gets its address. */
import type { ObjectSymbol } from '../../formats/object.ts';
import { block, type Request, type Steps } from '../../kernel/steps.ts';
import { type Lookup, resolveSymbols } from '../../link/resolve.ts';
import type { Address } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import type { KernelExport } from './kernelfile/exports.ts';
import type { Linux } from './linux.ts';
import { addHead, entries, removeInit } from './lists.ts';
import type { Loading } from './loading.ts';
import { type LinuxModule, type ModuleExport, ModuleState } from './module.ts';
import { Level } from './rules/judge.ts';
import { copyAddress } from './rules/relocation.ts';
import {
  commonSymbol,
  type FoundSymbol,
  failedSymbol,
  type Importer,
  misplacedSymbols,
  type Resolution,
  refuseUnresolved,
  resolveSymbol,
  type SymbolFailure,
  type SymbolOwner,
  type SymbolSource,
} from './rules/symbols.ts';

/** Looks in the kernel, then in the modules, newest first; `gplOk` lets GPL-only symbols be found. */
export function findSymbol(k: Linux, name: string, gplOk = true): FoundSymbol<LinuxModule> | undefined {
  const own = k.file.exports.find(name);
  if (own !== undefined && (gplOk || !own.gplOnly)) {
    const { address, crc, gplOnly, namespace } = own;
    return { name, address, crc, gplOnly, namespace, owner: undefined };
  }
  let found: ModuleExport | undefined;
  const owner = k.modules.findNewest((module) => {
    const candidate = module.exports.get(name);
    if (candidate === undefined || (candidate.gplOnly && !gplOk)) return false;
    if (k.read('module.state', module.control) === ModuleState.UNFORMED) return false;
    found = candidate;
    return true;
  });
  return owner === undefined || found === undefined ? undefined : { ...found, owner };
}

interface Import {
  readonly symbol: ObjectSymbol;
  readonly found: FoundSymbol<OwningModule>;
}

/** The owner as the rules see it. */
interface OwningModule extends SymbolOwner {
  readonly module: LinuxModule;
}

/** Gives every symbol its value; names every one that cannot be had, then refuses. */
export function* resolveImports(load: Loading): Steps<void> {
  const { k, file, judge } = load;
  load.t.step('resolve symbols');
  judge.enter('symbols');
  const importer: Importer = { file, flags: load.request.flags, usesGplOnly: false };
  const failures: SymbolFailure[] = [];
  const note = (failure: SymbolFailure | undefined) => {
    if (failure !== undefined) failures.push(failure);
  };
  const imports: Import[] = [];
  const source = sourceOf(k);
  const take = (symbol: ObjectSymbol, result: Resolution<OwningModule>): Address => {
    if ('found' in result) {
      imports.push({ symbol, found: result.found });
      return result.found.owner === undefined ? linkExport(k, result.found) : result.found.address;
    }
    note(failedSymbol(judge, file, symbol, result));
    return 0;
  };
  const wait = function* (symbol: ObjectSymbol): Lookup<Request> {
    return take(symbol, yield* resolveWaiting(load, importer, source, symbol.name));
  };
  const rules = {
    undefined(symbol: ObjectSymbol): Lookup<Request> | Address {
      const result = resolveOnce(load, importer, source, symbol.name);
      return mustWait(result) ? wait(symbol) : take(symbol, result);
    },
    common(symbol: ObjectSymbol): Address | undefined {
      note(commonSymbol(judge, file, symbol.name));
      return undefined;
    },
    sectionAddress: (index: number): Address | undefined =>
      index === file.perCpu?.index
        ? k.read('module.percpu', load.mod)
        : (load.sections.get(index)?.address ?? copyAddress(file, index)),
  };
  load.values = yield* resolveSymbols<Request>(file.object.symbolColumns, rules);
  load.module.imports = imports.map(({ symbol, found }) => ({ name: symbol.name, from: found.owner?.name }));
  if (importer.usesGplOnly && k.types.has('module.using_gplonly_symbols')) {
    k.write('module.using_gplonly_symbols', load.mod, 1);
  }
  load.storeTaints();
  refuseUnresolved(judge, [...failures, ...misplacedSymbols(judge, file)]);
}

function linkExport(k: Linux, found: FoundSymbol<unknown>): Address {
  const own = k.file.exports.find(found.name);
  return own === undefined ? found.address : k.link(own);
}

/** How long a load waits for the init function of a module it depends on (ns). */
const PATIENCE = 30_000_000_000;
const POLL = 10_000_000;

const mustWait = (result: Resolution<OwningModule>): boolean =>
  !('found' in result) && result.errno === Errno.EBUSY;

/** Where imports come from, with what the rules ask about their owners. */
function sourceOf(k: Linux): SymbolSource<OwningModule> {
  return {
    find(name, gplOk) {
      const found = findSymbol(k, name, gplOk);
      if (found?.owner === undefined) return found as FoundSymbol<OwningModule> | undefined;
      const { owner } = found;
      const taints = k.read('module.taints', owner.control);
      return { ...found, owner: { name: owner.name, taints, module: owner } };
    },
  };
}

/** resolve_symbol_wait: the owner may still be in its init function. */
function* resolveWaiting(
  load: Loading,
  importer: Importer,
  source: SymbolSource<OwningModule>,
  name: string,
): Steps<Resolution<OwningModule>> {
  const { k, judge, file } = load;
  const deadline = k.time.now() + PATIENCE;
  for (;;) {
    const result = resolveOnce(load, importer, source, name);
    if (!mustWait(result)) return result;
    if (k.time.now() >= deadline) {
      const owner = findSymbol(k, name)?.owner?.name ?? '';
      judge.say(Level.WARNING, `${file.name}: gave up waiting for init of module ${owner}.`);
      return result;
    }
    yield* block(`init of the module that exports ${name}`, k.time.now() + POLL);
  }
}

function resolveOnce(
  load: Loading,
  importer: Importer,
  source: SymbolSource<OwningModule>,
  name: string,
): Resolution<OwningModule> {
  const result = resolveSymbol(load.judge, importer, name, source);
  if (!('found' in result)) return result;
  const { owner } = result.found;
  const errno = owner === undefined ? 0 : refModule(load, owner.module);
  return errno === 0 ? result : { kind: 'owner', errno, why: `the module ${owner?.name} is not ready` };
}

/** ref_module: `load` uses `owner`; a positive errno when the owner is not to be had. */
function refModule(load: Loading, owner: LinuxModule): number {
  const { k, mod, t } = load;
  if (uses(k, mod, owner.control)) return 0;
  const state = k.read('module.state', owner.control);
  if (state === ModuleState.COMING) return Errno.EBUSY;
  if (state === ModuleState.GOING) return Errno.ENOENT;
  t.step(`use of ${owner.name}`);
  k.write('module.refcnt.counter', owner.control, k.read('module.refcnt.counter', owner.control) + 1);
  const use = k.heap.allocate(k.sizeof('module_use'));
  k.write('module_use.source', use, mod);
  k.write('module_use.target', use, owner.control);
  addHead(k, use + k.offset('module_use.source_list'), owner.control + k.offset('module.source_list'));
  addHead(k, use + k.offset('module_use.target_list'), mod + k.offset('module.target_list'));
  t.undo(`use of ${owner.name}`, () => dropUse(k, use));
  return 0;
}

function uses(k: Linux, user: Address, owner: Address): boolean {
  for (const node of entries(k, owner + k.offset('module.source_list'))) {
    if (k.read('module_use.source', node - k.offset('module_use.source_list')) === user) return true;
  }
  return false;
}

function dropUse(k: Linux, use: Address): void {
  const owner = k.read('module_use.target', use);
  k.write('module.refcnt.counter', owner, k.read('module.refcnt.counter', owner) - 1);
  removeInit(k, use + k.offset('module_use.source_list'));
  removeInit(k, use + k.offset('module_use.target_list'));
  k.heap.free(use);
}

/** `struct module` of every module that uses this one, in the order of the list (newest first). */
export function holdersOf(k: Linux, module: Address): Address[] {
  const link = k.offset('module_use.source_list');
  return [...entries(k, module + k.offset('module.source_list'))].map((node) =>
    k.read('module_use.source', node - link),
  );
}

/** Kernel functions the module imports that the base kernel does not have. */
export function missingImports(k: Linux, names: Iterable<string>): string[] {
  const missing: string[] = [];
  for (const name of names) {
    const found = k.file.exports.find(name);
    if (found !== undefined && isMissing(k, found)) missing.push(name);
  }
  return missing;
}

function isMissing(k: Linux, found: KernelExport): boolean {
  return found.kind === 'function' && !k.implements(found.name);
}

/** By the caller's choice a module that imports what nobody wrote is not loaded at all. The words are ours. */
export function refuseMissing({ k, judge, module, file }: Loading): void {
  if (k.missingPolicy !== 'refuse') return;
  const own = module.imports.filter((entry) => entry.from === undefined).map((entry) => entry.name);
  const missing = missingImports(k, own);
  if (missing.length === 0) return;
  judge.refuseMissing(
    missing,
    `The base kernel does not have ${missing.length} of the functions that ${file.name} imports: ${missing.join(', ')}.`,
  );
}
