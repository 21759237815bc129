/** The thread that takes the census of one module after another; a hang of one is ended by ending the thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { type CensusModule, censusOne } from './census.ts';
import { type CensusJob, type CensusSetup, toKernel } from './census-jobs.ts';
import { Tree, type TreeModule } from './census-tree.ts';

const setup = workerData as CensusSetup;
const kernel = toKernel(setup);
const tree = new Tree(setup.modules);

const read = (module: TreeModule): CensusModule => ({ ...module, bytes: tree.bytesOf(module) });

function requested(name: string): readonly CensusModule[] {
  const module = tree.find(name);
  return module === undefined ? [] : tree.plan(module).map(read);
}

parentPort?.on('message', ({ module }: CensusJob) => {
  const plan = tree.plan(module).map(read);
  const { seed, engine, state, use } = setup;
  parentPort?.postMessage(censusOne(kernel, plan, { seed, engine, state, use, requested }));
});
