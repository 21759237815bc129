/** The judge of a check: notes what each rule says, and decides nothing that a running kernel would have to. */
import type { Certificate } from '../../../formats/pki/certificate.ts';
import type { KernelFile } from '../kernelfile/kernelfile.ts';
import { Judge, type MissingInput } from '../rules/judge.ts';
import { TAINT } from '../taint-bits.ts';

/** Which way a rule is taken of which nobody knows whether the kernel has it. */
export type Stance = 'strict' | 'lenient';

/** Rules whose presence lets more modules pass; all others refuse more. */
const LENIENT: ReadonlySet<string> = new Set([
  'force-load',
  'namespaces-lenient',
  'livepatch',
  'decompress',
  'elliptic-curve-signatures',
]);

export interface RuleNotes {
  readonly said: { readonly level: number; readonly text: string }[];
  /** Bits of the taints it set. */
  taints: number;
  readonly missing: MissingInput[];
}

export interface CheckState {
  readonly commandLine: string;
  readonly certificates: readonly Certificate[];
  /** The kernel's taint mask before the load. */
  readonly before: number;
  readonly stance: Stance;
}

export class CheckJudge extends Judge {
  readonly kernel: KernelFile;
  readonly commandLine: string;
  override readonly certificates: readonly Certificate[];
  /** The rule that spoke last. */
  current = '';
  /** By rule; those that were entered. */
  readonly notes = new Map<string, RuleNotes>();
  /** Taints that the load adds to the kernel's. */
  kernelTaints = 0;
  readonly #before: number;
  readonly #stance: Stance;
  readonly #once = new Set<string>();
  #lockDebugging = true;

  constructor(kernel: KernelFile, state: CheckState) {
    super();
    this.kernel = kernel;
    this.commandLine = state.commandLine;
    this.certificates = state.certificates;
    this.#before = state.before;
    this.#stance = state.stance;
  }

  override enter(rule: string): void {
    this.current = rule;
    if (!this.notes.has(rule)) this.notes.set(rule, { said: [], taints: 0, missing: [] });
  }

  override unknown(missing: MissingInput): void {
    const list = this.#own().missing;
    if (!list.some(({ what }) => what === missing.what)) list.push(missing);
  }

  override has(rule: string): boolean {
    if (!this.kernel.undecided?.has(rule)) return super.has(rule);
    return LENIENT.has(rule) === (this.#stance === 'lenient');
  }

  tainted(bit: number): boolean {
    return ((this.#before | this.kernelTaints) & (1 << bit)) !== 0;
  }

  firstTime(id: string): boolean {
    if (this.#once.has(id)) return false;
    this.#once.add(id);
    return true;
  }

  protected print(level: number, text: string): void {
    this.#own().said.push({ level, text });
  }

  protected taintKernel(bit: number, lockdepUnreliable: boolean): void {
    if (lockdepUnreliable && this.#lockDebugging && (this.#before & (1 << TAINT.PROPRIETARY)) === 0) {
      this.#lockDebugging = false;
      this.print(4, 'Disabling lock debugging due to kernel taint');
    }
    this.kernelTaints |= 1 << bit;
    this.#own().taints |= 1 << bit;
  }

  #own(): RuleNotes {
    const notes = this.notes.get(this.current);
    if (notes === undefined)
      throw new Error(`a rule spoke that did not name itself: after '${this.current}'`);
    return notes;
  }
}
