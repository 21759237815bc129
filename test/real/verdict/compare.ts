/** What a real kernel and a base kernel say to the same loads, side by side. */
import { Subject } from '../../../src/systems/linux/check/subject.ts';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { askCheck, askedAlone, isAskable } from './checked.ts';
import { askKernels, type LoadAnswer, type LoadStep } from './qemu.ts';
import { askSandbox } from './sandbox.ts';

export interface Comparison {
  /** One line for each case that came out otherwise. */
  readonly differences: readonly string[];
  /** Cases at which the real kernel crashed, and what ours returns. */
  readonly crashes: readonly { readonly name: string; readonly errno: number }[];
  readonly compared: number;
}

/** The kernel reads on beyond a table there: what it finds is what happens to lie in its memory. */
const BY_CHANCE = new Set(['symtab-size-odd', 'symtab-size-0', 'symbol-name-far']);

/** How much memory the machine has decides whether this is said. */
const BY_MEMORY = /vmalloc error: size/;

const OURS = /^verdict_probe: |^provider: /;

/** Addresses differ, and so does the trace below a warning. */
function comparable({ errno, log, taint }: LoadAnswer): string {
  const lines: string[] = [];
  let inTrace = false;
  for (const line of log) {
    if (/^CPU: |^WARNING: |^-+\[ cut here/.test(line)) inTrace = true;
    else if (OURS.test(line)) inTrace = false;
    // A clock that does not keep up with the others; ten messages in five seconds are printed, then they are counted.
    if (/^(TSC found|sched_clock: Marking) unstable/.test(line)) continue;
    if (inTrace || /^Lockdown: |callbacks suppressed$/.test(line)) continue;
    if (BY_MEMORY.test(line)) continue;
    lines.push(
      line.replace(/\bval [0-9a-f]+/, 'val <value>').replace(/\?{16}|\b(?:0x)?[0-9a-f]{16}\b/g, '<address>'),
    );
  }
  return JSON.stringify({ errno, log: lines, taint });
}

/** Loads everything in QEMU and here. A kernel that crashed begins anew, on both sides. */
export async function compare(
  vmlinuz: string,
  kernel: KernelFile,
  commandLine: string,
  steps: readonly LoadStep[],
): Promise<Comparison> {
  const differences: string[] = [];
  const crashes: { name: string; errno: number }[] = [];
  let at = 0;
  const machine = kernel.machine === 'aarch64' ? kernel.machine : 'x86-64';
  for (const real of await askKernels(vmlinuz, commandLine, steps, machine)) {
    // Modules of other machines are judged, not run.
    const ours =
      machine === 'x86-64' ? askSandbox(kernel, commandLine, steps.slice(at, at + real.length)) : undefined;
    const mine = steps.slice(at, at + real.length);
    at += real.length;
    real.forEach((answer, i) => {
      const { name, errno } = answer;
      if (errno >= 2000) crashes.push({ name, errno: ours?.[i].errno ?? Number.NaN });
      else if (ours !== undefined && !BY_CHANCE.has(name))
        note(differences, mine[i], 'loaded here', answer, ours[i]);
    });
    differences.push(...checkAll(kernel, commandLine, mine, real));
  }
  return { differences, crashes, compared: at };
}

/** One line more if the answers differ. */
function note(differences: string[], step: Described, how: string, real: LoadAnswer, ours: LoadAnswer): void {
  const [theirs, own] = [comparable(real), comparable(ours)];
  if (theirs === own) return;
  const what = step.what === undefined ? '' : `: ${step.what}`;
  differences.push(`${step.name}${what}\n  real kernel ${theirs}\n  ${how} ${own}`);
}

type Described = LoadStep & { readonly what?: string };

const nameOf = (bytes: Uint8Array): string => new Subject('', bytes).ownName ?? '';

function checkAll(
  kernel: KernelFile,
  commandLine: string,
  steps: readonly Described[],
  real: readonly LoadAnswer[],
): string[] {
  const differences: string[] = [];
  const kept = new Map<string, Uint8Array>();
  let before = 0;
  steps.forEach((step, i) => {
    const answer = real[i];
    if (isAskable(step) && answer.errno < 2000 && !BY_CHANCE.has(step.name)) {
      const checked = askCheck(kernel, commandLine, step, { before, kept });
      note(differences, step, 'checked', askedAlone(answer), askedAlone(checked));
    }
    if (step.how === 'keep' && answer.errno === 0 && step.bytes !== undefined)
      kept.set(nameOf(step.bytes), step.bytes);
    if (step.how === 'drop') kept.delete(step.file ?? '');
    before = Math.max(0, answer.taint);
  });
  return differences;
}
