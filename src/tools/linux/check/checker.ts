/** Linux's side of `lkm check`: module files against kernel files by the rules of load_module. */

import { readFileSync } from 'node:fs';
import { compressionOf, decompress } from '../../../bytes/decompress.ts';
import { FormatError } from '../../../bytes/errors.ts';
import { elfMachine } from '../../../formats/elf/object.ts';
import type { Machine } from '../../../formats/object.ts';
import { readCertificates } from '../../../formats/pki/pem.ts';
import {
  type CheckResult,
  checkModule,
  type KernelState,
  type OtherModules,
} from '../../../systems/linux/check/check.ts';
import { canRelocate } from '../../../systems/linux/check/relocations.ts';
import { Subject } from '../../../systems/linux/check/subject.ts';
import { errnoName } from '../../../systems/linux/errno.ts';
import { isArm64Image, zbootPayload } from '../../../systems/linux/kernelfile/raw-image.ts';
import { isSaved } from '../../../systems/linux/kernelfile/saved.ts';
import { isBootImage } from '../../../systems/linux/kernelfile/vmlinuz.ts';
import { wrapperShape } from '../../../systems/linux/kernelfile/wrapped.ts';
import { nameOfPath } from '../../../systems/linux/tree/names.ts';
import type {
  CheckKernel,
  CheckRequest,
  CheckSurroundings,
  Companion,
  RuleResult,
  SystemChecker,
  Verdict,
} from '../../check.ts';
import { type ModuleFile, SettingError } from '../../system.ts';
import {
  imageForRelease,
  isFolder,
  isKernelFolder,
  kernelsIn,
  type LinuxCheckKernel,
  openCheckKernel,
} from './kernels.ts';
import { FileLibrary, type LibrarySymbol, plain, softlyBefore } from './library.ts';
import { isPackage } from './package.ts';
import { partKind } from './parts.ts';
import { explainSymbols } from './symbols.ts';
import { taintResults } from './taints.ts';

const SETTINGS = [
  { name: 'cmdline', summary: 'the kernel command line, such as module_blacklist=hello' },
  { name: 'sig-enforce', summary: 'yes: only modules with a trusted signature (module.sig_enforce)' },
  { name: 'lockdown', summary: 'integrity or confidentiality: the kernel is locked down' },
  { name: 'modules-disabled', summary: 'yes: kernel.modules_disabled is 1' },
  { name: 'force', summary: 'vermagic, modversions or both: what finit_module is told to ignore' },
  { name: 'args', summary: "the module's arguments, as they stand behind insmod FILE: number=5 flag" },
  { name: 'packed', summary: 'yes: the kernel is handed the file as it is packed (flag 4 of finit_module)' },
  { name: 'loaded', summary: 'names of modules that are loaded already, with commas' },
  {
    name: 'built-against',
    summary: 'the kernel that the modules were built for, to tell what changed in its types',
  },
  { name: 'user', summary: 'who loads: root (the default) or another' },
] as const;

class LinuxChecker implements SystemChecker {
  readonly system = 'linux';
  readonly settings = SETTINGS;
  readonly kernels =
    'builtin:debian-6.1, builtin:debian-6.1-686, a vmlinuz, a package, /boot, a Module.symvers';
  readonly #subjects = new WeakMap<Uint8Array, Subject>();
  /** By release, and by the name that was given for the kernel that a module was built for. */
  readonly #opened = new Map<string, LinuxCheckKernel | undefined>();
  #around: CheckSurroundings | undefined;
  readonly #libraries = new Map<string, FileLibrary>();
  /** Answers about companions, by kernel and path. */
  readonly #companions = new WeakMap<CheckKernel, Map<string, CheckResult | undefined>>();

  recogniseKernel({ path, bytes }: ModuleFile): number {
    // Other systems have built-in names of their own, and know them.
    if (path.startsWith('builtin:')) return 0.9;
    if (bytes === undefined) return isKernelFolder(path) ? 0.9 : 0;
    if (isSaved(bytes) || isBootImage(bytes) || isArm64Image(bytes) || zbootPayload(bytes) !== undefined)
      return 1;
    if (wrapperShape(bytes) !== undefined) return 0.9;
    if (partKind(bytes, path) !== undefined || isPackage(bytes, path)) return 0.8;
    return compressionOf(bytes) !== undefined || isElfExecutable(bytes) ? 0.6 : 0;
  }

  kernelsIn(path: string): readonly string[] {
    const found = isFolder(path) ? kernelsIn(path) : [];
    return found.length > 1 ? found : [path];
  }

  open(path: string, around: CheckSurroundings): CheckKernel {
    const kernel = openCheckKernel(path, around);
    if (!this.#opened.has(kernel.release)) this.#opened.set(kernel.release, kernel);
    this.#around = around;
    return kernel;
  }

  /** The kernel that a module was built for: named, opened before, beside the module, or of this machine. */
  #buildKernel(built: string, modulePath: string, named: string | undefined): LinuxCheckKernel | undefined {
    const release = named ?? built;
    if (!this.#opened.has(release)) this.#opened.set(release, this.#openBuild(release, modulePath, named));
    return this.#opened.get(release);
  }

  #openBuild(release: string, modulePath: string, named: string | undefined): LinuxCheckKernel | undefined {
    const path = named ?? imageForRelease(release, modulePath);
    if (path === undefined || this.#around === undefined) return undefined;
    try {
      return openCheckKernel(path, this.#around);
    } catch (error) {
      // It would only have explained more; one that was named has to be readable.
      if (named === undefined) return undefined;
      throw error;
    }
  }

  check(request: CheckRequest): Verdict {
    const kernel = request.kernel as LinuxCheckKernel;
    const { path, bytes = new Uint8Array(0) } = request.module;
    const subject = this.#subject(path, bytes);
    const state = stateOf(request.settings, request.certificates ?? []);
    const library = this.#library(request.companions ?? []);
    const result = this.#judge(kernel, subject, state, library);
    const builtFor = (result.file?.modinfo ?? subject.modinfo)?.get('vermagic')?.split(' ')[0] ?? '';
    const build = () => this.#buildKernel(builtFor, path, request.settings.get('built-against'));
    const symbols = request.brief
      ? { symbols: [], causes: [] }
      : explainSymbols(kernel, result, library, { builtFor, find: build });
    const packed = request.brief ? [] : this.#packedRemarks(kernel, subject, state, library);
    const first = request.brief ? [] : this.#first(kernel, result, library, state);
    return {
      module: { path, name: result.file?.name ?? subject.ownName ?? nameOfPath(path) },
      kernel: { name: kernel.name, release: kernel.release },
      system: 'linux',
      answer: result.answer,
      rules: result.rules.map(ruleResult),
      missing: result.missing,
      taints: taintResults(result.taints),
      first,
      ...symbols,
      remarks: [
        ...otherMachine(subject, result),
        ...remarksOn(kernel, result),
        ...packed,
        ...(request.brief ? [] : softRemarks(result.file, first)),
      ],
    };
  }

  /** What is read of a module once, however many kernels it is checked against. */
  #subject(path: string, bytes: Uint8Array): Subject {
    let subject = this.#subjects.get(bytes);
    if (subject === undefined) {
      subject = new Subject(path, unpacked(bytes), bytes);
      this.#subjects.set(bytes, subject);
    }
    return subject;
  }

  #library(paths: readonly string[]): FileLibrary {
    const key = paths.join('\0');
    let library = this.#libraries.get(key);
    if (library === undefined) {
      library = new FileLibrary(paths, false);
      this.#libraries.set(key, library);
    }
    return library;
  }

  #judge(kernel: LinuxCheckKernel, subject: Subject, state: KernelState, library: FileLibrary): CheckResult {
    const others = new Others(kernel, library, nameOfPath(subject.path), (path) =>
      this.#companion(kernel, path, state, library),
    );
    return checkModule({ kernel: kernel.file, others, state }, subject);
  }

  /** kmod 31 and later hand a file to the kernel as it is packed, where the kernel says that it unpacks the like. */
  #packedRemarks(
    kernel: LinuxCheckKernel,
    subject: Subject,
    state: KernelState,
    library: FileLibrary,
  ): string[] {
    if (state.flags.compressed || !isPackedFor(kernel, subject.packed)) return [];
    const handed = { ...state, flags: { ...state.flags, compressed: true } };
    const refused = this.#judge(kernel, subject, handed, library).rules.find(
      ({ outcome }) => outcome === 'refuse',
    );
    if (refused?.rule !== 'decompress') return [];
    const words = refused.said.map(({ text }) => text).join('; ');
    return [
      `Handed over as it is packed, as kmod does from version 31 on, this kernel refuses it (${words}). ${refused.why} ${refused.hint}`,
    ];
  }

  /** Would a companion load itself? Undefined while that is being found out: modules that need each other. */
  #companion(
    kernel: LinuxCheckKernel,
    path: string,
    state: KernelState,
    library: FileLibrary,
  ): CheckResult | undefined {
    let known = this.#companions.get(kernel);
    if (known === undefined) this.#companions.set(kernel, (known = new Map()));
    if (!known.has(path)) {
      known.set(path, undefined);
      const bytes = readFileSync(path);
      known.set(path, this.#judge(kernel, new Subject(path, unpacked(bytes)), state, library));
    }
    return known.get(path);
  }

  /** The modules to load before, dependencies first. */
  #first(
    kernel: LinuxCheckKernel,
    { owners, file }: CheckResult,
    library: FileLibrary,
    state: KernelState,
  ): Companion[] {
    const found = new Map<string, Companion>();
    const add = (name: string, optional: boolean): void => {
      const known = found.get(name);
      if (found.size >= MOST_COMPANIONS || (known !== undefined && (optional || known.optional !== true)))
        return;
      const own = kernel.own?.module(name);
      const module = own ?? library.module(name);
      if (module === undefined) return;
      const answer =
        own === undefined ? this.#companion(kernel, module.path, state, library)?.answer : undefined;
      const companion = { name, from: module.path, answer, ...(optional ? { optional } : {}) };
      found.set(name, companion);
      for (const needed of module.depends) add(plain(needed), optional);
      for (const asked of module.before) add(plain(asked), true);
      // Set again behind those it needs.
      found.delete(name);
      found.set(name, companion);
    };
    const own = file?.name;
    for (const name of owners) if (name !== own) add(name, false);
    if (file !== undefined) for (const asked of softlyBefore(file.modinfo)) add(plain(asked), true);
    if (own !== undefined) found.delete(own);
    return [...found.values()];
  }
}

/** What modprobe is asked to load before, by names that are no module's own: aliases, or modules that are not here. */
function softRemarks(file: CheckResult['file'], first: readonly Companion[]): string[] {
  const absent =
    file === undefined
      ? []
      : softlyBefore(file.modinfo).filter((name) => first.every((one) => one.name !== plain(name)));
  if (absent.length === 0) return [];
  return [`It asks modprobe to load ${absent.join(', ')} before, if there is such a module.`];
}

/** Kernels that are always at hand, by machine. */
const AT_HAND: Readonly<Partial<Record<Machine, string>>> = {
  'x86-64': 'builtin:debian-6.1',
  i386: 'builtin:debian-6.1-686',
};

/** A module for another machine than the kernel's: which kernel there is to try it on. */
function otherMachine({ bytes }: Subject, { rules }: CheckResult): string[] {
  const wrong = rules.some(({ rule, outcome }) => rule === 'elf-machine' && outcome === 'refuse');
  if (!wrong) return [];
  const machine = elfMachine(bytes[18] | (bytes[19] << 8), bytes[4] === 1 ? 32 : 64);
  const kernel = AT_HAND[machine];
  return kernel === undefined ? [] : [`It is for ${machine}, as --kernel ${kernel} is.`];
}

/** What the checks here leave out on some machines. */
function remarksOn({ file: { machine } }: LinuxCheckKernel, { answer }: CheckResult): string[] {
  if (answer === 'refused') return [];
  if (machine === 'unknown') return ['Relocations are not checked: the machine of the kernel is not known.'];
  return canRelocate(machine) ? [] : [`Relocations are not checked on ${machine}.`];
}

/** More than any module needs. */
const MOST_COMPANIONS = 200;

/** Exports of the kernel's own modules, then of those that were given; a module does not help itself. */
class Others implements OtherModules {
  readonly complete: boolean;
  readonly #kernel: LinuxCheckKernel;
  readonly #library: FileLibrary;
  readonly #self: string;
  readonly #check: (path: string) => CheckResult | undefined;
  depends: readonly string[] = [];

  constructor(
    kernel: LinuxCheckKernel,
    library: FileLibrary,
    self: string,
    check: (path: string) => CheckResult | undefined,
  ) {
    this.complete = kernel.own?.complete ?? false;
    this.#kernel = kernel;
    this.#library = library;
    this.#self = self;
    this.#check = check;
  }

  find(name: string, likely: readonly string[]): LibrarySymbol | undefined {
    const own = this.#kernel.own?.find(name, likely);
    if (own !== undefined && own.owner?.name !== this.#self) return own;
    const given = this.#given(name, likely);
    return given === undefined || this.#refused(given) !== undefined ? undefined : given;
  }

  absent(name: string, likely: readonly string[]): string | undefined {
    const given = this.#given(name, likely);
    if (given?.owner === undefined) return undefined;
    const rule = this.#refused(given);
    return rule && `${given.owner.name} exports it, but is refused itself (${rule})`;
  }

  #given(name: string, likely: readonly string[]): LibrarySymbol | undefined {
    const found = this.#library.find(name, likely);
    return found?.owner?.name === this.#self ? undefined : found;
  }

  #refused({ owner }: LibrarySymbol): string | undefined {
    if (owner === undefined) return undefined;
    const result = this.#check(owner.path);
    if (result?.answer !== 'refused') return undefined;
    return result.rules.find(({ outcome }) => outcome === 'refuse')?.rule ?? '';
  }
}

/** Is the file packed in the one way that the kernel unpacks itself? */
function isPackedFor({ file: { rules } }: LinuxCheckKernel, bytes: Uint8Array): boolean {
  if (!rules.has('decompress')) return false;
  const own = rules.has('decompress-xz') ? 'xz' : rules.has('decompress-gzip') ? 'gz' : 'zst';
  return compressionOf(bytes) === own;
}

/** A file that cannot be unpacked is judged as it is: the kernel finds no ELF header. */
function unpacked(bytes: Uint8Array): Uint8Array {
  try {
    return decompress(bytes);
  } catch (error) {
    if (error instanceof FormatError) return bytes;
    throw error;
  }
}

const isElfExecutable = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x7f && bytes[1] === 0x45 && (bytes[16] === 2 || bytes[17] === 2 || bytes[16] === 3);

function ruleResult(result: CheckResult['rules'][number]): RuleResult {
  const { rule, title, outcome, said, errno, why, hint } = result;
  const error = errno === undefined ? {} : { error: { name: errnoName(errno) ?? `${errno}`, number: errno } };
  return { rule, title, outcome, said, why, hint, ...error };
}

function stateOf(settings: ReadonlyMap<string, string>, certificates: readonly Uint8Array[]): KernelState {
  for (const name of settings.keys()) {
    if (SETTINGS.some((known) => known.name === name)) continue;
    throw new SettingError(
      `there is no setting '${name}'`,
      `There are: ${SETTINGS.map((one) => one.name).join(', ')}.`,
    );
  }
  const force = settings.get('force') ?? 'no';
  if (!['no', 'vermagic', 'modversions', 'both'].includes(force)) {
    throw new SettingError(
      `force=${force}: vermagic, modversions or both`,
      'As modprobe --force-vermagic and --force-modversion.',
    );
  }
  const lockdown = settings.get('lockdown') ?? 'none';
  if (!['none', 'integrity', 'confidentiality'].includes(lockdown)) {
    throw new SettingError(
      `lockdown=${lockdown}: none, integrity or confidentiality`,
      'See kernel_lockdown(7).',
    );
  }
  const words = [settings.get('cmdline') ?? ''];
  if (isYes(settings, 'sig-enforce')) words.push('module.sig_enforce=1');
  if (lockdown !== 'none') words.push(`lockdown=${lockdown}`);
  const commandLine = words.join(' ').trim();
  return {
    commandLine,
    args: settings.get('args') ?? '',
    certificates: certificates.flatMap((bytes) => readCertificates(bytes)),
    taints: 0,
    privileged: (settings.get('user') ?? 'root') === 'root',
    modulesDisabled: isYes(settings, 'modules-disabled'),
    flags: {
      ignoreModversions: force === 'modversions' || force === 'both',
      ignoreVermagic: force === 'vermagic' || force === 'both',
      compressed: isYes(settings, 'packed'),
    },
    loaded: new Set(
      (settings.get('loaded') ?? '').split(',').map((name) => name.trim().replaceAll('-', '_')),
    ),
  };
}

/** @throws SettingError for a word that is neither */
function isYes(settings: ReadonlyMap<string, string>, name: string): boolean {
  const text = settings.get(name);
  if (text === undefined || /^(0|n|no|off|false)?$/i.test(text)) return false;
  if (/^(1|y|yes|on|true)$/i.test(text)) return true;
  throw new SettingError(`${name}=${text}: yes or no`, `Say --set ${name}=yes.`);
}

export const linuxChecker: SystemChecker = new LinuxChecker();
