/** Gives the sandbox the steps that a real kernel was given, and tells where it differs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from '../../../src/systems/linux/kernelfile/saved.ts';
import { procModules } from '../../../src/systems/linux/proc-modules.ts';
import { LinuxSession } from '../../../src/tools/linux/session.ts';
import { normalise } from '../../real/linux-truth-normalise.mjs';
import type { Golden, Line } from './golden.ts';

const root = process.cwd();
const built = join(root, 'fixtures/linux/built');

/** Lines of the real machine that say nothing about modules: its devices, and registers our processor lacks. */
const MACHINE_NOISE = /^(tsc: |clocksource: |random: |e1000|input: |PKRU: )/;
/** Lines whose values are the machine's: page tables that we do not have, CR2 left over from user space. */
const MACHINE_VALUES = /^(PGD|CR2:|Code:|Unable to access opcode) .*/;
/** Where in the kernel's own text something happened: its functions are TypeScript here, at the same addresses. */
const KERNEL_PLACE = /(RIP: 0010:|WARNING: CPU: \S+ PID: \S+ at \S+ )[\w.]+\+0x\w+\/0x\w+$/;

function plain(text: string): string {
  return text.replace(KERNEL_PLACE, '$1<kernel>').replace(MACHINE_VALUES, '<value>');
}

/**
 * What of a log can be the same on two kernels: in a backtrace that is the module's own functions, since the
 * kernel's are TypeScript here.
 */
function comparable(lines: readonly Line[]): Line[] {
  let inTrace = false;
  const kept: Line[] = [];
  for (const { level, text } of lines) {
    if (text === ' </TASK>') inTrace = false;
    const kernelFrame = inTrace && !text.includes('[');
    // Return addresses differ where the real processor needs retpolines and ours calls directly.
    const frame = inTrace ? text.replace(/\+0x\w+\/0x\w+/, '') : text;
    if (!kernelFrame && !MACHINE_NOISE.test(text)) kept.push({ level, text: plain(frame) });
    if (text === ' <TASK>') inTrace = true;
  }
  return kept;
}

export interface Difference {
  readonly step: string;
  readonly what: 'rc' | 'errno' | 'taint' | 'log' | 'modules' | 'output';
  readonly real: unknown;
  readonly ours: unknown;
  /** What the console said about it. */
  readonly note: string | undefined;
}

const kernelBytes = readFileSync(join(root, 'profiles/debian-6.1.kernel'));

/** Modules of the distribution by file name, where its kernel package is unpacked. */
export type FindInTree = (name: string) => Uint8Array | undefined;

function moduleFile(path: string, inTree: FindInTree | undefined): Uint8Array | undefined {
  if (path.startsWith('intree/')) return inTree?.(path.slice('intree/'.length));
  const at = join(built, path);
  return existsSync(at) ? readFileSync(at) : undefined;
}

/** Commands whose output is the tool's own wording and not the kernel's. */
const OWN_WORDS = /^(as nobody |insmod|rmmod|modprobe|mount|umount|mkdir|mknod|sysctl|echo|grep -A|ls -l)/;

/** lsmod lists holders in the order of a hashed directory: they are compared as a set. */
function tidy(output: string): string {
  return output
    .trim()
    .replace(/^filename: .*\n/, '')
    .replace(/[\w-]+(,[\w-]+)+$/gm, (list) => list.split(',').sort().join(','));
}

/** What the agent makes of bytes that are no text. */
const printable = (output: string): string =>
  output.replace(/[\x00-\x09\x0b-\x1f]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);

/** Runs a recording's steps; `inTree` is needed for those that load the distribution's modules. */
export function replay(golden: Golden, inTree?: FindInTree): Difference[] {
  const session = new LinuxSession(decode(kernelBytes), {
    moduleFile: (path) => moduleFile(path, inTree),
    modulePaths: () => readdirSync(built).filter((name) => name.endsWith('.ko')),
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
    if (step.rc === null) {
      // The machine died in this step: only its console could still tell.
      const said = log.records.slice(before).map(({ level, text }) => ({ level, text: normalise(text) }));
      const texts = (lines: readonly Line[]) => comparable(lines).map(({ text }) => text);
      const console = (golden.died ?? []).map((text) => ({ level: 0, text }));
      differ(
        'log',
        texts(console),
        texts(said).filter((text) => !text.startsWith('---[ end Kernel panic')),
      );
      break;
    }
    differ('rc', step.rc, result.code);
    if (step.errno !== null) differ('errno', step.errno, result.errno);
    differ('taint', step.taint, session.k.taint);
    const lines = log.records.slice(before).map(({ level, text }) => ({ level, text }));
    differ(
      'log',
      comparable(step.log),
      comparable(lines.map(({ level, text }) => ({ level, text: normalise(text) }))),
    );
    const modules = procModules(session.k)
      .split('\n')
      .filter((row) => row !== '')
      .map((row) => normalise(row).trim());
    differ('modules', step.modules, modules);
    // Only what the agent reads itself is made printable.
    const shown = step.do.startsWith('read ') ? printable(result.output) : result.output;
    if (step.rc === 0 && !OWN_WORDS.test(step.do))
      differ('output', tidy(step.output), tidy(shown.split('\n').map(normalise).join('\n')));
  }
  return differences;
}
