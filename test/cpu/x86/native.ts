/** The host processor as the other side of a differential test: builds fixtures/native/harness.c and feeds it cases. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { arch, homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { needsTool } from '../../real/require.ts';
import type { Case } from './cases.ts';

/** How a run ended: 0 at the end of the code, else the x86 exception. */
export const Ending = {
  End: 0,
  DivideError: 1,
  Undefined: 2,
  PageFault: 3,
  Protection: 4,
  Trap: 5,
  Other: 6,
} as const;

export interface Outcome {
  readonly ending: number;
  readonly rip: number;
  /** For page faults: the address that could not be accessed. */
  readonly faultAddress: bigint;
  readonly gpr: BigUint64Array;
  readonly flags: number;
  readonly xmm: Uint8Array;
  /** Changed bytes of the window: offset to new value, in ascending order. */
  /** Instructions retired, iterations of a repeated one included; natively counted only when stepped. */
  readonly retired: number;
  readonly changes: readonly (readonly [offset: number, value: number])[];
}

const FIXTURES = fileURLToPath(new URL('../../../fixtures/native/', import.meta.url));
const CACHE = join(homedir(), '.cache/lkm/native');

/** The compiler, when this machine can run what it makes. */
export function nativeCompiler(): string | undefined {
  return arch() === 'x64' && process.platform === 'linux' ? needsTool('gcc') : undefined;
}

/** Compiles a C file of fixtures/native into the cache, once for each content and set of options. */
export function buildNative(
  file: string,
  options: readonly string[],
  libraries: readonly string[] = [],
): string {
  const source = readFileSync(join(FIXTURES, file));
  const key = createHash('sha256')
    .update(source)
    .update([...options, ...libraries].join(' '))
    .digest('hex')
    .slice(0, 16);
  const output = join(CACHE, `${file.replace('.c', '')}-${key}`);
  if (existsSync(output)) return output;
  mkdirSync(CACHE, { recursive: true });
  const partial = `${output}.${process.pid}`;
  const built = spawnSync('gcc', [...options, '-o', partial, join(FIXTURES, file), ...libraries], {
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`gcc ${file}: ${built.stderr}`);
  renameSync(partial, output);
  return output;
}

const INPUT_SIZE = 16 + 17 * 8 + 256;
const OUTPUT_SIZE = 20 * 8 + 256 + 8;

function packCases(cases: readonly Case[], stepped: boolean): Uint8Array {
  const total = cases.reduce((sum, item) => sum + INPUT_SIZE + item.code.length, 0);
  const out = new Uint8Array(total);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const item of cases) {
    view.setUint32(at, item.code.length, true);
    view.setUint32(at + 4, item.seed, true);
    view.setUint32(at + 8, stepped ? 1 : 0, true);
    for (let n = 0; n < 16; n++) view.setBigUint64(at + 16 + 8 * n, item.gpr[n], true);
    view.setBigUint64(at + 144, BigInt(item.flags), true);
    out.set(item.xmm, at + 152);
    out.set(item.code, at + INPUT_SIZE);
    at += INPUT_SIZE + item.code.length;
  }
  return out;
}

/** Exception vectors (plus one; 0 is none) to endings. #SS is what a non-canonical stack address raises. */
function endingOf(trap: number): number {
  switch (trap - 1) {
    case -1:
      return Ending.End;
    case 0:
      return Ending.DivideError;
    case 1:
    case 3:
      return Ending.Trap;
    case 6:
      return Ending.Undefined;
    case 12:
    case 13:
      return Ending.Protection;
    case 14:
      return Ending.PageFault;
    default:
      return Ending.Other;
  }
}

function unpack(view: DataView, start: number): { outcome: Outcome; next: number } {
  const gpr = new BigUint64Array(16);
  for (let n = 0; n < 16; n++) gpr[n] = view.getBigUint64(start + 8 * n, true);
  const trap = view.getUint32(start + 416, true);
  const count = view.getUint32(start + 420, true);
  const changes: [number, number][] = [];
  let at = start + OUTPUT_SIZE;
  for (let n = 0; n < count; n++, at += 4) changes.push([view.getUint16(at, true), view.getUint8(at + 2)]);
  const outcome = {
    ending: endingOf(trap),
    rip: Number(view.getBigInt64(start + 136, true)),
    faultAddress: view.getBigUint64(start + 144, true),
    gpr,
    flags: Number(view.getBigUint64(start + 128, true)),
    retired: Number(view.getBigUint64(start + 152, true)),
    xmm: new Uint8Array(view.buffer.slice(view.byteOffset + start + 160, view.byteOffset + start + 416)),
    changes,
  };
  return { outcome, next: at };
}

/**
 * Runs the cases, all of one mode, on the host processor, in order; `stepped` with the trap flag set, to count instructions; `under` an
 * emulator of the host's own programs.
 */
export function runNative(cases: readonly Case[], stepped = false, under: readonly string[] = []): Outcome[] {
  const mode = cases[0]?.bits === 32 ? ['-m32', '-no-pie'] : ['-fPIE', '-pie'];
  const command = [...under, buildNative('harness.c', ['-O1', ...mode])];
  const input = packCases(cases, stepped);
  const run = spawnSync(command[0], command.slice(1), { input, maxBuffer: 1 << 30 });
  if (run.status !== 0)
    throw new Error(`native harness ended with ${run.status ?? run.signal}: ${run.stderr}`);
  const view = new DataView(run.stdout.buffer, run.stdout.byteOffset, run.stdout.byteLength);
  const outcomes: Outcome[] = [];
  for (let at = 0; at < view.byteLength; ) {
    const { outcome, next } = unpack(view, at);
    outcomes.push(outcome);
    at = next;
  }
  return outcomes;
}
