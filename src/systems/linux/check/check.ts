/**
 * load_module over a kernel file: the same rules, in the same order, with nothing behind them. What a kernel does besides
 * judging (memory, lists, patching) has no part here; what the init function would return nobody knows.
 */
import { FormatError } from '../../../bytes/errors.ts';
import type { Certificate } from '../../../formats/pki/certificate.ts';
import { builtinNames } from '../builtin.ts';
import { Errno } from '../errno.ts';
import { exportedNames } from '../export-names.ts';
import { changedKernel } from '../kernelfile/changed.ts';
import type { KernelFile } from '../kernelfile/kernelfile.ts';
import type { ModuleFile } from '../module-file.ts';
import { checkTypeInformation } from '../rules/btf.ts';
import { checkAppraisal, checkCaller, unpackInKernel } from '../rules/caller.ts';
import { checkElf, checkModuleSections, refuseDamaged } from '../rules/elf.ts';
import {
  checkDuplicateSymbols,
  checkExportFlags,
  checkExportVersions,
  checkLicenceNames,
  checkNamespaceImports,
  checkObsolete,
  checkSectionNames,
  checkSysfsName,
} from '../rules/exports.ts';
import type { MissingInput } from '../rules/judge.ts';
import { checkBlacklist, checkModinfo, type LoadFlags, taintByModinfo } from '../rules/modinfo.ts';
import { rulesInOrder } from '../rules/order.ts';
import { checkParameterFiles } from '../rules/parameter-files.ts';
import { checkBranchTables, checkTracerTable } from '../rules/relocation-arm64.ts';
import {
  checkPerCpu,
  checkUnwindTables,
  checkWriteExecute,
  EMPTY_ROOM,
  listedSections,
  refuseTooLarge,
} from '../rules/sections.ts';
import { checkSignature, reportUnsigned } from '../rules/signature.ts';
import { checkStaticCalls } from '../rules/static-calls.ts';
import {
  checkModuleLayout,
  commonSymbol,
  type FoundSymbol,
  failedSymbol,
  type Importer,
  misplacedSymbols,
  refuseUnresolved,
  resolveSymbol,
  type SymbolFailure,
  type SymbolOwner,
} from '../rules/symbols.ts';
import { TAINT } from '../taint-bits.ts';
import { Refusal } from '../verdict.ts';
import { CheckJudge, type Stance } from './judge.ts';
import { checkArguments, readParameterTable } from './parameters.ts';
import { checkRelocations } from './relocations.ts';
import type { Subject } from './subject.ts';

/** Exports of modules that could be loaded before. */
export interface OtherModules {
  /** `likely`: names of modules to look in first. */
  find(name: string, likely: readonly string[]): FoundSymbol<SymbolOwner> | undefined;
  /** Why a symbol is not to be had although somebody exports it; in our words. */
  absent(name: string, likely: readonly string[]): string | undefined;
  /** Every module of the kernel is known: a symbol that none exports does not exist. */
  readonly complete: boolean;
}

/** The kernel as it is when the module is loaded. */
export interface KernelState {
  readonly commandLine: string;
  /** Its taint mask before. */
  readonly taints: number;
  readonly privileged: boolean;
  readonly modulesDisabled: boolean;
  readonly flags: LoadFlags;
  /** As insmod joins them: `a=1 b="x y"`. */
  readonly args: string;
  /** Trusted besides the kernel's own. */
  readonly certificates: readonly Certificate[];
  /** Names of modules that are loaded. */
  readonly loaded: ReadonlySet<string>;
}

export interface CheckView {
  readonly kernel: KernelFile;
  readonly others: OtherModules;
  readonly state: KernelState;
}

export type Outcome = 'pass' | 'note' | 'refuse' | 'unknown' | 'not-reached';

export interface RuleOutcome {
  readonly rule: string;
  readonly title: string;
  readonly outcome: Outcome;
  readonly said: readonly { readonly level: number; readonly text: string }[];
  readonly errno: number | undefined;
  readonly why: string;
  readonly hint: string;
}

export interface CheckResult {
  readonly answer: 'loads' | 'refused' | 'cannot-tell';
  readonly rules: readonly RuleOutcome[];
  readonly missing: readonly MissingInput[];
  /** Bits of the taints that the kernel would have more. */
  readonly taints: number;
  /** The module as the rules saw it; undefined when they did not come so far. */
  readonly file: ModuleFile | undefined;
  /** Names of modules whose exports it uses, in the order of its symbols. */
  readonly owners: readonly string[];
  readonly failures: readonly SymbolFailure[];
}

/** Every rule of the kernel's loader against the file. */
export function checkModule(given: CheckView, subject: Subject): CheckResult {
  const view = { ...given, kernel: likeModule(given.kernel, subject.bytes) };
  const strict = run(view, subject, 'strict');
  const { undecided } = view.kernel;
  if (undecided === undefined || undecided.size === 0 || strict.refusal === undefined)
    return resultOf(strict);
  // Nobody knows whether the kernel has some rules: the answer counts if it is the same both ways.
  const lenient = run(view, subject, 'lenient');
  if (lenient.refusal?.rule === strict.refusal.rule) return resultOf(strict);
  return resultOf(lenient, strict.refusal);
}

/** A kernel of unknown machine is taken to be of the module's class and byte order: the file can then be read at all. */
function likeModule(kernel: KernelFile, bytes: Uint8Array): KernelFile {
  if (!kernel.gaps?.has('machine') || bytes.length < 6) return kernel;
  return changedKernel(kernel, { bits: bytes[4] === 1 ? 32 : 64, littleEndian: bytes[5] !== 2 });
}

interface Run {
  readonly judge: CheckJudge;
  readonly refusal: Refusal | undefined;
  readonly progress: Progress;
}

/** What has become of the load so far. */
interface Progress {
  file: ModuleFile | undefined;
  readonly owners: Set<string>;
  failures: SymbolFailure[];
}

function run(view: CheckView, subject: Subject, stance: Stance): Run {
  const { commandLine, taints, certificates } = view.state;
  const judge = new CheckJudge(view.kernel, { commandLine, certificates, before: taints, stance });
  const progress: Progress = { file: undefined, owners: new Set(), failures: [] };
  try {
    try {
      judgeFile(judge, view, subject, progress);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      judge.enter('elf-damaged');
      refuseDamaged(judge, error);
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { judge, refusal: error, progress };
  }
  return { judge, refusal: undefined, progress };
}

/** The order of load_module. */
function judgeFile(judge: CheckJudge, view: CheckView, subject: Subject, progress: Progress): void {
  const { state } = view;
  const early = judge.has('early-duplicate-check');
  checkCaller(judge, { ...state, size: subject.bytes.length });
  checkAppraisal(judge, state.flags);
  const given = unpackInKernel(judge, state.flags.compressed ? subject.packed : subject.bytes, state.flags);
  const { bytes, facts } = checkSignature(judge, given, state.flags);
  const file = subject.settle(
    checkModuleSections(judge, checkElf(judge, bytes, subject.read), subject.bytes, state.flags),
  );
  progress.file = file;
  checkBlacklist(judge, file.statedName);
  checkModuleLayout(judge, file, state.flags);
  checkModinfo(judge, file, state.flags);
  if (early) checkName(judge, state, file.name);
  checkBranchTables(judge, file);
  checkWriteExecute(judge, file);
  checkPlace(judge, file);
  const taintByName = (before: boolean) =>
    checkLicenceNames(judge, file, before, () => {
      judge.kernelTaints |= 1 << TAINT.PROPRIETARY;
    });
  const before = judge.tainted(TAINT.PROPRIETARY);
  if (early) taintByModinfo(judge, file);
  else checkName(judge, state, file.name);
  reportUnsigned(judge, file.name, facts);
  if (early) taintByName(before);
  checkPerCpu(judge, file, EMPTY_ROOM);
  checkObsolete(judge, file);
  if (!early) taintByName(judge.tainted(TAINT.PROPRIETARY));
  checkExportFlags(judge, file);
  checkExportVersions(judge, file);
  checkNamespaceImports(judge, file);
  resolveImports(judge, view, subject, progress);
  const exported = (name: string) => view.kernel.exports.find(name)?.address;
  checkRelocations(judge, subject, file, exported);
  checkTracerTable(judge, file);
  const warned = () => {
    judge.kernelTaints |= 1 << TAINT.WARN;
  };
  checkUnwindTables(judge, file, warned);
  const names = exportedNames(file, !judge.has('export-flags'));
  checkDuplicateSymbols(judge, file, names, (name) => exporterOf(view, name));
  checkStaticCalls(judge, file);
  checkTypeInformation(judge, file);
  checkArguments(judge, file, state.args);
  checkSysfsName(judge, file.name, builtinNames(view.kernel).has(file.name));
  checkParameterFiles(judge, file.name, readParameterTable(file), { warned, trace() {} });
  checkSectionNames(judge, file.name, listedSections(judge, file, state.flags), () => {});
}

/** Who exports the name already: the kernel, or a module that is loaded. */
function exporterOf({ kernel, others, state }: CheckView, name: string): string | undefined {
  if (kernel.exports.has(name)) return 'kernel';
  if (state.loaded.size === 0) return undefined;
  const owner = others.find(name, [...state.loaded])?.owner?.name;
  return owner !== undefined && state.loaded.has(owner) ? owner : undefined;
}

function checkName(judge: CheckJudge, { loaded }: KernelState, name: string): void {
  judge.enter('duplicate-name');
  if (!loaded.has(name)) return;
  const why = `A module of the name ${name} is loaded already.`;
  judge.refuse('duplicate-name', Errno.EEXIST, why, `Unload it first: rmmod ${name}.`);
}

/** Sizes that no kernel has room for; and a struct module that older kernels use without looking at its size. */
function checkPlace(judge: CheckJudge, file: ModuleFile): void {
  judge.enter('too-large');
  const bytes = file.object.sections.reduce((sum, { allocated, size }) => sum + (allocated ? size : 0), 0);
  // MODULES_LEN of x86-64 with a randomised kernel is 1 GiB; no other machine has more for modules.
  if (bytes > 2 ** 30) {
    refuseTooLarge(judge, `Its sections need ${bytes} bytes of memory, more than the area for modules has.`);
  }
  judge.enter('this-module');
}

function resolveImports(judge: CheckJudge, view: CheckView, subject: Subject, progress: Progress): void {
  const { kernel, others } = view;
  const file = progress.file;
  if (file === undefined) return;
  judge.enter('symbols');
  const likely = file.modinfo.depends;
  const source = {
    find(name: string, gplOk: boolean): FoundSymbol<SymbolOwner> | undefined {
      const own = kernel.exports.find(name);
      if (own !== undefined && (gplOk || !own.gplOnly)) return { ...own, owner: undefined };
      const found = others.find(name, likely);
      return found !== undefined && (gplOk || !found.gplOnly) ? found : undefined;
    },
    absent: (name: string) => others.absent(name, likely),
  };
  const importer: Importer = { file, flags: view.state.flags, usesGplOnly: false };
  const untold: string[] = [];
  const failures: SymbolFailure[] = [];
  for (const symbol of subject.imports(file)) {
    const { name } = symbol;
    if (symbol.place === 'common') {
      const failure = commonSymbol(judge, file, name);
      if (failure !== undefined) failures.push(failure);
      continue;
    }
    const result = resolveSymbol(judge, importer, name, source);
    if ('found' in result) {
      if (result.found.owner !== undefined) progress.owners.add(result.found.owner.name);
      continue;
    }
    if (mayExist(view, file, name)) {
      if (symbol.binding !== 'weak') untold.push(name);
      continue;
    }
    const failure = failedSymbol(judge, file, symbol, result);
    if (failure !== undefined) failures.push(failure);
  }
  failures.push(...misplacedSymbols(judge, file));
  progress.failures = failures;
  const { gaps } = kernel;
  if (gaps?.has('gpl') && (judge.taints & (1 << TAINT.PROPRIETARY)) !== 0) {
    judge.unknown({
      what: 'which symbols are for GPL modules only',
      how: 'give Module.symvers or the image',
    });
  }
  if (untold.length > 0) judge.unknown(whereAre(view, file, untold));
  refuseUnresolved(judge, failures);
}

/** Nobody here exports it, but a module that was not given may. */
function mayExist({ kernel, others }: CheckView, file: ModuleFile, name: string): boolean {
  if (kernel.gaps?.has('exports') && !kernel.exports.has(name)) return true;
  const { depends } = file.modinfo;
  if (others.complete || depends.length === 0 || kernel.exports.has(name)) return false;
  return others.find(name, depends) === undefined && others.absent(name, depends) === undefined;
}

function whereAre({ kernel }: CheckView, { modinfo }: ModuleFile, names: readonly string[]): MissingInput {
  const some = names.slice(0, 4).join(', ') + (names.length > 4 ? ` and ${names.length - 4} more` : '');
  if (kernel.gaps?.has('exports')) {
    return {
      what: `the kernel's exported symbols (${some})`,
      how: 'give its image, its Module.symvers or its module tree',
    };
  }
  const from = modinfo.depends.join(', ');
  return {
    what: `the modules that export ${some} (it depends on ${from})`,
    how: "give them too, the kernel's module tree (a /lib/modules/RELEASE folder), or its Module.symvers",
  };
}

function resultOf({ judge, refusal, progress }: Run, doubted?: Refusal): CheckResult {
  const order = rulesInOrder(judge.has('early-duplicate-check'), judge.has('cached-elf-checks'));
  const last = refusal === undefined ? order.length : positionOf(order, refusal.rule);
  const rules = order.map(({ rule, title }, i): RuleOutcome => {
    const notes = judge.notes.get(rule);
    const base = { rule, title, said: notes?.said ?? [], errno: undefined, why: '', hint: '' };
    if (i === last && refusal !== undefined) {
      return { ...base, outcome: 'refuse', errno: refusal.errno, why: refusal.why, hint: refusal.hint };
    }
    if (i > last) return { ...base, outcome: 'not-reached' };
    if (doubted !== undefined && rule === doubted.rule) {
      const why = `If the kernel has this rule, it refuses: ${doubted.why}`;
      return { ...base, outcome: 'unknown', errno: doubted.errno, why, hint: doubted.hint };
    }
    const [missing] = notes?.missing ?? [];
    if (missing !== undefined)
      return { ...base, outcome: 'unknown', why: `${missing.what}.`, hint: missing.how };
    return { ...base, outcome: base.said.length > 0 || (notes?.taints ?? 0) !== 0 ? 'note' : 'pass' };
  });
  const missing = [...judge.notes.values()].flatMap((notes) => notes.missing);
  if (doubted !== undefined) {
    const what = `whether this kernel has the rule '${doubted.rule}'`;
    missing.push({ what, how: 'give the kernel image, and its configuration' });
  }
  const unknown = missing.length > 0;
  return {
    answer: refusal !== undefined ? 'refused' : unknown ? 'cannot-tell' : 'loads',
    rules,
    missing: refusal === undefined ? missing : [],
    taints: judge.kernelTaints,
    file: progress.file,
    owners: [...progress.owners],
    failures: progress.failures,
  };
}

/** Where a refusal stands; one of a rule that is not in the list stands nowhere, which is a defect of the list. */
function positionOf(order: readonly { readonly rule: string }[], rule: string): number {
  const found = order.findIndex((one) => one.rule === rule);
  if (found < 0) throw new Error(`rule '${rule}' is missing in rules/order.ts`);
  return found;
}
