/** Runs generated cases on the host processor and on the simulated one, and reports where they disagree. */
import type { Engine } from '../../../src/cpu/engines.ts';
import { type Case, generated, singleCase } from './cases.ts';
import { describeCase, differences } from './compare.ts';
import { GuestRunner } from './guest.ts';
import { mmxCase } from './mmx.ts';
import { controlCase } from './mxcsr.ts';
import { runNative } from './native.ts';
import { Random } from './random.ts';
import { sequenceCase } from './sequences.ts';
import { coprocessorCase, FUNCTIONS, functionCase, functionErrors, withinTolerance } from './x87.ts';

export interface DifftestOptions {
  /** Mode of the machine code; 64 when left out. */
  readonly bits?: 32 | 64;
  readonly seed: number;
  /** Single-instruction cases. */
  readonly singles: number;
  readonly sequences: number;
  readonly sequenceLength: number;
  /** Programs for the coprocessor and MMX; none when left out. */
  readonly units?: number;
  /** Only mnemonics that match. */
  readonly only?: RegExp;
  /** Ours to compare with the host; the interpreter alone when left out. */
  readonly engine?: Engine;
}

export interface Tally {
  agreed: number;
  differed: number;
  refused: number;
}

export interface DifftestReport {
  readonly byName: Map<string, Tally>;
  readonly sequences: Tally;
  /** Descriptions, at most a few of each mnemonic. */
  readonly failures: string[];
}

const PER_NAME = 2;
const BATCH = 4000;

function tallyOf(map: Map<string, Tally>, name: string): Tally {
  let tally = map.get(name);
  if (tally === undefined) {
    tally = { agreed: 0, differed: 0, refused: 0 };
    map.set(name, tally);
  }
  return tally;
}

/** One case on both sides: the differences, or undefined when our side refused an instruction by name. */
function check(runner: GuestRunner, item: Case): string[] | undefined {
  const [native] = runNative([item]);
  const guest = runner.run(item);
  return guest.unsupported ? undefined : differences(item, native, guest);
}

/** The shortest beginning of a sequence that still differs: sequences of one seed are prefixes of each other. */
function shrink(runner: GuestRunner, seed: number, length: number, bits: 32 | 64): string {
  for (let n = 1; n <= length; n++) {
    const item = sequenceCase(seed, n, bits);
    const found = check(runner, item);
    if (found !== undefined && found.length > 0) return describeCase(item, found);
  }
  return `seed ${seed}: differs only after the cases before it`;
}

function runSingles(options: DifftestOptions, runner: GuestRunner, report: DifftestReport): void {
  const { bits = 64 } = options;
  const names = generated(bits).filter((name) => options.only?.test(name) ?? true);
  const random = new Random(options.seed);
  for (let done = 0; done < options.singles; done += BATCH) {
    const cases: Case[] = [];
    for (let n = done; n < Math.min(options.singles, done + BATCH); n++) {
      const item = singleCase(random.bits() >>> 0, names[n % names.length], bits);
      if (item !== undefined) cases.push(item);
    }
    const outcomes = runNative(cases);
    cases.forEach((item, n) => {
      const tally = tallyOf(report.byName, item.names[0]);
      const guest = runner.run(item);
      const found = guest.unsupported ? [] : differences(item, outcomes[n], guest);
      if (guest.unsupported) tally.refused++;
      else if (found.length === 0) tally.agreed++;
      else if (tally.differed++ < PER_NAME) report.failures.push(describeCase(item, found));
    });
  }
}

function runSequences(options: DifftestOptions, runner: GuestRunner, report: DifftestReport): void {
  const { bits = 64 } = options;
  const random = new Random(options.seed ^ 0x5bd1e995);
  const { sequences: tally } = report;
  for (let done = 0; done < options.sequences; done += BATCH) {
    const cases: Case[] = [];
    for (let n = done; n < Math.min(options.sequences, done + BATCH); n++) {
      cases.push(sequenceCase(random.bits() >>> 0, options.sequenceLength, bits));
    }
    const outcomes = runNative(cases);
    cases.forEach((item, n) => {
      const guest = runner.run(item);
      if (guest.unsupported) tally.refused++;
      else if (differences(item, outcomes[n], guest).length === 0) tally.agreed++;
      else if (tally.differed++ < 8)
        report.failures.push(shrink(runner, item.seed, options.sequenceLength, bits));
    });
  }
}

/** Programs for the coprocessor and for MMX, whose registers are the same, and for MXCSR. */
function runUnits(options: DifftestOptions, runner: GuestRunner, report: DifftestReport): void {
  const { bits = 64, units = 0 } = options;
  const random = new Random(options.seed ^ 0x2545f491);
  const cases = Array.from({ length: units }, (_, n) => {
    const seed = random.bits() >>> 0;
    if (n % 3 === 2) return controlCase(seed, 3, bits);
    return n % 3 === 0 ? coprocessorCase(seed, 12, bits) : mmxCase(seed, 6, bits);
  });
  const outcomes = runNative(cases);
  cases.forEach((item, n) => {
    const tally = tallyOf(report.byName, item.names[0]);
    const guest = runner.run(item);
    const found = guest.unsupported ? [] : differences(item, outcomes[n], guest);
    if (guest.unsupported) tally.refused++;
    else if (found.length === 0) tally.agreed++;
    else if (tally.differed++ < PER_NAME) report.failures.push(describeCase(item, found));
  });
  runFunctions(random, units / 4, bits, runner, report);
}

/** Transcendental functions and remainders: as near to the processor's results as these are to the true ones. */
function runFunctions(
  random: Random,
  count: number,
  bits: 32 | 64,
  runner: GuestRunner,
  report: DifftestReport,
): void {
  const cases = Array.from({ length: count }, (_, n) => {
    const f = FUNCTIONS[n % FUNCTIONS.length];
    return { f, item: functionCase(random.bits() >>> 0, f, bits) };
  });
  const outcomes = runNative(cases.map(({ item }) => item));
  cases.forEach(({ f, item }, n) => {
    const tally = tallyOf(report.byName, f.name);
    const found = functionErrors(item.seed, outcomes[n], runner.run(item));
    if (withinTolerance(f, found)) tally.agreed++;
    else if (tally.differed++ < PER_NAME) report.failures.push(describeCase(item, [found]));
  });
}

/** Runs everything asked for. */
export function difftest(options: DifftestOptions): DifftestReport {
  const report: DifftestReport = {
    byName: new Map(),
    sequences: { agreed: 0, differed: 0, refused: 0 },
    failures: [],
  };
  const runner = new GuestRunner(options.engine ?? 'interpreter', options.bits);
  runSingles(options, runner, report);
  runSequences(options, runner, report);
  runUnits(options, runner, report);
  return report;
}

/** A short text of a report. */
export function summary(report: DifftestReport): string {
  const names = [...report.byName].sort(([a], [b]) => a.localeCompare(b));
  const sum = (key: keyof Tally) => names.reduce((total, [, tally]) => total + tally[key], 0);
  const refused = names.filter(([, tally]) => tally.refused > 0 && tally.agreed + tally.differed === 0);
  const differing = names.filter(([, tally]) => tally.differed > 0);
  const { sequences } = report;
  return [
    `single instructions: ${sum('agreed')} agree, ${sum('differed')} differ, ${sum('refused')} refused by name`,
    `sequences: ${sequences.agreed} agree, ${sequences.differed} differ, ${sequences.refused} refused by name`,
    `mnemonics: ${names.length} tried, ${refused.length} refused: ${refused.map(([name]) => name).join(' ')}`,
    `differing: ${differing.map(([name, t]) => `${name} ${t.differed}/${t.agreed + t.differed}`).join(', ') || 'none'}`,
  ].join('\n');
}
