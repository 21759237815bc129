import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { normalise } from './linux-truth-normalise.mjs';

/** One line of the kernel's log. */
export interface TruthLine {
  level: number;
  text: string;
}

/** What one step did, on a real kernel or in the sandbox. See test/golden/linux/README.md for the fields. */
export interface TruthStep {
  do: string;
  rc: number | null;
  errno: number | null;
  taint: number | null;
  output: string;
  log: TruthLine[];
  modules: string[];
}

export interface Transcript {
  name: string;
  title: string;
  kernel: string;
  commandLine: string;
  steps: TruthStep[];
  /** What the console still said after the last step that could report; only where the machine died. */
  died?: string[];
}

const folder = fileURLToPath(new URL('../golden/linux/', import.meta.url));

/** Names of all recordings, in order. */
export function transcriptNames(): string[] {
  return readdirSync(`${folder}steps`)
    .map((file) => file.replace(/\.steps$/, ''))
    .sort();
}

function stepsText(name: string): string {
  return readFileSync(`${folder}steps/${name}.steps`, 'utf8');
}

/** The commands of a steps file, without remarks and directives. */
export function stepsOf(name: string): string[] {
  return stepsText(name)
    .split('\n')
    .filter((line) => line !== '' && !/^[#@]/.test(line));
}

export function readTranscript(name: string): Transcript {
  const file = `${folder}${name}.json`;
  if (!existsSync(file)) throw new Error(`${name} is not recorded: node scripts/record-linux.mjs ${name}`);
  return JSON.parse(readFileSync(file, 'utf8')) as Transcript;
}

const machineLines =
  /^(?:Code|Hardware name|PGD|R[A-Z0-9]{2}|RSP|FS|CS|CR2|PKRU|DR\d|note): ?|^ \? |^RIP: 0033:|^Kernel Offset: /;

/** A frame of a backtrace that is not in a module: the sandbox's kernel has other functions between them. */
const kernelFrame = /^ [\w.]+\+0x[0-9a-f]+\/0x[0-9a-f]+$/;

/**
 * The lines that any kernel of this release must say: without registers, code bytes, frames of the kernel itself and
 * the user's registers, and with addresses as words. Level and text, so that arrays can be compared.
 */
export function essence(log: readonly TruthLine[]): string[] {
  return log
    .map(({ level, text }) => ({ level, text: normalise(text) }))
    .filter(({ text }) => !machineLines.test(text) && !kernelFrame.test(text))
    .map(({ level, text }) => `<${level}>${text}`);
}

function outcome(rc: number | null): string {
  if (rc === null) return 'no answer';
  if (rc === 0) return 'success';
  return rc > 128 ? `killed by signal ${rc - 128}` : 'failure';
}

/** What differs, in words; nothing when both agree. Tools' own wording of a failure is not compared. */
export function differences(real: TruthStep, ours: TruthStep): string[] {
  const found: string[] = [];
  const compare = (what: string, a: unknown, b: unknown): void => {
    const [x, y] = [JSON.stringify(a), JSON.stringify(b)];
    if (x !== y) found.push(`${what}: real ${x}, ours ${y}`);
  };
  compare('outcome', outcome(real.rc), outcome(ours.rc));
  if (real.errno !== null) compare('errno', real.errno, ours.errno);
  compare('taint', real.taint, ours.taint);
  compare('modules', real.modules, ours.modules.map(normalise));
  compare('log', essence(real.log), essence(ours.log));
  if (real.rc === 0) compare('output', real.output, ours.output.split('\n').map(normalise).join('\n'));
  return found;
}
