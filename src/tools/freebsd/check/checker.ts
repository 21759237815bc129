/** FreeBSD's side of `lkm check`: module files against the file of a kernel and the modules in its folder. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  type CheckedFile,
  checkKld,
  type KldCheck,
  type Library,
  namesOf,
  type OtherFile,
  RULES,
  type RuleFinding,
} from '../../../systems/freebsd/check/check.ts';
import { type Elf, elfTarget, judgeRelocatable, judgeShared } from '../../../systems/freebsd/elf.ts';
import {
  isKernelFile,
  type KernelFile,
  readKernelFile,
  saveKernelFile,
} from '../../../systems/freebsd/kernelfile.ts';
import { findInterface } from '../../../systems/freebsd/kld.ts';
import type { DependRecord } from '../../../systems/freebsd/kldfile.ts';
import { releaseOf } from '../../../systems/freebsd/version.ts';
import type { CheckKernel, CheckRequest, RuleResult, SystemChecker, Verdict } from '../../check.ts';
import { type ModuleFile, SettingError } from '../../system.ts';

const SETTINGS = [
  { name: 'securelevel', summary: 'kern.securelevel of the kernel: -1 (the default) to 3' },
] as const;

interface FreeBsdCheckKernel extends CheckKernel {
  readonly file: KernelFile;
  /** Modules in the kernel's folder, and in the folder `modules` beside it. */
  readonly folder: ModuleFolder;
}

/** Files of modules, read when they are asked for. */
class ModuleFolder {
  private readonly paths: readonly string[];
  private readonly kernel: KernelFile;
  private readonly read = new Map<string, Elf | undefined>();

  constructor(paths: readonly string[], kernel: KernelFile) {
    this.paths = paths;
    this.kernel = kernel;
  }

  *files(): Generator<OtherFile> {
    for (const path of this.paths) {
      const elf = this.elf(path);
      if (elf !== undefined) yield { path, elf };
    }
  }

  private elf(path: string): Elf | undefined {
    if (this.read.has(path)) return this.read.get(path);
    const target = elfTarget(this.kernel.machine);
    let elf: Elf | undefined;
    if (target !== undefined && existsSync(path) && statSync(path).isFile()) {
      const bytes = readFileSync(path);
      const first = judgeRelocatable(bytes, path, target);
      const found = 'elf' in first ? first : judgeShared(bytes, path, target);
      if ('elf' in found) elf = found.elf;
    }
    this.read.set(path, elf);
    return elf;
  }
}

/** Answers of one request: each companion is checked once, and one that needs itself is not asked again. */
class FolderLibrary implements Library {
  private readonly kernel: KernelFile;
  private readonly folders: readonly ModuleFolder[];
  private readonly self: string;
  private readonly answers = new Map<string, boolean>();

  constructor(kernel: KernelFile, folders: readonly ModuleFolder[], self: string) {
    this.kernel = kernel;
    this.folders = folders;
    this.self = self;
  }

  provider(depend: DependRecord): { file: OtherFile; loads: boolean } | undefined {
    for (const folder of this.folders) {
      for (const file of folder.files()) {
        if (basename(file.path) === basename(this.self)) continue;
        if (findInterface(file.elf.kld.versions, depend.name, depend) === undefined) continue;
        return { file, loads: this.loads(file) };
      }
    }
    return undefined;
  }

  definer(symbol: string): string | undefined {
    for (const folder of this.folders)
      for (const { path, elf } of folder.files())
        if (path !== this.self && namesOf(elf).has(symbol)) return elf.name;
    return undefined;
  }

  private loads({ path }: OtherFile): boolean {
    const before = this.answers.get(path);
    if (before !== undefined) return before;
    this.answers.set(path, true);
    const result = checkKld(this.kernel, { path, bytes: readFileSync(path) }, this);
    const loads = result.answer !== 'refused';
    this.answers.set(path, loads);
    return loads;
  }
}

/** The kernel's file in a folder such as /boot/kernel. */
function kernelIn(folder: string): string | undefined {
  return ['kernel', 'kernel.gz', 'kernel/kernel', 'kernel/kernel.gz']
    .map((name) => join(folder, name))
    .find((path) => existsSync(path) && statSync(path).isFile());
}

const modulesIn = (folder: string): string[] =>
  existsSync(folder) && statSync(folder).isDirectory()
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.ko'))
        .sort()
        .map((name) => join(folder, name))
    : [];

class FreeBsdChecker implements SystemChecker {
  readonly system = 'freebsd';
  readonly settings = SETTINGS;
  readonly kernels = '/boot/kernel/kernel of the other machine, or its folder';

  recogniseKernel({ path, bytes }: ModuleFile): number {
    if (bytes !== undefined) return isKernelFile(bytes) ? 1 : 0;
    if (path.startsWith('builtin:')) return 0;
    const kernel = kernelIn(path);
    return kernel !== undefined && isKernelFile(readFileSync(kernel)) ? 1 : 0;
  }

  open(path: string): FreeBsdCheckKernel {
    const file = statSync(path).isDirectory() ? (kernelIn(path) ?? path) : path;
    const kernel = readKernelFile(readFileSync(file), file);
    const folder = dirname(file);
    const paths = [...modulesIn(folder), ...modulesIn(join(dirname(folder), 'modules'))];
    const release = `FreeBSD ${releaseOf(kernel.version)} ${kernel.machine}`;
    const summary = `${release} (${kernel.version}), ${kernel.interfaces.length} interfaces built in, ${paths.length} modules beside it`;
    const save = () => new Uint8Array(gzipSync(saveKernelFile(kernel)));
    return { name: path, release, summary, file: kernel, folder: new ModuleFolder(paths, kernel), save };
  }

  check(request: CheckRequest): Verdict {
    const { file, folder, name, release } = request.kernel as FreeBsdCheckKernel;
    const { path, bytes = new Uint8Array(0) } = request.module;
    const others = new ModuleFolder(request.companions ?? [], file);
    const library = new FolderLibrary(file, [folder, others], path);
    const checked: CheckedFile = { path, bytes };
    const result = checkKld(file, checked, library, securelevelOf(request.settings));
    return {
      module: { path, name: result.name },
      kernel: { name, release },
      system: 'freebsd',
      answer: result.answer,
      rules: result.rules.map(ruleResult),
      missing: missingInputs(result),
      taints: [],
      first: result.first.map((one) => ({
        name: one.name,
        from: one.path,
        ...(one.loads ? {} : { answer: 'refused' as const }),
      })),
      symbols: result.symbols.map(({ name: symbol, owner }) => ({
        name: symbol,
        kind: owner === undefined ? 'missing' : 'other',
        ...(owner === undefined ? {} : { owner }),
        why:
          owner === undefined
            ? 'nobody has it'
            : `${owner} has it, and the module does not declare that it depends on that one`,
      })),
      causes: [],
      remarks: remarks(result),
    };
  }
}

function ruleResult({ rule, outcome, said, why, hint }: RuleFinding): RuleResult {
  const error =
    rule === 'securelevel'
      ? { name: 'EPERM', number: 1 }
      : rule === 'module-names'
        ? { name: 'EEXIST', number: 17 }
        : { name: 'ENOEXEC', number: 8 };
  return {
    rule,
    title: RULES[rule],
    outcome,
    said: said.map((text) => ({ level: undefined, text })),
    ...(outcome === 'refuse' ? { error } : {}),
    why,
    hint,
  };
}

function missingInputs({ rules }: KldCheck): Verdict['missing'] {
  return rules
    .filter(({ outcome }) => outcome === 'unknown')
    .map(({ rule, why }) => ({
      what: why,
      how:
        rule === 'symbols'
          ? 'give the kernel with its symbol table'
          : 'no file can tell; ask the machine itself',
    }));
}

/** The coarseness of the version rule is what people stumble over. */
function remarks({ kld, answer }: KldCheck): string[] {
  const on = kld?.depends.find(({ name }) => name === 'kernel');
  if (answer !== 'loads' || on === undefined || on.minimum === on.maximum) return [];
  return [
    `It takes every kernel from ${on.minimum} to ${on.maximum}: the linker does not compare anything finer than that.`,
  ];
}

function securelevelOf(settings: ReadonlyMap<string, string>): number {
  const text = settings.get('securelevel');
  if (text === undefined) return -1;
  const level = Number(text);
  if (Number.isInteger(level) && level >= -1 && level <= 3) return level;
  throw new SettingError(`securelevel=${text} is no level`, 'levels are -1, 0, 1, 2 and 3');
}

export const freebsdChecker: SystemChecker = new FreeBsdChecker();
