/** Boots a real kernel under QEMU with a list of loads, and reads what it said of each. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Archive } from '../../../scripts/cpio.mjs';
import { cstring } from '../../../src/bytes/cstring.ts';

export interface LoadStep {
  readonly name: string;
  /** keep: the module stays; drop: `bytes` is not used, the module `file` is unloaded; set: ARGUMENTS into `file`. */
  readonly how: 'finit' | 'init' | 'keep' | 'drop' | 'set';
  readonly flags?: number;
  readonly file?: string;
  readonly bytes?: Uint8Array;
  readonly args?: string;
}

export interface LoadAnswer {
  readonly name: string;
  /** 0, or what the system call returned; 2000 and more: the process was killed. */
  readonly errno: number;
  readonly log: readonly string[];
  readonly taint: number;
}

/** To the end of a boot with all its loads; machines that are busy take ten times as long as others. */
const SECONDS = 300;

interface Machine {
  readonly program: string;
  readonly compiler: string;
  readonly options: readonly string[];
  /** Where the kernel's own words go, and by which options the agent's report gets into a file of its own. */
  readonly console: string;
  readonly ports: (console: string, report: string) => readonly string[];
}

const MACHINES = {
  'x86-64': {
    program: 'qemu-system-x86_64',
    compiler: 'gcc',
    options: ['-machine', 'accel=tcg', '-cpu', 'max,la57=off'],
    console: 'console=ttyS0 no_timer_check',
    ports: (console, report) => ['-serial', `file:${console}`, '-serial', `file:${report}`],
  },
  // The machine has one port for both: the kernel keeps silent there.
  aarch64: {
    program: 'qemu-system-aarch64',
    compiler: 'aarch64-linux-gnu-gcc',
    options: ['-machine', 'virt,accel=tcg', '-cpu', 'max,pauth-impdef=on'],
    console: 'console=ttyAMA0 loglevel=1',
    ports: (_console, report) => ['-serial', `file:${report}`],
  },
} as const satisfies Record<string, Machine>;

export type MachineName = keyof typeof MACHINES;

/** A kernel that crashes (2000 and more) is booted again for what is left: one list of answers for each boot. */
export async function askKernels(
  vmlinuz: string,
  commandLine: string,
  steps: readonly LoadStep[],
  machine: MachineName = 'x86-64',
): Promise<LoadAnswer[][]> {
  const boots: LoadAnswer[][] = [];
  for (let from = 0; from < steps.length; ) {
    const answers = await askKernel(vmlinuz, commandLine, steps.slice(from), machine);
    boots.push(answers);
    from += answers.length;
  }
  return boots;
}

/** @param commandLine what stands behind the options every boot has */
export async function askKernel(
  vmlinuz: string,
  commandLine: string,
  steps: readonly LoadStep[],
  machine: MachineName = 'x86-64',
): Promise<LoadAnswer[]> {
  const work = mkdtempSync(join(tmpdir(), 'verdict-'));
  try {
    const agent = join(work, 'agent');
    const source = fileURLToPath(new URL('./agent.c', import.meta.url));
    execFileSync(MACHINES[machine].compiler, ['-static', '-O1', '-s', '-o', agent, source]);
    const archive = new Archive();
    for (const folder of ['proc', 'sys', 'dev', 'm']) archive.directory(folder);
    archive.file('init', readFileSync(agent));
    const lines = steps.map(({ name, how, flags = 0, file, bytes, args = '' }, i) => {
      if (bytes !== undefined) archive.file(`m/${i}.ko`, bytes);
      return `${name} ${how} ${flags} ${file ?? `/m/${i}.ko`} ${args}`.trimEnd();
    });
    archive.file('cases', `${lines.join('\n')}\n`);
    const ramdisk = join(work, 'cpio');
    writeFileSync(ramdisk, archive.finish());
    const text = await run(MACHINES[machine], vmlinuz, ramdisk, commandLine, work);
    return parse(text);
  } finally {
    rmSync(work, { recursive: true });
  }
}

async function run(
  { program, options, console: where, ports }: Machine,
  vmlinuz: string,
  ramdisk: string,
  commandLine: string,
  work: string,
): Promise<string> {
  const report = join(work, 'report');
  const console = join(work, 'console');
  const append = `quiet ${where} nokaslr printk.devkmsg=on panic=-1 oops=continue ${commandLine}`;
  const machine = [...options, '-smp', '1', '-m', '768', '-display', 'none', '-nic', 'none'];
  const boot = ['-no-reboot', '-monitor', 'none', '-kernel', vmlinuz, '-initrd', ramdisk, '-append', append];
  const child = spawn(program, [...machine, ...boot, ...ports(console, report)], { stdio: 'ignore' });
  const timer = setTimeout(() => child.kill('SIGKILL'), SECONDS * 1000);
  const read = (path: string) => (existsSync(path) ? readFileSync(path, 'latin1').replaceAll('\r', '') : '');
  let length = 0;
  let quiet = 0;
  const watch = setInterval(() => {
    const text = read(report);
    if (text.length > length) {
      length = text.length;
      quiet = 0;
    } else if (text !== '') quiet++;
    // A load that takes longer hangs: the kernel has died while it held a lock.
    if (/^@done/m.test(text) || quiet > 120) child.kill('SIGKILL');
  }, 250);
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => resolve());
  });
  clearTimeout(timer);
  clearInterval(watch);
  const text = read(report);
  if (/^@done/m.test(text)) return text;
  if (!text.includes('@case')) throw new Error(`no load was tried:\n${read(console).slice(-1500)}`);
  return `${text}\n@errno 2999\n`;
}

/** What the machine says of itself meanwhile. */
const NOISE = /^\d (?:tsc|clocksource|random|input): /;

/** /dev/kmsg writes bytes that cannot be printed as \xNN. */
const readable = (text: string): string =>
  bytesAsText(
    text.replace(/\\x([0-9a-f]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  );

/** As names of files are read: UTF-8, or byte by byte. */
const bytesAsText = (text: string): string =>
  cstring(
    Uint8Array.from(text, (one) => one.charCodeAt(0)),
    0,
  );

function parse(report: string): LoadAnswer[] {
  const answers: { name: string; errno: number; log: string[]; taint: number }[] = [];
  for (const line of report.split('\n')) {
    const [, word, rest] = /^@(\w+) ?(.*)$/.exec(line) ?? [];
    const last = answers.at(-1);
    if (word === 'case') answers.push({ name: rest, errno: -1, log: [], taint: 0 });
    else if (last === undefined) continue;
    else if (word === 'errno') last.errno = Number(rest);
    else if (word === 'taint') last.taint = Number(rest);
    else if (word === 'log' && NOISE.test(rest)) continue;
    else if (word === 'log' && rest.endsWith('verdict-mark')) continue;
    else if (word === 'log') last.log.push(readable(rest.slice(2)));
  }
  return answers;
}
