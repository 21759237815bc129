/**
 * Will a kernel take this file? Every rule of the kernel linker in its order, over the file of a kernel and the modules
 * beside it, without loading anything. The decisions are those that the live linker takes (rules/, elf.ts).
 */
import { FormatError } from '../../../bytes/errors.ts';
import { type Elf, elfTarget, judgeRelocatable, judgeShared, staticSymbols } from '../elf.ts';
import { Errno, KernelErrno } from '../errno.ts';
import type { KernelFile } from '../kernelfile.ts';
import { findInterface } from '../kld.ts';
import type { DependRecord, KldFile } from '../kldfile.ts';
import {
  dependenciesOf,
  dependsText,
  registeredText,
  takenInterface,
  takenText,
  unsupportedText,
  wrongKernel,
} from '../rules/interfaces.ts';
import { knownTypes, neededSymbols, unknownRelocation, unknownText } from '../rules/relocations.ts';
import { linkApart } from '../shared-image.ts';

/** Modules lie behind the kernel's image. */
const BEHIND_KERNEL = 64 * 2 ** 20;

export type CheckOutcome = 'pass' | 'note' | 'refuse' | 'unknown' | 'not-reached';

export interface RuleFinding {
  readonly rule: RuleId;
  readonly outcome: CheckOutcome;
  readonly said: readonly string[];
  readonly why: string;
  readonly hint: string;
}

/** The rules in the order in which the kernel asks. */
export const RULES = {
  securelevel: 'kern.securelevel is below 1, and the caller is root',
  'elf-header': "the file is an ELF file of the kernel's class, byte order, machine and kind",
  'elf-contents': 'it has something to load, and one symbol table',
  'relocations-local': 'relocations of its own symbols are of types that the kernel linker knows',
  interfaces: 'no interface of it is there already',
  'kernel-version': 'the kernel is of a version that it takes',
  dependencies: 'every module that it depends on can be had',
  symbols: 'each symbol is in the file, the kernel, or a module that it depends on directly',
  'relocations-external': 'relocations of other symbols are of types that the kernel linker knows',
  'module-names': 'no module of its name is registered',
} as const;
export type RuleId = keyof typeof RULES;

/** Another file that may be loaded for a dependency. */
export interface OtherFile {
  readonly path: string;
  readonly elf: Elf;
}

/** What lies beside the kernel. */
export interface Library {
  /** The file that brings an interface in a version that is wanted; 'refused' when its own check fails. */
  provider(depend: DependRecord): { readonly file: OtherFile; readonly loads: boolean } | undefined;
  /** Whoever defines a symbol, for an explanation. */
  definer(symbol: string): string | undefined;
}

export interface MissingSymbol {
  readonly name: string;
  /** A module that defines it, and that the file does not depend on. */
  readonly owner: string | undefined;
}

export interface KldCheck {
  readonly name: string;
  readonly answer: 'loads' | 'refused' | 'cannot-tell';
  readonly rules: readonly RuleFinding[];
  /** Files that have to be there first, in order. */
  readonly first: readonly { readonly name: string; readonly path: string; readonly loads: boolean }[];
  readonly symbols: readonly MissingSymbol[];
  /** Undefined when the ELF file could not be read. */
  readonly kld: KldFile | undefined;
}

export interface CheckedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export function checkKld(
  kernel: KernelFile,
  file: CheckedFile,
  library: Library,
  securelevel = -1,
): KldCheck {
  return new Check(kernel, file, library, securelevel).run();
}

class Check {
  private readonly findings = new Map<RuleId, RuleFinding>();
  private readonly first: { name: string; path: string; loads: boolean }[] = [];
  private readonly missing: MissingSymbol[] = [];
  private readonly name: string;
  private readonly kernel: KernelFile;
  private readonly file: CheckedFile;
  private readonly library: Library;
  private readonly securelevel: number;

  constructor(kernel: KernelFile, file: CheckedFile, library: Library, securelevel: number) {
    this.kernel = kernel;
    this.file = file;
    this.library = library;
    this.securelevel = securelevel;
    this.name = file.path.slice(file.path.lastIndexOf('/') + 1);
  }

  run(): KldCheck {
    const elf = this.securelevelAllows() ? this.readable() : undefined;
    if (elf !== undefined) this.linksOrBreaks(elf);
    const rules = (Object.keys(RULES) as RuleId[]).map(
      (rule) =>
        this.findings.get(rule) ?? { rule, outcome: 'not-reached' as const, said: [], why: '', hint: '' },
    );
    const refused = rules.some(({ outcome }) => outcome === 'refuse');
    const unknown = rules.some(({ outcome }) => outcome === 'unknown');
    const answer = refused ? 'refused' : unknown ? 'cannot-tell' : 'loads';
    return { name: this.name, answer, rules, first: this.first, symbols: this.missing, kld: elf?.kld };
  }

  private note(rule: RuleId, outcome: CheckOutcome, said: readonly string[] = [], why = '', hint = ''): void {
    this.findings.set(rule, { rule, outcome, said, why, hint });
  }

  /** A refusal: on machines with relocatable modules the second linker class adds a line. */
  private refuse(rule: RuleId, said: readonly string[], why: string, hint = ''): false {
    const relocatable = this.file.bytes[16] === 1;
    const { version } = this.kernel;
    const last = relocatable && rule !== 'securelevel' && rule !== 'module-names';
    this.note(rule, 'refuse', last ? [...said, unsupportedText(version, this.file.path)] : said, why, hint);
    return false;
  }

  private securelevelAllows(): boolean {
    if (this.securelevel < 1) {
      this.note('securelevel', 'pass');
      return true;
    }
    const why = `kern.securelevel is ${this.securelevel}: from 1 on no module comes or goes.`;
    return this.refuse('securelevel', [], why, 'It can only be lowered by a reboot.');
  }

  private readable(): Elf | undefined {
    const target = elfTarget(this.kernel.machine);
    if (target === undefined) {
      this.note(
        'elf-header',
        'unknown',
        [],
        `What a kernel for ${this.kernel.machine} takes is not known here.`,
      );
      return undefined;
    }
    const { bytes, path } = this.file;
    const first = judgeRelocatable(bytes, path, target);
    if ('elf' in first) return this.read(first.elf);
    const second = judgeShared(bytes, path, target);
    if ('elf' in second) return this.read(second.elf);
    const findings = [first.finding, second.finding];
    const cause = findings.find(({ errno }) => errno !== Errno.ENOSYS) ?? second.finding;
    const said = findings.flatMap(({ message }) =>
      message === undefined ? [] : [`kldload: ${path}: ${message}`],
    );
    if (second.finding.errno === Errno.ENOSYS) said.push(unsupportedText(this.kernel.version, path));
    if (cause.part === 'contents') this.note('elf-header', 'pass');
    const rule = cause.part === 'header' ? 'elf-header' : 'elf-contents';
    this.note(rule, 'refuse', said, cause.why, this.machineHint(cause.message));
    return undefined;
  }

  private machineHint(message: string | undefined): string {
    return message === 'Unsupported machine' || message === 'Unsupported file layout'
      ? `The kernel is one for ${this.kernel.machine}.`
      : '';
  }

  private read(elf: Elf): Elf {
    this.note('elf-header', 'pass');
    this.note('elf-contents', 'pass');
    return elf;
  }

  /** Tables that are read on the way may contradict the file; the kernel fails one of its own checks on that. */
  private linksOrBreaks(elf: Elf): void {
    try {
      this.links(elf);
    } catch (error) {
      if (error instanceof KernelErrno) this.refuse('relocations-external', [], error.why, error.hint);
      else if (error instanceof FormatError)
        this.refuse('elf-contents', [], error.message, 'The file is damaged: copy or build it again.');
      else throw error;
    }
  }

  /** link_elf_load_file, linker_load_dependencies, linker_file_register_modules. */
  private links(elf: Elf): boolean {
    return (
      this.relocations(elf, 'relocations-local', true) &&
      this.ownInterfaces(elf.kld) &&
      this.dependencies(elf) &&
      this.symbols(elf) &&
      this.relocations(elf, 'relocations-external', false) &&
      this.names(elf.kld)
    );
  }

  private relocations(elf: Elf, rule: RuleId, local: boolean): boolean {
    const { object } = elf;
    if (knownTypes(object.machine, this.kernel.version) === undefined) {
      this.note(
        rule,
        'unknown',
        [],
        `Which types the linker of ${this.kernel.machine} knows is not known here.`,
      );
      return true;
    }
    const bad = unknownRelocation(object, this.kernel.version, local);
    if (bad === undefined)
      return local || object.kind === 'relocatable' ? this.passes(rule) : this.trial(elf, rule);
    const why = `Relocation type ${bad.type} is not one that the kernel linker knows.`;
    const hint =
      'It comes from compiler flags of another system: modules are built with those of sys/conf/kern.mk.';
    return this.refuse(rule, [unknownText(this.kernel.version, object.machine, bad)], why, hint);
  }

  private passes(rule: RuleId): true {
    this.note(rule, 'pass');
    return true;
  }

  /**
   * A shared object is linked beside the kernel, without one: whatever machine it is for, branches must reach and values
   * fit. Symbols of other modules are taken to be near.
   */
  private trial(elf: Elf, rule: RuleId): boolean {
    const base = (this.kernel.address('btext') ?? this.kernel.address('kernbase') ?? 0) + BEHIND_KERNEL;
    linkApart(elf, base, (name) => this.kernel.address(name) ?? base, {
      known: knownTypes(elf.object.machine, this.kernel.version),
      emptyPlace: false,
      fail: (what, { type, offset }) => {
        const why = `A relocation of type ${type} at 0x${offset.toString(16)} cannot be done: ${what.kind}.`;
        throw new KernelErrno(Errno.ENOEXEC, why);
      },
    });
    return this.passes(rule);
  }

  private ownInterfaces(kld: KldFile): boolean {
    const taken = takenInterface(this.kernel.interfaces, kld);
    if (taken === undefined) {
      this.note('interfaces', 'pass');
      return true;
    }
    const { name, version } = taken.own;
    const why = `The kernel has ${name} version ${version} built in.`;
    return this.refuse('interfaces', [takenText(name, version, 'kernel')], why, 'There is nothing to load.');
  }

  /** In the order of the file: the first that cannot be had ends it. */
  private dependencies({ kld }: Elf): boolean {
    for (const depend of dependenciesOf(kld)) {
      if (depend.name === 'kernel' ? !this.kernelVersion(depend) : !this.dependency(depend)) return false;
    }
    for (const rule of ['kernel-version', 'dependencies'] as const)
      if (!this.findings.has(rule)) this.note(rule, 'pass');
    return true;
  }

  private kernelVersion(depend: DependRecord): boolean {
    const { version } = this.kernel;
    if (version >= depend.minimum && version <= depend.maximum) return true;
    const { why, hint } = wrongKernel(version, depend);
    return this.refuse('kernel-version', [dependsText(this.name, 'kernel')], why, hint);
  }

  private dependency(depend: DependRecord): boolean {
    if (findInterface(this.kernel.interfaces, depend.name, depend) !== undefined) return true;
    const found = this.library.provider(depend);
    const said = [dependsText(this.name, depend.name)];
    const wanted =
      depend.minimum === depend.maximum ? `${depend.minimum}` : `${depend.minimum} to ${depend.maximum}`;
    if (found === undefined) {
      const there = this.kernel.interfaces.find(({ name }) => name === depend.name);
      const why =
        there === undefined
          ? `Nothing beside the kernel brings the interface ${depend.name}, version ${wanted}.`
          : `The kernel has ${depend.name} in version ${there.version}; ${wanted} is wanted.`;
      return this.refuse('dependencies', said, why, 'Name the other files as well, or a folder of modules.');
    }
    const { file, loads } = found;
    if (!this.first.some(({ path }) => path === file.path))
      this.first.push({ name: file.elf.name, path: file.path, loads });
    if (loads) return true;
    return this.refuse(
      'dependencies',
      said,
      `${file.elf.name}, which brings ${depend.name}, is refused itself.`,
    );
  }

  private symbols({ object, kld }: Elf): boolean {
    const direct = dependenciesOf(kld).flatMap((depend) => {
      const found = depend.name === 'kernel' ? undefined : this.library.provider(depend);
      return found === undefined ? [] : [found.file.elf];
    });
    const lists = direct.map((elf) => namesOf(elf));
    let unsure = false;
    for (const name of neededSymbols(object)) {
      if (lists.some((names) => names.has(name))) continue;
      const there = this.kernel.has(name);
      if (there === undefined) unsure = true;
      else if (!there) this.missing.push({ name, owner: this.library.definer(name) });
    }
    if (this.missing.length === 0) {
      const why = unsure ? 'The kernel has been stripped of its symbols.' : '';
      this.note('symbols', unsure ? 'unknown' : 'pass', [], why);
      return true;
    }
    const { name, owner } = this.missing[0];
    const linker = object.kind === 'relocatable' ? 'link_elf_obj' : 'link_elf';
    const why = `${this.name} needs ${this.missing.length === 1 ? `the symbol ${name}` : `${this.missing.length} symbols`} that neither the kernel nor a file it depends on has.`;
    const hint =
      owner === undefined
        ? 'The symbol belongs to another version of the kernel, or to a kernel with another configuration.'
        : `${owner} has it: the module must declare MODULE_DEPEND on that one.`;
    return this.refuse('symbols', [`${linker}: symbol ${name} undefined`], why, hint);
  }

  private names(kld: KldFile): boolean {
    const taken = kld.modules.find(({ name, registered }) => this.kernel.modules.has(registered ?? name));
    if (taken === undefined) {
      this.note('module-names', 'pass');
      return true;
    }
    const name = taken.registered ?? taken.name;
    const said = [registeredText(name, this.name, 'kernel'), `Module ${name} failed to register: 17`];
    return this.refuse('module-names', said, `The kernel has a module ${name} built in.`);
  }
}

const known = new WeakMap<Elf, ReadonlySet<string>>();

/** What a file defines; the kernel linker gives out local symbols as well. */
export function namesOf(elf: Elf): ReadonlySet<string> {
  let names = known.get(elf);
  if (names === undefined) {
    const own = elf.object.symbols.flatMap(({ place, name, type }) =>
      place === 'section' && name !== '' && type !== 'section' && type !== 'file' ? [name] : [],
    );
    names = new Set([...own, ...staticSymbols(elf).map(({ name }) => name)]);
    known.set(elf, names);
  }
  return names;
}
