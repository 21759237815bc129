/**
 * The kernel linker (sys/kern/kern_linker.c): files, what they depend on, which interfaces they publish, and the order in
 * which a file comes and goes. Reference counts, ids and dependencies live in `struct linker_file` in guest memory.
 */

import type { ObjectSymbol } from '../../formats/object.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { type Elf, type ElfFinding, isForeign, judgeRelocatable, judgeShared, targetOfBits } from './elf.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import { type BuiltIn, findInterface, type Interface, type KldModule, type VersionRange } from './kld.ts';
import type { DependRecord } from './kldfile.ts';
import { elements, initTailQueue, insertTail, removeElement, type TailQueue } from './lists.ts';
import { ModuleRegistry } from './modules.ts';
import { asErrno, type Placed, PlacedObject } from './place.ts';
import { PlacedShared } from './place-shared.ts';
import {
  dependenciesOf,
  dependsText,
  takenInterface,
  takenText,
  unsupportedText,
  wrongKernel,
} from './rules/interfaces.ts';
import type { ModuleSearch } from './search.ts';
import { registerOids, unregisterOids } from './sysctl.ts';
import { runSysinits } from './sysinit.ts';

/** lf->flags */
export const LINKED = 1;
const MODULES = 2;

export const UNLOAD = { NORMAL: 0, FORCE: 1 } as const;

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export class Linker {
  readonly k: FreeBsd;
  readonly registry: ModuleRegistry;
  readonly search: ModuleSearch;
  /** linker_file of the kernel. */
  readonly kernel: Address;
  /** found_modules: what MODULE_VERSION of the kernel and of every file declares. */
  readonly interfaces: Interface[] = [];
  readonly files: TailQueue;
  /** Interfaces that nobody has and that were given out all the same (see MissingPolicy). */
  readonly standIns: string[] = [];
  private readonly byControl = new Map<Address, KldModule>();
  private readonly generic: ReadonlyMap<string, number>;

  /** `generic`: interfaces that the kernel has when a module asks for one and no file brings it. */
  constructor(
    k: FreeBsd,
    search: ModuleSearch,
    builtIn: readonly BuiltIn[],
    generic: ReadonlyMap<string, number> = new Map(),
  ) {
    this.k = k;
    this.generic = generic;
    this.search = search;
    this.registry = new ModuleRegistry(k);
    this.files = { head: k.symbolAddress('linker_files'), entry: k.offset('linker_file.link') };
    this.kernel = this.makeFile('kernel', '/boot/kernel/kernel');
    k.write('linker_file.address', this.kernel, k.map.kernel.base);
    k.write('linker_file.size', this.kernel, k.map.kernel.bytes);
    k.write('linker_file.flags', this.kernel, LINKED);
    this.interfaces.push({ name: 'kernel', version: k.version, container: this.kernel });
    for (const { name, version } of builtIn) this.interfaces.push({ name, version, container: this.kernel });
  }

  // -- files ------------------------------------------------------------------------------------------------

  /** Addresses of all struct linker_file, in the order they came. */
  list(): Address[] {
    return elements(this.k, this.files);
  }

  module(file: Address): KldModule | undefined {
    return this.byControl.get(file);
  }

  fileName(file: Address): string {
    return this.k.readString('linker_file.filename', file);
  }

  pathName(file: Address): string {
    return this.k.readString('linker_file.pathname', file);
  }

  refs(file: Address): number {
    return this.k.read('linker_file.refs', file);
  }

  private setRefs(file: Address, refs: number): void {
    this.k.write('linker_file.refs', file, refs);
  }

  isLinked(file: Address): boolean {
    return (this.k.read('linker_file.flags', file) & LINKED) !== 0;
  }

  find(id: number): Address | undefined {
    return this.list().find((file) => this.k.read('linker_file.id', file) === id);
  }

  /** linker_find_file_by_name: `X` or `X.ko`. */
  findByName(name: string): Address | undefined {
    const base = name.slice(name.lastIndexOf('/') + 1);
    return this.list().find((file) => [base, `${base}.ko`].includes(this.fileName(file)));
  }

  dependencies(file: Address): Address[] {
    const { k } = this;
    const count = k.read('linker_file.ndeps', file);
    const list = k.read('linker_file.deps', file);
    return Array.from({ length: count }, (_, i) => k.memory.ptr(list + i * k.word));
  }

  private makeFile(name: string, path: string): Address {
    const { k } = this;
    const file = k.heap.allocate(k.sizeof('linker_file'));
    if (file === 0) throw new KernelErrno(Errno.ENOMEM);
    const ids = new Set(this.list().map((one) => k.read('linker_file.id', one)));
    // Counted up over those in use, and not after an id was given: the last one given is the first to be given again.
    const next = k.symbolAddress('next_file_id');
    while (ids.has(k.memory.i32(next))) k.memory.set32(next, k.memory.i32(next) + 1);
    k.write('linker_file.id', file, k.memory.i32(next));
    k.write('linker_file.refs', file, 1);
    k.write('linker_file.filename', file, k.heap.string(name));
    k.write('linker_file.pathname', file, k.heap.string(path));
    initTailQueue(k, this.registry.modulesOf(file));
    insertTail(k, this.files, file);
    return file;
  }

  private dropFile(file: Address): void {
    const { k } = this;
    removeElement(k, this.files, file);
    this.byControl.delete(file);
    for (const field of ['filename', 'pathname', 'deps']) k.heap.free(k.read(`linker_file.${field}`, file));
    k.heap.free(file);
  }

  private addDependency(file: Address, on: Address): void {
    const { k } = this;
    this.setRefs(on, this.refs(on) + 1);
    const old = this.dependencies(file);
    const list = k.heap.allocate((old.length + 1) * k.word);
    for (const [i, one] of [...old, on].entries()) k.memory.setPtr(list + i * k.word, one);
    k.heap.free(k.read('linker_file.deps', file));
    k.write('linker_file.deps', file, list);
    k.write('linker_file.ndeps', file, old.length + 1);
  }

  // -- loading ----------------------------------------------------------------------------------------------

  /** linker_load_module: by file name (`kldName`) or by interface (`modName`). The new or found struct linker_file. */
  *loadModule(
    kldName: string | undefined,
    modName: string | undefined,
    parent: Address,
    range?: VersionRange,
  ): Steps<Address> {
    let path: string | undefined;
    if (modName === undefined) path = this.search.file(kldName ?? '');
    else {
      if (findInterface(this.interfaces, modName, range) !== undefined) {
        const why = `The interface ${modName} is there already${this.isBuiltIn(modName) ? ', as part of the kernel' : ''}.`;
        throw new KernelErrno(Errno.EEXIST, why, 'kldstat lists what is loaded.');
      }
      path = this.search.module(modName, range, (text) => this.k.printf(text));
    }
    if (path === undefined) throw this.notFound(kldName ?? modName ?? '', modName, range);
    const base = path.slice(path.lastIndexOf('/') + 1);
    const already = this.findByName(base);
    if (already !== undefined) {
      const why = `The file ${base} is loaded already, with id ${this.k.read('linker_file.id', already)}.`;
      throw new KernelErrno(Errno.EEXIST, why, `Unload it first: kldunload ${base}`);
    }
    const file = yield* this.loadFile(path);
    if (
      modName !== undefined &&
      range !== undefined &&
      findInterface(this.interfaces, modName, range) === undefined
    ) {
      yield* this.unloadFile(file, UNLOAD.FORCE);
      throw new KernelErrno(
        Errno.ENOENT,
        `${base} does not declare the interface ${modName} in a version that is wanted.`,
      );
    }
    if (parent !== 0) this.addParent(parent, file);
    return file;
  }

  /** The new file's one reference belongs to the parent. */
  private addParent(parent: Address, file: Address): void {
    this.addDependency(parent, file);
    this.setRefs(file, this.refs(file) - 1);
  }

  private isBuiltIn(name: string): boolean {
    return this.interfaces.some((one) => one.name === name && one.container === this.kernel);
  }

  private notFound(name: string, modName: string | undefined, range: VersionRange | undefined): KernelErrno {
    const where = this.search.path.replaceAll(';', ', ');
    if (modName === 'kernel' && range !== undefined) {
      const { why, hint } = wrongKernel(this.k.version, range);
      return new KernelErrno(Errno.ENOENT, why, hint);
    }
    const there = this.interfaces.filter((one) => one.name === name).map(({ version }) => version);
    if (there.length > 0 && range !== undefined) {
      const why = `${name} is there in version ${there.join(', ')}; ${range.minimum} to ${range.maximum} is wanted.`;
      return new KernelErrno(Errno.ENOENT, why, 'Rebuild the two from the same sources.');
    }
    return new KernelErrno(Errno.ENOENT, `No ${name} in ${where}.`, 'kern.module_path names the folders.');
  }

  /**
   * linker_load_file: each linker class tries the file, relocatable files first; whatever went wrong in the one that
   * takes it, the errno of the whole is ENOEXEC (A1.3 explains the extra line on amd64).
   */
  *loadFile(path: string): Steps<Address> {
    const { k } = this;
    const bytes = this.search.read(path);
    if (bytes === undefined) throw new KernelErrno(Errno.ENOENT, `There is no file ${path}.`);
    const first = yield* this.tryClass(
      judgeRelocatable(bytes, path, targetOfBits(k.bits)),
      'relocatable',
      path,
    );
    if (typeof first === 'number') return yield* this.complete(first);
    const second = yield* this.tryClass(judgeShared(bytes, path, targetOfBits(k.bits)), 'shared', path);
    if (typeof second === 'number') return yield* this.complete(second);
    const cause = first.errno === Errno.ENOSYS ? second : first;
    if (second.errno === Errno.ENOSYS) k.printf(`${unsupportedText(k.version, path)}\n`);
    throw new KernelErrno(
      second.errno === Errno.EEXIST ? Errno.EEXIST : Errno.ENOEXEC,
      cause.why,
      cause.hint,
    );
  }

  private *tryClass(
    verdict: { readonly elf: Elf } | { readonly finding: ElfFinding },
    kind: 'relocatable' | 'shared',
    path: string,
  ): Steps<Address | KernelErrno> {
    if ('finding' in verdict) {
      const { errno, message, why } = verdict.finding;
      if (message !== undefined) this.k.printf(`kldload: ${path}: ${message}\n`);
      return new KernelErrno(errno, why);
    }
    try {
      return yield* this.link(verdict.elf, kind);
    } catch (error) {
      const mapped = asErrno(error);
      if (mapped instanceof KernelErrno) return mapped;
      throw mapped;
    }
  }

  /** link_elf_load_file: memory, local relocations, dependencies, the other relocations. */
  private *link(elf: Elf, kind: 'relocatable' | 'shared'): Steps<Address> {
    const { k } = this;
    const file = this.makeFile(elf.name, elf.path);
    try {
      const placed = kind === 'relocatable' ? new PlacedObject(k, elf) : new PlacedShared(k, elf);
      const module = this.describe(file, placed);
      this.byControl.set(file, module);
      k.modules.add(module);
      k.write('linker_file.address', file, placed.base);
      k.write('linker_file.size', file, placed.size);
      const strict = isForeign(elf);
      const lookup = (symbol: ObjectSymbol) => this.lookUp(file, symbol, strict);
      placed.relocate(true, lookup);
      yield* this.loadDependencies(file, module);
      placed.relocate(false, lookup);
      placed.commit();
      return file;
    } catch (error) {
      yield* this.abandon(file);
      throw error;
    }
  }

  private describe(file: Address, placed: Placed): KldModule {
    const { k } = this;
    const { elf } = placed;
    const symbols = placed.symbols();
    const forget = k.symbols.add(
      placed.base,
      placed.size,
      elf.name,
      [...symbols].map(([name, { address, size }]) => ({ name, address, size })),
    );
    return {
      name: elf.name,
      path: elf.path,
      control: file,
      kld: elf.kld,
      object: elf.object,
      image: { file: elf.object, segments: placed.segments(), sections: placed.placedSections() },
      symbols,
      section: (name) => placed.sectionNamed(name),
      release() {
        k.heap.noteCallers(placed.base, placed.base + placed.size);
        forget();
        placed.release();
      },
    };
  }

  /** Undoes a load that failed before the file was linked. */
  private *abandon(file: Address): Steps<void> {
    const module = this.byControl.get(file);
    this.forgetInterfaces(file);
    if (module !== undefined) {
      this.k.modules.remove(module);
      module.release();
    }
    yield* this.releaseDependencies(file);
    this.dropFile(file);
  }

  /** linker_load_dependencies */
  private *loadDependencies(file: Address, { name, kld }: KldModule): Steps<void> {
    const { k } = this;
    this.addDependency(file, this.kernel);
    const taken = takenInterface(this.interfaces, kld);
    if (taken !== undefined) {
      const holder = this.fileName(taken.other.container);
      k.printf(`${takenText(taken.own.name, taken.own.version, holder)}\n`);
      throw new KernelErrno(Errno.EEXIST, `${holder} brings the interface ${taken.own.name} already.`);
    }
    for (const depend of dependenciesOf(kld)) yield* this.loadDependency(file, name, depend);
    for (const { name: own, version } of kld.versions) {
      if (
        findInterface(this.interfaces, own, { minimum: version, preferred: version, maximum: version }) !==
        undefined
      ) {
        k.printf(`module ${own} already present!\n`);
      } else this.interfaces.push({ name: own, version, container: file });
    }
  }

  private *loadDependency(file: Address, fileName: string, depend: DependRecord): Steps<void> {
    const { name } = depend;
    const found = findInterface(this.interfaces, name, depend);
    if (found !== undefined) {
      this.addDependency(file, found.container);
      return;
    }
    try {
      yield* this.loadModule(undefined, name, file, depend);
    } catch (error) {
      if (!(error instanceof KernelErrno)) throw error;
      if (error.errno === Errno.ENOENT && this.supplyGeneric(file, depend)) return;
      this.k.printf(`${dependsText(fileName, name)}\n`);
      const cause = error.errno === Errno.EEXIST ? this.notFound(name, name, depend) : error;
      throw new KernelErrno(error.errno, `${fileName} depends on ${name}: ${cause.why}`, cause.hint);
    }
  }

  /**
   * An interface that a GENERIC kernel has and that no file brings is taken to be in this kernel, too; with stand-ins for
   * what is missing, any other as well, so that what needs it can be linked.
   */
  private supplyGeneric(file: Address, { name, preferred, minimum, maximum }: DependRecord): boolean {
    const standIn = this.k.missingPolicy === 'stand-in' && name !== 'kernel' ? preferred : undefined;
    const version = this.generic.get(name) ?? standIn;
    if (version === undefined || version < minimum || version > maximum) return false;
    if (this.interfaces.some((one) => one.name === name)) return false;
    if (!this.generic.has(name)) this.standIns.push(`${name} version ${version}`);
    this.interfaces.push({ name, version, container: this.kernel });
    this.addDependency(file, this.kernel);
    return true;
  }

  /** linker_file_lookup_symbol with deps: the file itself, then what it depends on, one level only. */
  private lookUp(
    file: Address,
    { name, binding, place: kind }: ObjectSymbol,
    strict: boolean,
  ): Address | undefined {
    for (const place of [file, ...this.dependencies(file)]) {
      if (place === this.kernel) {
        const found = this.k.ownSymbol(name);
        if (found !== undefined) return found;
        continue;
      }
      const found = this.byControl.get(place)?.symbols.get(name);
      if (found !== undefined) return found.address;
    }
    const general = this.k.kernelSymbol(name);
    if (general !== undefined) return general;
    // A module's symbol may also be missing in ours only: what becomes of it is the policy's decision.
    const mayLack = binding === 'weak' || kind === 'common' || this.k.missingPolicy === 'refuse';
    return mayLack || strict ? undefined : this.k.symbolAddress(name);
  }

  /** What linker_load_file does with a file that its class has loaded. */
  private *complete(file: Address): Steps<Address> {
    const { k, registry } = this;
    const module = this.byControl.get(file);
    if (module === undefined) throw new Error('a file without an image was linked');
    const registered = registry.registerAll(file, module);
    if (registered !== undefined) {
      yield* this.unloadFile(file, UNLOAD.FORCE);
      throw registered;
    }
    registerOids(k, module, false);
    yield* runSysinits(k, module, 'sysinit');
    k.write('linker_file.flags', file, k.read('linker_file.flags', file) | LINKED);
    const had = (k.read('linker_file.flags', file) & MODULES) !== 0 || module.kld.modules.length > 0;
    if (had && elements(k, registry.modulesOf(file)).length === 0) {
      const cause = registry.lastFailure;
      yield* this.unloadFile(file, UNLOAD.FORCE);
      throw new KernelErrno(Errno.ENOEXEC, cause ?? `No module of ${module.name} could be started.`);
    }
    registerOids(k, module, true);
    return file;
  }

  /**
   * Files that the boot loader put into memory (linker_preload): each is linked as soon as all it depends on is there; what
   * is left over is missing something. They can be unloaded like any other.
   */
  *preload(paths: readonly string[]): Steps<void> {
    let waiting = [...paths];
    for (let before = -1; waiting.length > 0 && waiting.length !== before; ) {
      before = waiting.length;
      const left: string[] = [];
      for (const path of waiting) {
        if (!this.canResolve(path)) left.push(path);
        else yield* this.linkPreloaded(path);
      }
      waiting = left;
    }
    for (const path of waiting) this.k.printf(`KLD file ${baseName(path)} is missing dependencies\n`);
  }

  private *linkPreloaded(path: string): Steps<void> {
    try {
      const file = yield* this.loadFile(path);
      this.k.write('linker_file.userrefs', file, 1);
    } catch (error) {
      if (!(error instanceof KernelErrno)) throw error;
      this.k.printf(`KLD file ${baseName(path)} - could not finalize loading\n`);
    }
  }

  /** Nothing is loaded from disk for a preloaded file. */
  private canResolve(path: string): boolean {
    const bytes = this.search.read(path);
    const verdict =
      bytes === undefined ? undefined : judgeRelocatable(bytes, path, targetOfBits(this.k.bits));
    const found =
      verdict !== undefined && !('elf' in verdict) && bytes !== undefined
        ? judgeShared(bytes, path, targetOfBits(this.k.bits))
        : verdict;
    if (found === undefined || !('elf' in found)) return true;
    return found.elf.kld.depends.every(
      (depend) =>
        found.elf.kld.versions.some(({ name }) => name === depend.name) ||
        findInterface(this.interfaces, depend.name, depend) !== undefined ||
        this.generic.has(depend.name),
    );
  }

  // -- unloading --------------------------------------------------------------------------------------------

  /** linker_file_unload. @throws KernelErrno */
  *unloadFile(file: Address, flags: number): Steps<void> {
    const { k, registry } = this;
    if (this.refs(file) > 1) {
      this.setRefs(file, this.refs(file) - 1);
      return;
    }
    // Threads that the file started when it came have run by now: reading it took longer than they did.
    yield { kind: 'yield' };
    const module = this.byControl.get(file);
    yield* registry.quiesceAll(file, flags);
    yield* registry.unloadAll(file);
    this.forgetInterfaces(file);
    if (module !== undefined && this.isLinked(file)) {
      k.write('linker_file.flags', file, k.read('linker_file.flags', file) & ~LINKED);
      unregisterOids(k, module);
      yield* runSysinits(k, module, 'sysuninit');
    } else if (module !== undefined) unregisterOids(k, module);
    if (module !== undefined) {
      k.modules.remove(module);
      module.release();
    }
    yield* this.releaseDependencies(file);
    this.dropFile(file);
  }

  private *releaseDependencies(file: Address): Steps<void> {
    const { k } = this;
    const dependencies = this.dependencies(file);
    k.write('linker_file.ndeps', file, 0);
    for (const on of dependencies) {
      // The kernel stays, whatever a module that hides itself has made of its count.
      if (on === this.kernel) {
        this.setRefs(on, this.refs(on) - 1);
        continue;
      }
      try {
        yield* this.unloadFile(on, UNLOAD.FORCE);
      } catch (error) {
        // The kernel does not look whether a dependency refused; it stays, and nobody but its own refusal holds it.
        if (!(error instanceof KernelErrno)) throw error;
      }
    }
  }

  private forgetInterfaces(file: Address): void {
    for (let i = this.interfaces.length - 1; i >= 0; i--) {
      if (this.interfaces[i].container === file) this.interfaces.splice(i, 1);
    }
  }
}
