/** The thread that takes the census of one module after another; a hang of one is ended by ending the thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { censusOne } from './census.ts';
import { type CensusJob, type CensusSetup, toKernel } from './census-jobs.ts';
import { moduleBytes } from './census-tree.ts';

const setup = workerData as CensusSetup;
const kernel = toKernel(setup);

parentPort?.on('message', ({ plan }: CensusJob) => {
  const modules = plan.map((module) => ({ ...module, bytes: moduleBytes(module) }));
  parentPort?.postMessage(censusOne(kernel, modules, { seed: setup.seed }));
});
