/** The pairs of a matrix, shared out among threads. Each opens the kernels for itself and takes modules in bunches. */
import { readFileSync, statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { CheckKernel, SystemChecker, Verdict } from './check.ts';
import { type Cell, cellOf, type MatrixRow } from './check-matrix.ts';
import { checkerOf, moduleSystem } from './checkers.ts';
import type { ModuleFile } from './system.ts';

/** What every thread is given once. Plain data: it crosses a thread boundary. */
export interface CheckSetup {
  readonly system: string;
  readonly kernels: readonly string[];
  readonly companions: readonly string[];
  readonly settings: readonly (readonly [string, string])[];
  readonly certificates: readonly Uint8Array[];
  readonly packagedRoot: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Judges one module against all kernels. */
export class MatrixJudge {
  readonly #setup: CheckSetup;
  readonly #settings: ReadonlyMap<string, string>;
  readonly #checker: SystemChecker;
  readonly #kernels: readonly CheckKernel[];

  private constructor(setup: CheckSetup, checker: SystemChecker, kernels: readonly CheckKernel[]) {
    this.#setup = setup;
    this.#settings = new Map(setup.settings);
    this.#checker = checker;
    this.#kernels = kernels;
  }

  static async open(setup: CheckSetup): Promise<MatrixJudge> {
    const checker = await checkerOf(setup.system);
    if (checker === undefined) throw new Error(`no checker for ${setup.system}`);
    const around = {
      environment: setup.environment,
      packaged: (path: string) => `${setup.packagedRoot}/${path}`,
    };
    const kernels: CheckKernel[] = [];
    for (const name of setup.kernels) kernels.push(await checker.open(name, around));
    return new MatrixJudge(setup, checker, kernels);
  }

  async row(path: string): Promise<MatrixRow> {
    const module = fileAt(path);
    if (module === undefined)
      return this.#same(path, { answer: 'refused', rule: 'unreadable', why: 'The file cannot be read.' });
    const system = await moduleSystem(module);
    if (system !== this.#setup.system) {
      const why = `It is a module of ${system}, the kernels are of ${this.#setup.system}.`;
      return this.#same(path, { answer: 'refused', rule: 'other-system', why });
    }
    const { companions, certificates } = this.#setup;
    let name = '';
    const cells: Cell[] = [];
    for (const kernel of this.#kernels) {
      const request = { module, kernel, companions, certificates, settings: this.#settings, brief: true };
      const verdict: Verdict = await this.#checker.check(request);
      name = verdict.module.name;
      cells.push(cellOf(verdict));
    }
    return { path, name, cells };
  }

  #same(path: string, cell: Cell): MatrixRow {
    return { path, name: path.slice(path.lastIndexOf('/') + 1), cells: this.#kernels.map(() => cell) };
  }
}

function fileAt(path: string): ModuleFile | undefined {
  try {
    if (statSync(path).isDirectory()) return { path, bytes: undefined };
    // A plain view: Node's Buffer makes subarray and indexOf several times as slow.
    const { buffer, byteOffset, length } = readFileSync(path);
    return { path, bytes: new Uint8Array(buffer, byteOffset, length) };
  } catch {
    return undefined;
  }
}

export interface CheckRun {
  readonly setup: CheckSetup;
  readonly modules: readonly string[];
  /** The thread's program; undefined: everything happens here. */
  readonly program: string | undefined;
  readonly threads: number;
  /** Called with the number of modules that are done. */
  readonly progress: (done: number) => void;
}

/** Modules that a thread takes at once. */
const BUNCH = 8;

/** All rows, in the order of the modules. @throws what a thread threw */
export async function checkAll({
  setup,
  modules,
  program,
  threads,
  progress,
}: CheckRun): Promise<MatrixRow[]> {
  const rows = new Array<MatrixRow>(modules.length);
  let next = 0;
  let done = 0;
  const take = (): number[] => Array.from({ length: Math.min(BUNCH, modules.length - next) }, () => next++);
  const put = (indices: readonly number[], found: readonly MatrixRow[]): void => {
    for (const [i, index] of indices.entries()) rows[index] = found[i];
    done += indices.length;
    progress(done);
  };
  if (program === undefined) {
    const judge = await MatrixJudge.open(setup);
    for (let indices = take(); indices.length > 0; indices = take()) {
      const found: MatrixRow[] = [];
      for (const index of indices) found.push(await judge.row(modules[index]));
      put(indices, found);
    }
    return rows;
  }
  const lanes = Array.from({ length: threads }, () => lane(program, setup, modules, take, put));
  await Promise.all(lanes);
  return rows;
}

async function lane(
  program: string,
  setup: CheckSetup,
  modules: readonly string[],
  take: () => number[],
  put: (indices: readonly number[], rows: readonly MatrixRow[]) => void,
): Promise<void> {
  const worker = new Worker(program, { workerData: setup });
  try {
    for (let indices = take(); indices.length > 0; indices = take()) {
      const paths = indices.map((index) => modules[index]);
      put(indices, await ask(worker, paths));
    }
  } finally {
    await worker.terminate();
  }
}

function ask(worker: Worker, paths: readonly string[]): Promise<MatrixRow[]> {
  return new Promise((resolve, reject) => {
    const end = () => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
    };
    const onMessage = (answer: MatrixRow[] | { readonly failed: string }) => {
      end();
      if ('failed' in answer) reject(new Error(answer.failed));
      else resolve(answer);
    };
    const onError = (error: Error) => {
      end();
      reject(error);
    };
    const onExit = (code: number) => {
      end();
      reject(new Error(`a thread ended with code ${code}`));
    };
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(paths);
  });
}
