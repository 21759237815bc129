/** `lkm check --matrix` and what is made of it: files, the smallest set of builds, changes since another time. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type CheckSetup, checkAll } from '../../tools/check-jobs.ts';
import {
  type Cell,
  type Change,
  changesSince,
  type Matrix,
  type MatrixRow,
  minimalSets,
  readMatrix,
} from '../../tools/check-matrix.ts';
import type { CommandContext } from '../command.ts';
import { usageError } from '../failure.ts';
import { matrixHtml, matrixJunit } from './matrix-html.ts';
import { changesText, matrixText, minimalText } from './matrix-text.ts';
import { progressBar } from './progress.ts';
import type { OpenKernel, Unreadable } from './subjects.ts';

/** Does the command line ask for a matrix? */
export const wantsMatrix = ({ options }: CommandContext): boolean =>
  ['matrix', 'min-set', 'html', 'junit', 'baseline'].some((name) => options.flag(name));

export interface MatrixRequest {
  readonly modules: readonly string[];
  readonly kernels: readonly (OpenKernel | Unreadable)[];
  readonly companions: readonly string[];
  readonly settings: ReadonlyMap<string, string>;
  readonly certificates: readonly Uint8Array[];
}

/** Fewer pairs are done before a thread has started. */
const WORTH_THREADS = 200;

export async function runMatrix(context: CommandContext, request: MatrixRequest): Promise<number> {
  const { options } = context;
  const baseline = readBaseline(context);
  const matrix = await makeMatrix(context, request);
  const html = options.text('html');
  if (html !== undefined) context.writeFile(html, matrixHtml(matrix));
  const junit = options.text('junit');
  if (junit !== undefined) context.writeFile(junit, matrixJunit(matrix));
  const changes = baseline && changesSince(baseline, matrix);
  const sets = options.flag('min-set') ? minimalSets(matrix) : undefined;
  if (options.flag('json'))
    context.json('lkm.check.matrix/1', { ...matrix, ...(changes && { changes }), ...(sets && { sets }) });
  else if (changes !== undefined) context.out(changesText(changes));
  else if (sets !== undefined) context.out(minimalText(sets, matrix));
  else if (options.flag('matrix') || (html === undefined && junit === undefined))
    context.out(matrixText(matrix, context.style));
  if (changes !== undefined) return exitOfChanges(changes);
  if (sets !== undefined) return sets.some(({ uncovered }) => uncovered.length > 0) ? 1 : 0;
  return exitOf(matrix);
}

async function makeMatrix(context: CommandContext, request: MatrixRequest): Promise<Matrix> {
  const { kernels, modules } = request;
  const readable = kernels.flatMap((one) => ('why' in one ? [] : [one]));
  const systems = [...new Set(readable.map(({ checker }) => checker.system))];
  const bar = progressBar(
    context,
    modules.length * systems.length,
    `modules against ${kernels.length} kernels`,
  );
  const bySystem = new Map<string, MatrixRow[]>();
  for (const [i, system] of systems.entries()) {
    const own = readable.filter(({ checker }) => checker.system === system);
    const step = (done: number) => bar.step(i * modules.length + done);
    bySystem.set(system, await rowsOf(context, request, system, own, step));
  }
  bar.end();
  const columns = columnsOf(kernels);
  const rows = modules.map((path, row): MatrixRow => {
    const names = systems.map((system) => bySystem.get(system)?.[row]);
    const known = names.find((one) => one?.cells.some(({ rule }) => rule !== 'other-system')) ?? names[0];
    const cells = columns.map(({ system, index, why }): Cell => {
      if (why !== undefined) return { answer: 'cannot-tell', rule: 'unreadable', why };
      return bySystem.get(system)?.[row].cells[index] ?? { answer: 'cannot-tell' };
    });
    return { path, name: known?.name ?? path, cells };
  });
  const named = kernels.map((one) =>
    'why' in one ? { name: one.name, release: `unreadable: ${one.name}` } : nameOf(one),
  );
  return { kernels: named, rows };
}

const nameOf = ({ kernel: { name, release } }: OpenKernel) => ({ name, release });

interface Column {
  readonly system: string;
  /** Among the kernels of its system. */
  readonly index: number;
  /** Why it cannot be read. */
  readonly why: string | undefined;
}

function columnsOf(kernels: MatrixRequest['kernels']): Column[] {
  const counts = new Map<string, number>();
  return kernels.map((one) => {
    if ('why' in one) return { system: '', index: 0, why: one.why };
    const { system } = one.checker;
    const index = counts.get(system) ?? 0;
    counts.set(system, index + 1);
    return { system, index, why: undefined };
  });
}

function rowsOf(
  context: CommandContext,
  { modules, companions, settings, certificates }: MatrixRequest,
  system: string,
  kernels: readonly OpenKernel[],
  progress: (done: number) => void,
): Promise<MatrixRow[]> {
  const setup: CheckSetup = {
    system,
    kernels: kernels.map(({ kernel }) => kernel.name),
    companions,
    settings: [...settings],
    certificates,
    packagedRoot: context.packaged('').replace(/\/$/, ''),
    environment: { ...context.environment },
  };
  const pairs = modules.length * kernels.length;
  const worker = context.packaged('dist/check-worker.js');
  const threaded = pairs >= WORTH_THREADS && existsSync(worker);
  const threads = Math.min(availableParallelism(), modules.length);
  return checkAll({ setup, modules, program: threaded ? worker : undefined, threads, progress });
}

function readBaseline({ options, readFile }: CommandContext): Matrix | undefined {
  const path = options.text('baseline');
  if (path === undefined) return undefined;
  const matrix = readMatrix(new TextDecoder().decode(readFile(path)));
  if (matrix === undefined) {
    throw usageError(`${path} is no matrix`, 'Make one with `lkm check --matrix --json ... > FILE`.');
  }
  return matrix;
}

function exitOf({ rows }: Matrix): number {
  const answers = new Set(rows.flatMap(({ cells }) => cells.map(({ answer }) => answer)));
  return answers.has('refused') ? 1 : answers.has('cannot-tell') ? 3 : 0;
}

/** What became worse counts: a module that is refused now and was not. */
function exitOfChanges(changes: readonly Change[]): number {
  const now = changes.map(({ after }) => after?.answer);
  return now.includes('refused') ? 1 : now.includes('cannot-tell') ? 3 : 0;
}
