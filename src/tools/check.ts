/**
 * Will this module load on that kernel? What a system brings to `lkm check`, and what it answers: every rule of its loader,
 * in its order, with what became of it. Nothing is loaded and nothing of the module runs, so nothing is said about what its
 * start function would decide.
 */
import type { ModuleFile, Setting } from './system.ts';

/** `loads`: no rule of the loader refuses it. What its own start function says is another question. */
export type Answer = 'loads' | 'refused' | 'cannot-tell';

/** `note`: it passes, and the kernel says something or is tainted. `unknown`: an input is missing. */
export type Outcome = 'pass' | 'note' | 'refuse' | 'unknown' | 'not-reached';

/** A line as the kernel would log it. */
export interface SaidLine {
  /** The system's own number of the level; undefined where it has none. */
  readonly level: number | undefined;
  readonly text: string;
}

/** What the caller of the system gets back. */
export interface SystemError {
  /** As the system writes it: `ENOEXEC`, `STATUS_INVALID_IMAGE_HASH`. */
  readonly name: string;
  readonly number: number;
}

export interface RuleResult {
  /** Stable id. */
  readonly rule: string;
  /** What the rule asks, as a short statement: `the ELF header says x86-64`. */
  readonly title: string;
  readonly outcome: Outcome;
  readonly said: readonly SaidLine[];
  readonly error?: SystemError;
  /** In our words; empty where the outcome says it all. */
  readonly why: string;
  /** What to do about it. */
  readonly hint: string;
  /** Values that were compared, for `--json`. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** What the rules come to: one refusal is enough, and one that could not be asked leaves the question open. */
export function answerOf(rules: readonly RuleResult[]): Answer {
  if (rules.some(({ outcome }) => outcome === 'refuse')) return 'refused';
  return rules.some(({ outcome }) => outcome === 'unknown') ? 'cannot-tell' : 'loads';
}

/** Something that has to be known for a verdict. */
export interface MissingInput {
  readonly what: string;
  readonly how: string;
}

export interface TaintResult {
  /** As the system shows it; empty where it has no letters. */
  readonly letter: string;
  readonly meaning: string;
}

/** A module that has to be loaded first. */
export interface Companion {
  readonly name: string;
  /** Where it comes from: a path, or `the kernel's own modules`. */
  readonly from: string;
  /** Nothing of it is used: it is only asked for to be loaded before, if it can be (soft dependencies of Linux). */
  readonly optional?: boolean;
  /** `refused` when it was checked as well and would not load itself. */
  readonly answer?: Answer;
}

export interface SymbolProblem {
  readonly name: string;
  /** `owner`: the module that exports it cannot be had itself. */
  readonly kind: 'missing' | 'version' | 'licence' | 'namespace' | 'owner' | 'other' | 'common';
  /** Versions (checksums) that the module was built against and that the kernel has, as the system writes them. */
  readonly wanted?: string;
  readonly offered?: string;
  /** Module that exports it; undefined for the kernel itself and for nobody. */
  readonly owner?: string;
  readonly why: string;
  /** What changed in its type, where the types of both sides are known. */
  readonly changes?: readonly string[];
}

export interface Verdict {
  readonly module: { readonly path: string; readonly name: string };
  /** `name` as the kernel was given, `release` as it calls itself. */
  readonly kernel: { readonly name: string; readonly release: string };
  readonly system: string;
  readonly answer: Answer;
  /** Every rule of the loader, in its order. */
  readonly rules: readonly RuleResult[];
  /** What would make a `cannot-tell` an answer. */
  readonly missing: readonly MissingInput[];
  readonly taints: readonly TaintResult[];
  /** In the order in which they must be loaded. */
  readonly first: readonly Companion[];
  /** Symbols it cannot have, or not in this version. */
  readonly symbols: readonly SymbolProblem[];
  /** Common causes of many symbol problems, the likeliest first; sentences. */
  readonly causes: readonly string[];
  /** True things worth knowing that decide nothing; sentences. */
  readonly remarks: readonly string[];
}

/** A kernel that was opened for checks. */
export interface CheckKernel {
  /** As it was given on the command line. */
  readonly name: string;
  /** As it calls itself: `6.1.0-56-amd64`. */
  readonly release: string;
  /** One line: machine, where its facts come from. */
  readonly summary: string;
  /** Packs it as a small file that `open` takes again; undefined where the system has none. */
  save?(): Uint8Array;
}

export interface CheckRequest {
  /** The file to check. */
  readonly module: ModuleFile;
  readonly kernel: CheckKernel;
  /** Other module files that would be there to be loaded first; read when they are needed. */
  readonly companions?: readonly string[];
  /** `--set NAME=VALUE` of `settings`. */
  readonly settings: ReadonlyMap<string, string>;
  /** Certificates (DER or PEM) that the kernel trusts besides its own. */
  readonly certificates?: readonly Uint8Array[];
  /** Only the answer matters (a large matrix): findings that cost time may be left out. */
  readonly brief?: boolean;
}

/** Where a checker may look for what belongs to a kernel or module. Everything else it is given. */
export interface CheckSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absolute path of a file that comes with lkm. */
  readonly packaged: (path: string) => string;
}

export interface SystemChecker {
  /** As in tools/systems.ts. */
  readonly system: string;
  /** What of the kernel's state may be set for a check: `sig-enforce`, `cmdline`. */
  readonly settings: readonly Setting[];
  /** What may be given as a kernel, for a person who gave none: `builtin:windows-10, a Windows folder`. */
  readonly kernels: string;
  /** 0 = not a kernel of this system, 1 = certain. A path may be a folder; `bytes` are undefined then. */
  recogniseKernel(file: ModuleFile): number;
  /** The kernels that a folder such as /boot stands for; the path alone where it is one. */
  kernelsIn?(path: string): readonly string[];
  /** @throws FormatError, or the file system's errors */
  open(path: string, around: CheckSurroundings): CheckKernel | Promise<CheckKernel>;
  /** Bad files are refused, as the kernel refuses them; only a defect throws. */
  check(request: CheckRequest): Verdict | Promise<Verdict>;
}
