/** Our engines against the same C code on this machine, under QEMU user mode and under Unicorn. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CODE } from '../src/cpu/bare-machine.ts';
import type { Engine } from '../src/cpu/engines.ts';
import { type Bench, type BenchContext, type Figure, median } from './bench.ts';

interface Workload {
  readonly name: string;
  /** The most it may take, in times of native, first call included. */
  readonly native: number;
}

/** By number: those of workloads.c, then those of further.c and plain.c. */
const FIRST: readonly Workload[] = [
  { name: 'hash', native: 2.5 },
  { name: 'crc', native: 2.5 },
  { name: 'lz', native: 8 },
  { name: 'lists', native: 6 },
];
const FURTHER: readonly Workload[] = [
  'cipher',
  'boards',
  'parse',
  'numbers',
  'sorts',
  'chains',
  'moves',
  'machine',
  'sha',
  'base64',
  'match',
  'carries',
  'strings',
  'characters',
  'trees',
  'shapes',
  'medians',
  'rings',
  'recursion',
  'ways',
  'cells',
  'merges',
  'fields',
  'stream',
].map((name) => ({ name, native: 8 }));
const SOURCES = ['workloads.c', 'further.c', 'plain.c'];
const INPUT_BYTES = 16 << 20;
const QUICK_BYTES = 256 << 10;
const ROUNDS = 7;
/** The engine that the targets are for. */
const OURS: Engine = 'auto';

interface Runner {
  readonly name: string;
  command(which: number, bytes: number): readonly string[];
}

interface Time {
  /** Seconds of the processor. */
  readonly seconds: number;
  readonly instructions: number;
}

export const engine: Bench = {
  name: 'engine',
  summary: 'four C workloads over 16 MiB, first call included: native, QEMU user mode, Unicorn, our engines',
  run: (context) => compared(context, FIRST, 0, ['interpreter', OURS]),
};

export const further: Bench = {
  name: 'further',
  summary: 'more workloads of other kinds, measured in the same way',
  run: (context) => compared(context, FURTHER, FIRST.length, [OURS]),
};

async function compared(
  { quick, root }: BenchContext,
  workloads: readonly Workload[],
  first: number,
  engines: readonly Engine[],
): Promise<readonly Figure[]> {
  const built = compile(join(root, 'bench', 'engine'));
  if (built === undefined) return [];
  const bytes = quick ? QUICK_BYTES : INPUT_BYTES;
  const runners = available(root, built, engines);
  const rounds = quick ? 1 : ROUNDS;
  return workloads.flatMap((workload, n) => {
    const times = measure(runners, workload.name, first + n, bytes, rounds);
    return figures(workload, times, engines);
  });
}

/** Every round runs every engine once, so that a change of load meets all alike. */
function measure(
  runners: readonly Runner[],
  workload: string,
  which: number,
  bytes: number,
  rounds: number,
): Map<string, Time[]> {
  const times = new Map<string, Time[]>(runners.map(({ name }) => [name, []]));
  let expected: string | undefined;
  for (let round = 0; round < rounds; round++) {
    for (const { name, command } of runners) {
      const [sum, seconds, , instructions] = execute(command(which, bytes));
      expected ??= sum;
      if (sum !== expected) throw new Error(`${workload}: ${name} computed ${sum}, not ${expected}`);
      times.get(name)?.push({ seconds: Number(seconds), instructions: Number(instructions ?? 0) });
    }
  }
  return times;
}

function figures(
  workload: Workload,
  times: ReadonlyMap<string, readonly Time[]>,
  engines: readonly Engine[],
): Figure[] {
  const of = (name: string): readonly number[] | undefined => times.get(name)?.map(({ seconds }) => seconds);
  const native = of('native') ?? [];
  const made: Figure[] = [];
  // A ratio is taken within a round, then the middle of the rounds.
  const ratio = (name: string, to: string): number | undefined => {
    const [a, b] = [of(name), of(to)];
    return a && b ? median(a.map((seconds, round) => seconds / b[round])) : undefined;
  };
  const add = (name: string, to: string, limit?: number): void => {
    const value = ratio(name, to);
    if (value === undefined) return;
    const target = limit === undefined ? undefined : ({ value: limit, better: 'lower' } as const);
    made.push({ what: `${workload.name}: ${name} against ${to}`, value, unit: 'x', target });
  };
  made.push({ what: `${workload.name}: native`, value: median(native) * 1e3, unit: 'ms' });
  for (const name of ['qemu-x86_64', 'unicorn']) add(name, 'native');
  for (const name of engines) {
    const own = times.get(name) ?? [];
    const rate = median(own.map(({ seconds, instructions }) => instructions / seconds / 1e6));
    made.push({ what: `${workload.name}: ${name}`, value: rate, unit: 'MIPS' });
    const aimed = name === OURS;
    add(name, 'native', aimed ? workload.native : undefined);
    add(name, 'qemu-x86_64', aimed ? 1.5 : undefined);
    add(name, 'unicorn', aimed ? 1 : undefined);
  }
  return made;
}

function execute(command: readonly string[]): string[] {
  const environment = { ...process.env };
  delete environment.NODE_EXTRA_CA_CERTS;
  const { status, stdout, stderr } = spawnSync(command[0], command.slice(1), {
    env: environment,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}: ${stderr}`);
  return stdout.trim().split(' ');
}

interface Built {
  readonly flat: string;
  readonly native: string;
  readonly input: string;
}

function available(root: string, { flat, native, input }: Built, engines: readonly Engine[]): Runner[] {
  const all: Runner[] = [
    { name: 'native', command: (which, bytes) => [native, `${which}`, `${bytes}`, input] },
    {
      name: 'qemu-x86_64',
      command: (which, bytes) => ['qemu-x86_64', native, `${which}`, `${bytes}`, input],
    },
    {
      name: 'unicorn',
      command: (which, bytes) => [
        '/usr/bin/python3',
        join(root, 'bench', 'engine', 'unicorn_once.py'),
        flat,
        `${CODE}`,
        `${which}`,
        `${bytes}`,
        input,
      ],
    },
    ...engines.map((name) => ({
      name,
      command: (which: number, bytes: number) => [
        process.execPath,
        join(root, 'dist', 'bench', 'engine', 'once.js'),
        name,
        flat,
        `${which}`,
        `${bytes}`,
        input,
      ],
    })),
  ];
  const there: Readonly<Record<string, readonly string[]>> = {
    'qemu-x86_64': ['qemu-x86_64', '--version'],
    unicorn: ['/usr/bin/python3', '-c', 'import unicorn'],
  };
  return all.filter(({ name }) => {
    const probe = there[name];
    return probe === undefined || spawnSync(probe[0], probe.slice(1)).status === 0;
  });
}

/** One piece of code at a fixed address, without a C library, as kernel code is: no vector registers. */
const WORKLOAD = ['-O2', '-mgeneral-regs-only', '-fno-pie', '-fcf-protection=none'];
const FLAT = [
  '-static',
  '-no-pie',
  '-ffreestanding',
  '-fno-toplevel-reorder',
  '-fno-asynchronous-unwind-tables',
  '-nostdlib',
  '-Wl,--build-id=none',
  `-Wl,-Ttext=0x${CODE.toString(16)}`,
  '-Wl,--oformat=binary',
];

/** Undefined where there is no C compiler. What was built stays in the cache, by the hash of the source. */
function compile(folder: string): Built | undefined {
  const sources = SOURCES.map((name) => join(folder, name));
  const sum = createHash('sha256');
  for (const file of [...sources, join(folder, 'host.c')]) sum.update(readFileSync(file));
  const hash = sum
    .update([...WORKLOAD, ...FLAT].join())
    .digest('hex')
    .slice(0, 16);
  const out = join(homedir(), '.cache', 'lkm', 'bench', hash);
  const built = {
    native: join(out, 'workloads'),
    flat: join(out, 'workloads.bin'),
    input: join(out, 'input'),
  };
  if (existsSync(built.input)) return built;
  if (spawnSync('gcc', ['--version']).status !== 0) return undefined;
  mkdirSync(out, { recursive: true });
  const objects = sources.map((source, n) => {
    const object = join(out, `${n}.o`);
    execFileSync('gcc', [...WORKLOAD, '-DNATIVE', '-c', source, '-o', object]);
    return object;
  });
  execFileSync('gcc', ['-O2', '-no-pie', '-static', join(folder, 'host.c'), ...objects, '-o', built.native]);
  execFileSync('gcc', [...WORKLOAD, ...FLAT, ...sources, '-o', built.flat], { stdio: 'ignore' });
  writeFileSync(built.input, input());
  return built;
}

/** Text-like: words of a small vocabulary with some noise, so that a compressor finds about half of it. */
function input(): Uint8Array {
  const bytes = new Uint8Array(INPUT_BYTES);
  let state = 2463534242;
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const words = Array.from({ length: 512 }, () =>
    Uint8Array.from({ length: 3 + (random() % 12) }, () => 97 + (random() % 26)),
  );
  for (let at = 0; at < bytes.length; ) {
    const word = words[Math.min(random() % 512, random() % 512)];
    bytes.set(word.subarray(0, bytes.length - at), at);
    at += word.length;
    if (at < bytes.length) bytes[at++] = random() % 8 === 0 ? random() & 255 : 32;
  }
  return bytes;
}
