/** Gives the sandbox the steps that a real kernel was given, and tells where it differs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from '../../../src/systems/linux/kernelfile/saved.ts';
import { procModules } from '../../../src/systems/linux/proc-modules.ts';
import { LinuxSession } from '../../../src/tools/linux/session.ts';
import { normalise } from '../../real/linux-truth-normalise.mjs';

export interface GoldenStep {
  readonly do: string;
  readonly rc: number;
  readonly errno: number | null;
  readonly taint: number;
  readonly output: string;
  readonly log: readonly { readonly level: number; readonly text: string }[];
  readonly modules: readonly string[];
}

export interface Golden {
  readonly name: string;
  readonly title: string;
  readonly commandLine: string;
  readonly steps: readonly GoldenStep[];
}

const root = process.cwd();
export const goldenDirectory = join(root, 'test/golden/linux');
const built = join(root, 'fixtures/linux/built');

export function goldens(): string[] {
  return readdirSync(goldenDirectory)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.replace(/\.json$/, ''));
}

export function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(join(goldenDirectory, `${name}.json`), 'utf8')) as Golden;
}

/** Lines of the real machine that say nothing about modules. */
const MACHINE_NOISE = /^(tsc: |clocksource: |random: |e1000|input: )/;

export interface Difference {
  readonly step: string;
  readonly what: 'rc' | 'errno' | 'taint' | 'log' | 'modules' | 'output';
  readonly real: unknown;
  readonly ours: unknown;
  /** What the console said about it. */
  readonly note: string | undefined;
}

const kernelBytes = readFileSync(join(root, 'profiles/debian-6.1.kernel'));

function fixture(path: string): Uint8Array | undefined {
  const at = join(built, path);
  return existsSync(at) ? readFileSync(at) : undefined;
}

/** Commands whose output is the tool's own wording and not the kernel's. */
const OWN_WORDS = /^(as nobody |insmod|rmmod|modprobe|mount|umount|mkdir|mknod|sysctl|echo|grep -A|ls -l)/;

export function replay(golden: Golden): Difference[] {
  const session = new LinuxSession(decode(kernelBytes), {
    moduleFile: fixture,
    commandLine: golden.commandLine,
  });
  const differences: Difference[] = [];
  for (const step of golden.steps) {
    const { log } = session.k;
    const before = log.records.length;
    const result = session.line(step.do);
    const differ = (what: Difference['what'], real: unknown, ours: unknown) => {
      if (JSON.stringify(real) !== JSON.stringify(ours))
        differences.push({ step: step.do, what, real, ours, note: result.note });
    };
    differ('rc', step.rc, result.code);
    if (step.errno !== null) differ('errno', step.errno, result.errno);
    differ('taint', step.taint, session.k.taint);
    const lines = log.records.slice(before).map(({ level, text }) => ({ level, text }));
    differ(
      'log',
      step.log.filter(({ text }) => !MACHINE_NOISE.test(text)),
      lines.map(({ level, text }) => ({ level, text: normalise(text) })),
    );
    const modules = procModules(session.k)
      .split('\n')
      .filter((row) => row !== '')
      .map((row) => normalise(row).trim());
    differ('modules', step.modules, modules);
    if (step.rc === 0 && !OWN_WORDS.test(step.do))
      differ('output', step.output.trim(), result.output.split('\n').map(normalise).join('\n').trim());
  }
  return differences;
}
