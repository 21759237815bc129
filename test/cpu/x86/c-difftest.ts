/** Random C functions on the host processor, QEMU user mode and our engines; what differs is made small. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../../../src/cpu/engines.ts';
import { BUFFER_BYTES, mainSource, programSource, statements } from './c-source.ts';
import { Program } from './program.ts';
import { Random } from './random.ts';

const BUFFER = 0x40002000;
const MASK = (1n << 64n) - 1n;
const LEVELS = ['-O0', '-O1', '-O2', '-O3', '-Os'] as const;
/** As kernels are compiled: no vector registers, wrapping arithmetic. */
const COMMON = [
  '-w',
  '-fwrapv',
  '-fno-strict-aliasing',
  '-ffreestanding',
  '-mgeneral-regs-only',
  '-fno-stack-protector',
  '-fno-pic',
  '-fno-pie',
];
const FLAT = ['-nostdlib', '-static', '-no-pie', '-Wl,-Ttext=0x20000000', '-Wl,-e,f0', '-Wl,--build-id=none'];
const FUNCTIONS = 8;
const STATEMENTS = 14;
/** A sandboxed instruction is slower than the host's by a few hundred at most: a program that runs longer is not compared. */
const NATIVE_MS = 4000;

export interface CTally {
  functions: number;
  /** Comparisons by other engine. */
  readonly compared: Map<string, number>;
  readonly failures: string[];
}

export interface CDifftestOptions {
  readonly seed: number;
  /** Programs of eight functions each, for each width. */
  readonly programs: number;
  readonly widths: readonly (32 | 64)[];
  readonly engines: readonly Engine[];
}

interface Result {
  readonly value: string;
  readonly hash: string;
  /** Instructions, where they are counted. */
  readonly retired?: number;
}

/** By function; undefined where it did not come back. */
type Results = readonly (Result | undefined)[];

interface Trial {
  readonly width: 32 | 64;
  readonly level: string;
  readonly seed: number;
  readonly functions: readonly (readonly string[])[];
}

export function cDifftest({ seed, programs, widths, engines }: CDifftestOptions): CTally {
  const random = new Random(seed);
  const tally: CTally = { functions: 0, compared: new Map(), failures: [] };
  const folder = mkdtempSync(join(tmpdir(), 'lkm-c-difftest-'));
  try {
    for (let n = 0; n < programs; n++) {
      for (const width of widths) {
        const own = random.bits() >>> 0;
        const functions = Array.from({ length: FUNCTIONS }, (_, i) =>
          statements((own + i * 977) | 1, STATEMENTS),
        );
        const trial = { width, level: LEVELS[n % LEVELS.length], seed: own, functions };
        examine(folder, trial, engines, tally);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return tally;
}

function examine(folder: string, trial: Trial, engines: readonly Engine[], tally: CTally): void {
  const built = build(folder, trial);
  const truth = outside([built.native], trial.seed);
  if (truth === undefined) return;
  tally.functions += truth.length;
  let counted: Results | undefined;
  for (const engine of ['qemu', ...engines] as const) {
    const got = runOn(engine, built, trial);
    if (got === undefined) continue;
    truth.forEach((expected, n) => {
      if (expected === undefined) return;
      tally.compared.set(engine, (tally.compared.get(engine) ?? 0) + 1);
      if (!same(expected, got[n])) tally.failures.push(report(folder, trial, engine, n));
      const [count, other] = [got[n]?.retired, counted?.[n]?.retired];
      if (count !== undefined && other !== undefined && count !== other)
        tally.failures.push(
          `${engine}, seed ${trial.seed}, function ${n}: ${count} instructions, not ${other}`,
        );
    });
    if (engine !== 'qemu') counted ??= got;
  }
}

const same = (a: Result | undefined, b: Result | undefined): boolean =>
  a?.value === b?.value && a?.hash === b?.hash;

/** The failing function with every statement left out that is not needed for it to fail. */
function report(folder: string, trial: Trial, engine: Engine | 'qemu', which: number): string {
  let lines = [...trial.functions[which]];
  // The function's number chooses its input.
  const alone = (some: readonly string[]): Trial => ({
    ...trial,
    functions: trial.functions.map((_, n) => (n === which ? some : [])),
  });
  const fails = (some: readonly string[]): boolean => {
    const smaller = alone(some);
    const built = build(folder, smaller);
    const truth = outside([built.native], trial.seed)?.[which];
    return truth !== undefined && !same(truth, runOn(engine, built, smaller)?.[which]);
  };
  for (let at = lines.length - 1; at >= 0 && fails(lines); at--) {
    const without = lines.filter((_, n) => n !== at);
    if (fails(without)) lines = without;
  }
  const built = build(folder, alone(lines));
  const [expected, got] = [outside([built.native], trial.seed), runOn(engine, built, alone(lines))];
  return [
    `${engine}, ${trial.width} bits, ${trial.level}, seed ${trial.seed}, function ${which}:`,
    ...lines.map((line) => `    ${line}`),
    `  native ${JSON.stringify(expected?.[which])}`,
    `  ${engine} ${JSON.stringify(got?.[which])}`,
  ].join('\n');
}

interface Built {
  readonly native: string;
  readonly flat: string;
}

function build(folder: string, { width, level, functions }: Trial): Built {
  const [source, main, object] = ['f.c', 'main.c', 'f.o'].map((name) => join(folder, name));
  const built = { native: join(folder, 'native'), flat: join(folder, 'flat') };
  const machine = `-m${width}`;
  writeFileSync(source, programSource(functions));
  writeFileSync(main, mainSource(functions.length));
  gcc([machine, level, ...COMMON, '-c', source, '-o', object]);
  gcc([machine, '-w', '-no-pie', '-static', main, object, '-o', built.native]);
  gcc([machine, ...FLAT, object, '-lgcc', '-o', built.flat]);
  return built;
}

function gcc(args: readonly string[]): void {
  const { status, stderr } = spawnSync('gcc', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`gcc ${args.join(' ')}: ${stderr}`);
}

/** What a program prints; undefined when it did not run, or took too long to be worth comparing. */
function outside(command: readonly string[], seed: number): Results | undefined {
  const run = spawnSync(command[0], [...command.slice(1), String(seed)], {
    encoding: 'utf8',
    timeout: NATIVE_MS,
  });
  if (run.status !== 0) return undefined;
  return run.stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [, value, hash] = line.split(' ');
      return { value, hash };
    });
}

function runOn(engine: Engine | 'qemu', built: Built, trial: Trial): Results | undefined {
  if (engine === 'qemu') {
    const emulator = trial.width === 64 ? 'qemu-x86_64' : 'qemu-i386';
    return outside([emulator, built.native], trial.seed);
  }
  return inside(engine, built.flat, trial);
}

function inside(engine: Engine, flat: string, { seed, functions }: Trial): Results {
  const program = new Program(flat, { engine });
  return functions.map((_, n) => {
    let x = BigInt(seed + n);
    const bytes = new Uint8Array(BUFFER_BYTES);
    for (let k = 0; k < BUFFER_BYTES; k++) {
      x = (x * 6364136223846793005n + 1442695040888963407n) & MASK;
      bytes[k] = Number(x >> 56n);
    }
    program.memory.write(BUFFER, bytes);
    const before = program.cpu.retired;
    try {
      const value = program.call(`f${n}`, [BUFFER, x]);
      const retired = program.cpu.retired - before;
      return { value: hex(value), hash: hex(fnv(program.memory.bytes(BUFFER, BUFFER_BYTES))), retired };
    } catch (error) {
      return { value: String(error), hash: '' };
    }
  });
}

function fnv(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & MASK;
  return hash;
}

const hex = (value: bigint): string => value.toString(16).padStart(16, '0');

/** A line or two about a tally. */
export function cSummary({ functions, compared, failures }: CTally): string {
  const others = [...compared].map(([engine, count]) => `${engine} ${count}`).join(', ');
  return `C functions: ${functions}; compared with the host: ${others}; ${failures.length} differ`;
}
