/** Compiled C functions at every optimisation level: the interpreter against the host processor. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { describeWith } from '../../real/require.ts';
import { windowOf } from './cases.ts';
import { buildNative, nativeCompiler } from './native.ts';
import { Program } from './program.ts';
import { seedOfRun } from './random.ts';

const BUFFER = 0x40002000;
const LENGTH = 1024;
const COMMON = ['-w', '-fno-strict-aliasing', '-fwrapv', '-fno-builtin-memcmp'];
const FLAT = [
  '-ffreestanding',
  '-fno-pic',
  '-fno-pie',
  '-no-pie',
  '-fno-stack-protector',
  '-nostdlib',
  '-static',
  '-Wl,-Ttext=0x20000000',
  '-Wl,-e,test_fnv',
  '-Wl,--build-id=none',
];
const BMI = ['-mbmi', '-mbmi2', '-mlzcnt', '-mmovbe', '-madx'];

interface Kind {
  readonly name: string;
  /** Of the code that the interpreter runs. */
  readonly options: readonly string[];
  /** Of both programs. */
  readonly common: readonly string[];
  /** Results to compare at least. */
  readonly results: number;
}

const LONG = ['-mpopcnt'];
const SHORT = ['-m32', '-mpopcnt'];
const KINDS: readonly Kind[] = [
  { name: 'general registers', options: ['-mgeneral-regs-only'], common: LONG, results: 38 },
  { name: 'BMI', options: ['-mgeneral-regs-only', ...BMI], common: LONG, results: 38 },
  { name: 'SSE2', options: [], common: LONG, results: 42 },
  { name: '32-bit, SSE2', options: [], common: [...SHORT, '-msse2', '-mfpmath=sse'], results: 40 },
  { name: '32-bit, x87', options: [], common: [...SHORT, '-msse2', '-mfpmath=387'], results: 40 },
  { name: '64-bit, x87', options: [], common: [...LONG, '-mfpmath=387'], results: 42 },
  { name: '32-bit, general registers', options: ['-mgeneral-regs-only'], common: SHORT, results: 34 },
  { name: '32-bit, BMI', options: ['-mgeneral-regs-only', ...BMI], common: SHORT, results: 34 },
];
const LEVELS = ['-O0', '-O1', '-O2', '-O3', '-Os'];

const MASK = (1n << 64n) - 1n;

function fnv(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & MASK;
  return hash;
}

/** One line of the native program's output, made by the interpreter. */
function runGuest(program: Program, name: string, round: number, first: bigint): string {
  const seed = (first + BigInt(round) * 0x9e3779b97f4a7c15n) & MASK;
  program.memory.write(BUFFER, windowOf(Number(seed & 0xffffffffn)).subarray(0, LENGTH));
  const value = program.call(`test_${name}`, [BUFFER, BigInt(LENGTH), seed]);
  const hash = fnv(program.memory.bytes(BUFFER, LENGTH));
  const hex = (v: bigint) => v.toString(16).padStart(16, '0');
  return `${name} ${round} ${hex(value)} ${hex(hash)}`;
}

describeWith(nativeCompiler(), 'compiled C functions', () => {
  for (const { name: kind, options, common, results } of KINDS) {
    const model = common.includes('-m32') ? [] : ['-mcmodel=large'];
    for (const level of LEVELS) {
      it(`${kind} ${level}`, () => {
        const seed = BigInt(seedOfRun());
        // The native program needs SSE for its own main, so only the flat file is limited to general registers.
        const native = buildNative('functions.c', [level, ...COMMON, '-DNATIVE_MAIN', ...common]);
        const flat = buildNative(
          'functions.c',
          [level, ...COMMON, ...FLAT, ...model, ...common, ...options],
          ['-lgcc'],
        );
        const lines = spawnSync(native, [String(seed), '2'], { encoding: 'utf8' })
          .stdout.trim()
          .split('\n');
        const program = new Program(flat);
        let compared = 0;
        for (const line of lines) {
          const [name, round] = line.split(' ');
          if (!program.symbols.has(`test_${name}`)) continue;
          expect(runGuest(program, name, Number(round), seed), `seed ${seed}`).toBe(line);
          compared++;
        }
        expect(compared).toBeGreaterThanOrEqual(results);
      });
    }
  }
});
