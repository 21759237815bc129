/** Recordings of what a real kernel said: test/golden/linux/README.md describes the fields. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A line of the kernel's log. */
export interface Line {
  readonly level: number;
  readonly text: string;
}

/** What one step did. */
interface GoldenStep {
  readonly do: string;
  readonly rc: number | null;
  readonly errno: number | null;
  readonly taint: number;
  readonly output: string;
  readonly log: readonly Line[];
  readonly modules: readonly string[];
}

export interface Golden {
  readonly name: string;
  readonly title: string;
  readonly commandLine: string;
  readonly steps: readonly GoldenStep[];
  /** What the console still said when the machine died in the last step. */
  readonly died?: readonly string[];
}

const folder = join(process.cwd(), 'test/golden/linux');

/** Names of all recordings, in order. */
export function goldens(): string[] {
  return readdirSync(join(folder, 'steps'))
    .map((file) => file.replace(/\.steps$/, ''))
    .sort();
}

export function readGolden(name: string): Golden {
  const file = join(folder, `${name}.json`);
  if (!existsSync(file)) throw new Error(`${name} is not recorded: node scripts/record-linux.mjs ${name}`);
  return JSON.parse(readFileSync(file, 'utf8')) as Golden;
}

/** The commands of a steps file, without remarks and directives. */
export function stepsOf(name: string): string[] {
  return readFileSync(join(folder, 'steps', `${name}.steps`), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !/^[#@]/.test(line));
}

/** Does a recording use modules of the distribution, which are never committed? Steps name them `intree/NAME.ko`. */
export function needsInTree(golden: Golden): boolean {
  return golden.steps.some((step) => /\bintree\//.test(step.do));
}
