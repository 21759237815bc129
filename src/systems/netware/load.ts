/**
 * LOAD: find and read the file, refuse a second copy unless the module allows one, load what it depends on, place the
 * images, apply the fixups, resolve the imports, add the publics, call the start procedure. A refusal at any step takes
 * everything back. (The order of dependencies and imports is remembered, not documented.)
 */
import { FormatError } from '../../bytes/errors.ts';
import type { NlmFile, NlmImage } from '../../formats/nlm/file.ts';
import { NLM_FLAGS, NLM_RELOCATION } from '../../formats/nlm/layout.ts';
import { NLM_SECTION, nlmObject } from '../../formats/nlm/object.ts';
import { readNlm } from '../../formats/nlm/read.ts';
import { block, type Steps } from '../../kernel/steps.ts';
import { bytesOf } from '../../kernel/text/sink.ts';
import { Transaction } from '../../kernel/transaction.ts';
import { applyRelocations, relocationTarget } from '../../link/relocate.ts';
import type { RelocationForm, RelocationMachine } from '../../link/relocation.ts';
import type { Address } from '../../memory/address.ts';
import { type FoundFile, findFile, isExplicit } from './files.ts';
import type { Image, NlmModule } from './module.ts';
import type { NetWare } from './netware.ts';
import { isMemory, kindOf } from './resources.ts';
import { versionText, wording } from './wording.ts';

/** What LoadModule returns (Novell's library documentation names these). */
export const LOAD_CODE = {
  OK: 0,
  COULD_NOT_FIND_FILE: 1,
  ERROR_READING_FILE: 2,
  NOT_NLM_FILE_FORMAT: 3,
  WRONG_NLM_FILE_VERSION: 4,
  REENTRANT_INITIALIZE_FAILURE: 5,
  CAN_NOT_LOAD_MULTIPLE_COPIES: 6,
  NOT_ENOUGH_MEMORY: 8,
  INITIALIZE_FAILURE: 9,
  INCONSISTENT_FILE_FORMAT: 10,
  AUTO_LOAD_MODULES_NOT_LOADED: 12,
  UNRESOLVED_EXTERNAL: 13,
  PUBLIC_ALREADY_DEFINED: 14,
} as const;

export interface LoadRequest {
  /** As typed: `HELLO`, `SYS:TEST\HELLO.NLM`. */
  readonly name: string;
  readonly parameters: string;
  readonly space?: string;
  readonly automatic?: boolean;
}

export interface LoadOutcome {
  /** LOAD_CODE.* */
  readonly code: number;
  readonly module: NlmModule | undefined;
  /** In our words. */
  readonly why?: string;
}

/** Dependencies that load each other go deeper than any honest chain. */
const MAX_DEPTH = 32;

class Refusal extends Error {
  readonly code: number;
  readonly text: string;

  constructor(code: number, text: string, why: string) {
    super(why);
    this.name = 'Refusal';
    this.code = code;
    this.text = text;
  }
}

/** Loads a module and starts it; what the console says goes to the console. */
export function* loadNlm(k: NetWare, request: LoadRequest, depth = 0): Steps<LoadOutcome> {
  const t = new Transaction();
  let name = request.name.toUpperCase();
  try {
    const found = find(k, request);
    name = found.name;
    const file = read(found);
    name = file.name || name;
    const again = yield* loadedAlready(k, file, request);
    if (again !== undefined) return again;
    k.screens.say(request.automatic ? wording.autoLoading(name) : wording.loading(name));
    announce(k, file);
    yield* dependencies(k, file, depth);
    const module = link(k, t, file, found, request);
    yield* start(k, module, request);
    t.commit();
    return { code: LOAD_CODE.OK, module };
  } catch (error) {
    yield* t.unwind();
    if (!(error instanceof Refusal)) throw error;
    if (error.text !== '') k.screens.say(error.text);
    k.screens.say(wording.notLoaded(name));
    return { code: error.code, module: undefined, why: error.message };
  }
}

function find(k: NetWare, { name }: LoadRequest): FoundFile {
  if (k.secure && isExplicit(name))
    throw new Refusal(LOAD_CODE.COULD_NOT_FIND_FILE, wording.secureConsole, 'the console is secured');
  const found = findFile(k.files, k.search, name);
  if (found !== undefined) return found;
  const where = isExplicit(name) ? name : k.search.paths.join(' ');
  throw new Refusal(
    LOAD_CODE.COULD_NOT_FIND_FILE,
    wording.notFound(name.toUpperCase()),
    `looked for in ${where}`,
  );
}

function read({ bytes, name }: FoundFile): NlmFile {
  try {
    return readNlm(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const code =
      error.kind === 'BadMagic'
        ? LOAD_CODE.NOT_NLM_FILE_FORMAT
        : error.kind === 'Unsupported'
          ? LOAD_CODE.WRONG_NLM_FILE_VERSION
          : LOAD_CODE.INCONSISTENT_FILE_FORMAT;
    const text = error.kind === 'BadMagic' ? wording.notNlm(name) : wording.badFile(name);
    throw new Refusal(code, text, error.message);
  }
}

/** A second LOAD: another start of the same copy, another copy, or a refusal, as the flags say. */
function* loadedAlready(k: NetWare, file: NlmFile, request: LoadRequest): Steps<LoadOutcome | undefined> {
  const loaded = k.modules.find(file.name);
  if (loaded === undefined || (file.flags & NLM_FLAGS.MULTIPLE) !== 0) return undefined;
  if ((loaded.file.flags & NLM_FLAGS.REENTRANT) === 0) {
    const why = 'neither REENTRANT nor MULTIPLE is set in its flags';
    throw new Refusal(LOAD_CODE.CAN_NOT_LOAD_MULTIPLE_COPIES, wording.alreadyLoaded, why);
  }
  k.screens.say(wording.loading(file.name));
  const result = yield* callStart(k, loaded, request);
  if (result === 0) return { code: LOAD_CODE.OK, module: loaded };
  const why = `the start procedure returned ${result}`;
  throw new Refusal(LOAD_CODE.REENTRANT_INITIALIZE_FAILURE, wording.initialization, why);
}

function announce(k: NetWare, file: NlmFile): void {
  k.screens.say(`  ${file.description}`);
  if (file.version !== undefined) k.screens.say(`  ${versionText(file.version, k.majorRelease)}`);
  if (file.copyright !== undefined && file.copyright !== '') k.screens.say(`  ${file.copyright}`);
}

function* dependencies(k: NetWare, file: NlmFile, depth: number): Steps<void> {
  for (const name of file.dependencies) {
    if (k.modules.find(name) !== undefined) continue;
    const library = k.libraries.find(
      (one) => one.name === name.toUpperCase() || one.name === `${name.toUpperCase()}.NLM`,
    );
    if (library !== undefined) {
      if (k.loadedLibraries.has(library)) continue;
      k.screens.say(wording.autoLoading(library.name));
      k.screens.say(`  ${library.description}`);
      k.loadLibrary(library);
      continue;
    }
    const outcome: LoadOutcome =
      depth >= MAX_DEPTH
        ? { code: LOAD_CODE.AUTO_LOAD_MODULES_NOT_LOADED, module: undefined }
        : yield* loadNlm(k, { name, parameters: '', automatic: true }, depth + 1);
    if (outcome.code === LOAD_CODE.OK) continue;
    const why = `${name} could not be loaded`;
    throw new Refusal(LOAD_CODE.AUTO_LOAD_MODULES_NOT_LOADED, wording.dependencies(file.name), why);
  }
}

function link(k: NetWare, t: Transaction, file: NlmFile, found: FoundFile, request: LoadRequest): NlmModule {
  const images = allocate(k, t, file);
  const { values, uses } = resolve(k, file, images);
  checkPublics(k, file);
  place(k, file, images, values);
  const handle = describeToGuest(k, t, file, images);
  const named = file.publics.map(({ name, image, offset }) => ({
    name,
    address: images[image].address + offset,
  }));
  const debug = file.debug
    .filter(({ type, offset }) => type !== 'absolute' && offset < images[type as NlmImage].bytes)
    .map(({ name, type, offset }) => ({ name, address: images[type as NlmImage].address + offset }));
  const forgets = (['code', 'data'] as const).map((image) => {
    const { address, bytes } = images[image];
    const inside = [...named, ...debug].filter(
      (one) => one.address >= address && one.address < address + bytes,
    );
    // What lies before the first public is told by its distance from the start, as the server itself does.
    const start = inside.some((one) => one.address === address) ? [] : [{ name: `${image} start`, address }];
    return k.symbols.add(address, Math.max(1, bytes), file.name, [...start, ...inside]);
  });
  const module: NlmModule = {
    name: file.name,
    from: found.from,
    file,
    handle,
    ...images,
    automatic: request.automatic === true,
    space: request.space ?? 'OS',
    uses,
    imports: file.imports.map(({ name }) => name),
    forget: () => {
      for (const forget of forgets) forget();
    },
  };
  k.modules.add(module);
  t.undo('module', () => {
    module.forget();
    k.modules.remove(module);
    k.publics.removeOwner(module);
    k.freeCommandLines(module);
    releaseTags(k, module);
  });
  for (const { name, address } of named) k.publics.add({ name, address, owner: module });
  return module;
}

function allocate(k: NetWare, t: Transaction, file: NlmFile): { code: Image; data: Image } {
  const one = (bytes: number): Image => {
    const address = k.pool.allocate(bytes);
    if (address === 0)
      throw new Refusal(
        LOAD_CODE.NOT_ENOUGH_MEMORY,
        wording.noMemory,
        `no ${bytes} bytes are left in one piece`,
      );
    t.undo('image', () => void k.pool.free(address));
    return { address, bytes };
  };
  return { code: one(file.code.length), data: one(file.data.length + file.uninitializedSize) };
}

/** Addresses by symbol number of the neutral file: the two images, then the imports. */
function resolve(
  k: NetWare,
  file: NlmFile,
  images: { readonly code: Image; readonly data: Image },
): { values: Float64Array; uses: Set<NlmModule> } {
  const values = new Float64Array(3 + file.imports.length);
  values[NLM_SECTION.code] = images.code.address;
  values[NLM_SECTION.data] = images.data.address;
  const uses = new Set<NlmModule>();
  const missing: string[] = [];
  for (const [i, { name }] of file.imports.entries()) {
    const symbol = k.publics.find(name);
    if (symbol === undefined) missing.push(name);
    if (symbol?.owner !== undefined) uses.add(symbol.owner);
    values[3 + i] = symbol?.address ?? (k.missingPolicy === 'stand-in' ? k.functions.missing(name) : 0);
  }
  if (missing.length === 0) return { values, uses };
  for (const name of missing) k.screens.say(wording.missingSymbol(k.release, name, file.name));
  if (k.missingPolicy === 'stand-in') return { values, uses };
  throw new Refusal(LOAD_CODE.UNRESOLVED_EXTERNAL, '', `nothing has the public ${missing.join(', ')}`);
}

function checkPublics(k: NetWare, file: NlmFile): void {
  // Copies of a MULTIPLE module share their names: the newest one's are found.
  if ((file.flags & NLM_FLAGS.MULTIPLE) !== 0) return;
  for (const { name } of file.publics) {
    const known = k.publics.find(name);
    if (known === undefined) continue;
    const why = `${known.owner?.name ?? 'the server'} has a public of that name already`;
    throw new Refusal(LOAD_CODE.PUBLIC_ALREADY_DEFINED, wording.duplicateSymbol(name, file.name), why);
  }
}

const absolute: RelocationForm = { bytes: 4, range: 'any', relative: false };
const relative: RelocationForm = { bytes: 4, range: 'any', relative: true };

/** The two kinds of places that an NLM has. */
const NLM_PLACES: RelocationMachine = {
  machine: 'i386',
  addendInPlace: true,
  forms: new Map([
    [NLM_RELOCATION.ABSOLUTE, absolute],
    [NLM_RELOCATION.RELATIVE, relative],
  ]),
};

function place(
  k: NetWare,
  file: NlmFile,
  images: { readonly code: Image; readonly data: Image },
  values: Float64Array,
): void {
  const object = nlmObject(file);
  for (const image of ['code', 'data'] as const) {
    const { address, bytes } = images[image];
    const staged = new Uint8Array(bytes);
    staged.set(file[image]);
    applyRelocations(
      NLM_PLACES,
      relocationTarget(staged, address),
      object.relocations(NLM_SECTION[image]),
      values,
      {
        emptyPlace: false,
        fail: ({ kind, type }) => {
          throw new Refusal(
            LOAD_CODE.INCONSISTENT_FILE_FORMAT,
            wording.badFile(file.name),
            `${kind} of type ${type}`,
          );
        },
      },
    );
    if (bytes > 0) k.memory.write(address, staged);
  }
}

/** The load definition structure that the module is handed as its name. */
function describeToGuest(
  k: NetWare,
  t: Transaction,
  file: NlmFile,
  { code, data }: { readonly code: Image; readonly data: Image },
): Address {
  const size = k.sizeof('struct lkm_load_definition');
  const handle = k.pool.allocate(size);
  if (handle === 0)
    throw new Refusal(LOAD_CODE.NOT_ENOUGH_MEMORY, wording.noMemory, 'no room for its description');
  t.undo('description', () => void k.pool.free(handle));
  k.memory.fill(handle, size, 0);
  k.write('struct lkm_load_definition.LDCodeImageOffset', handle, code.address);
  k.write('struct lkm_load_definition.LDDataImageOffset', handle, data.address);
  k.write('struct lkm_load_definition.LDInitializationProcedure', handle, code.address + file.start);
  const at = handle + k.offset('struct lkm_load_definition.LDFileName');
  k.memory.set8(at, file.name.length);
  k.memory.write(at + 1, bytesOf(file.name));
  return handle;
}

function* start(k: NetWare, module: NlmModule, request: LoadRequest): Steps<void> {
  // An abend in it ends the loader's process: the module then stays as it is, neither started nor unloaded.
  const result = yield* callStart(k, module, request);
  if (result !== 0) {
    const why = `the start procedure returned ${result}`;
    throw new Refusal(LOAD_CODE.INITIALIZE_FAILURE, wording.initialization, why);
  }
  if ((module.file.flags & NLM_FLAGS.SYNCHRONIZE) === 0) return;
  // SynchronizeStart wakes the loader: until then no other module is loaded.
  const thread = k.scheduler.current;
  if (thread === undefined || k.synchronized.has(module.handle)) return;
  k.waitingForSynchronize.set(module.handle, thread);
  yield* block(`SynchronizeStart of ${module.name}`, k.time.now() + SYNCHRONIZE_NS);
  k.waitingForSynchronize.delete(module.handle);
}

/** The loader does not wait for ever. */
const SYNCHRONIZE_NS = 60e9;

/** Calls the start procedure with its nine arguments on the loader's process; strings live as long as the call. */
function* callStart(k: NetWare, module: NlmModule, { parameters }: LoadRequest): Steps<number> {
  const { file, from } = module;
  const text = (value: string): Address => {
    const at = k.pool.allocate(value.length + 1);
    k.memory.write(at, bytesOf(`${value}\0`));
    return at;
  };
  const [command, path] = [text(parameters), text(from)];
  const thread = k.scheduler.current;
  const before = thread && k.threadModule.get(thread);
  if (thread !== undefined) k.threadModule.set(thread, module);
  const file1 = k.openForReading(file.bytes);
  const result = yield* k.callInt(
    module.code.address + file.start,
    module.handle,
    k.screens.console.id,
    command,
    path,
    file.uninitializedSize,
    file1,
    k.functions.address('lkm_readRoutine') ?? 0,
    file.header.customDataOffset,
    file.header.customDataSize,
  );
  k.closeFile(file1);
  if (thread !== undefined && before !== undefined) k.threadModule.set(thread, before);
  else if (thread !== undefined) k.threadModule.delete(thread);
  k.pool.free(path);
  k.keepCommandLine(module, command);
  return result;
}

/** What a module held under a resource tag when it went. */
export interface Unreleased {
  readonly what: string;
  readonly tag: string;
  readonly count: number;
  /** Those of them that are memory. */
  readonly blocks: readonly { readonly address: Address; readonly bytes: number }[];
}

/** Gives back what a module's tags still hold, and says so. */
export function releaseTags(k: NetWare, module: NlmModule): Unreleased[] {
  const left: Unreleased[] = [];
  for (const tag of k.resources.of(module.handle)) {
    const memory = isMemory(tag) ? [...tag.held.keys()] : [];
    const blocks = memory.flatMap((address) => k.pool.get(address) ?? []);
    const count = k.resources.release(tag.address);
    if (count === 0) continue;
    k.screens.say(wording.notReleased(module.name, count, kindOf(tag), tag.description));
    left.push({ what: kindOf(tag), tag: tag.description, count, blocks });
  }
  return left;
}
