/** A census over many modules in worker threads: the jobs, who does them, and what happens to one that hangs. */

import { Worker } from 'node:worker_threads';
import type { Engine } from '../cpu/engines.ts';
import type { KernelFile } from '../systems/linux/kernelfile/kernelfile.ts';
import type { Savable } from '../systems/linux/kernelfile/saved.ts';
import type { CensusResult } from './census.ts';
import type { TreeModule } from './census-tree.ts';
import { type KernelStoreOptions, openKernel } from './kernel-store.ts';

/** What every worker is given once. Plain data: it crosses a thread boundary. */
export interface CensusSetup {
  /** As --kernel names it. */
  readonly kernel: string;
  readonly packagedRoot: string;
  readonly environment: KernelStoreOptions['environment'];
  readonly seed: number | undefined;
  readonly engine: Engine | undefined;
  /** Bytes through each algorithm, as CensusOptions has it. */
  readonly use?: number;
  /** Also give the state that each module leaves. */
  readonly state?: boolean;
  /** The whole tree: what the sampled modules depend on or ask for is found in it. */
  readonly modules: readonly TreeModule[];
}

export interface CensusJob {
  readonly module: TreeModule;
}

/** The kernel file, decoded once for all the modules of a thread. */
export function toKernel({ kernel, packagedRoot, environment }: CensusSetup): KernelFile & Savable {
  return openKernel(kernel, { packaged: (path) => `${packagedRoot}/${path}`, environment });
}

export interface CensusRun {
  readonly modules: readonly TreeModule[];
  readonly setup: CensusSetup;
  /** The worker's program. */
  readonly program: string;
  readonly workers: number;
  /** Real time after which a module counts as hanging (ms). */
  readonly patience: number;
  readonly report: (module: TreeModule, result: CensusResult) => void;
}

/** Runs all jobs; resolves when the last is done. */
export async function runCensus(run: CensusRun): Promise<void> {
  const queue = [...run.modules].reverse();
  const lanes = Array.from({ length: Math.min(run.workers, queue.length) }, () =>
    new Lane(run, queue).finish(),
  );
  await Promise.all(lanes);
}

/** One worker after another, each until it hangs or dies. */
class Lane {
  private readonly run: CensusRun;
  private readonly queue: TreeModule[];
  private worker: Worker | undefined;

  constructor(run: CensusRun, queue: TreeModule[]) {
    this.run = run;
    this.queue = queue;
  }

  async finish(): Promise<void> {
    for (let module = this.queue.pop(); module !== undefined; module = this.queue.pop()) {
      this.run.report(module, await this.one(module));
    }
    await this.worker?.terminate();
  }

  private one(module: TreeModule): Promise<CensusResult> {
    const { setup, program, patience } = this.run;
    this.worker ??= new Worker(program, { workerData: setup });
    const worker = this.worker;
    return new Promise((resolve) => {
      const end = (result: CensusResult) => {
        clearTimeout(timer);
        worker.off('message', end).off('error', onError).off('exit', onExit);
        resolve(result);
      };
      const broken = (why: string) => {
        this.worker = undefined;
        void worker.terminate();
        end(brokenResult(module, why));
      };
      const onError = (error: Error) => broken(error.stack ?? error.message);
      const onExit = (code: number) => broken(`the worker ended with code ${code}`);
      const timer = setTimeout(() => broken(`no end after ${patience} ms`), patience);
      worker.on('message', end).on('error', onError).on('exit', onExit);
      worker.postMessage({ module } satisfies CensusJob);
    });
  }
}

function brokenResult(module: TreeModule, why: string): CensusResult {
  return {
    row: {
      module: module.name,
      outcome: 'fault',
      load: null,
      log: [],
      unload: null,
      taint: 0,
      missing: [],
      registeredOnly: [],
      used: [],
      instructions: 0,
      ms: 0,
    },
    leaks: [],
    lostPages: 0,
    internal: why,
  };
}
