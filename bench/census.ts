/** Whole modules in fresh kernels on two engines: the same outcome, and what of the time is machine code. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Cpu } from '../src/cpu/cpu.ts';
import { type CensusRow, censusOne } from '../src/targets/census.ts';
import { modulesBelow, Tree, type TreeModule } from '../src/targets/census-tree.ts';
import { BUILT_IN, openKernel } from '../src/targets/kernel-store.ts';
import { type Bench, type BenchContext, type Figure, median } from './bench.ts';
import { debianImage } from './modules.ts';

/** The first is the measure of the second. */
const ENGINES = ['interpreter', 'auto'] as const;
/** Every so many modules of the tree; initial code of most is some hundred instructions. */
const EVERY = 120;
/** These measure themselves when they are loaded: millions of instructions. */
const COMPUTING = ['raid6_pq', 'xor'];
const ROUNDS = 7;

interface Spent {
  /** Milliseconds of processors for all of it, and while machine code ran. */
  readonly whole: number;
  readonly running: number;
}

export const census: Bench = {
  name: 'census',
  summary:
    "a sample of Debian's modules loaded, used and unloaded by the interpreter and by the engine that translates",
  async run({ quick, root }: BenchContext): Promise<readonly Figure[]> {
    const { image, release } = debianImage(root);
    const folder = join(image, 'lib', 'modules', release);
    if (!existsSync(folder)) {
      console.log(`  (needs the Debian package linux-image-${release})`);
      return [];
    }
    const tree = new Tree(modulesBelow(folder));
    const kernel = openKernel(BUILT_IN, {
      packaged: (path) => join(root, path),
      environment: process.env,
    });
    const read = (module: TreeModule) => ({ ...module, bytes: tree.bytesOf(module) });
    const requested = (name: string) => {
      const module = tree.find(name);
      return module === undefined ? [] : tree.plan(module).map(read);
    };
    const life = (module: TreeModule, engine: (typeof ENGINES)[number]): { spent: Spent; row: CensusRow } => {
      const plan = tree.plan(module).map(read);
      const started = processor();
      const { running, result } = whileRunning(() => censusOne(kernel, plan, { engine, requested }));
      return { spent: { whole: processor() - started, running }, row: result.row };
    };
    const sample = tree.modules.filter((_, n) => n % EVERY === 0);
    const computing = tree.modules.filter(({ name }) => COMPUTING.includes(name));
    const rounds = quick ? 1 : ROUNDS;
    // Once before anything is measured: our own code is compiled as it is used.
    for (const module of [...sample.slice(0, 3), ...computing])
      for (const engine of ENGINES) life(module, engine);
    return [
      ...compared(`${sample.length} modules`, quick ? sample.slice(0, 3) : sample, rounds, life),
      ...compared(COMPUTING.join(' and '), computing, rounds, life),
    ];
  },
};

/** Every round runs every module on both engines. */
function compared(
  what: string,
  modules: readonly TreeModule[],
  rounds: number,
  life: (module: TreeModule, engine: (typeof ENGINES)[number]) => { spent: Spent; row: CensusRow },
): Figure[] {
  const ratios: Spent[] = [];
  const shares: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const sums = ENGINES.map(() => ({ whole: 0, running: 0 }));
    for (const module of modules) {
      const rows = ENGINES.map((engine, n) => {
        const { spent, row } = life(module, engine);
        sums[n].whole += spent.whole;
        sums[n].running += spent.running;
        return JSON.stringify({ ...row, ms: 0 });
      });
      if (rows[0] !== rows[1]) throw new Error(`${module.name}: the engines differ`);
    }
    const [measure, ours] = sums;
    ratios.push({ whole: ours.whole / measure.whole, running: ours.running / measure.running });
    shares.push(measure.running / measure.whole);
  }
  return [
    {
      what: `${what}: auto against interpreter`,
      value: median(ratios.map(({ whole }) => whole)),
      unit: 'x',
      target: { value: 0.5, better: 'lower' },
    },
    {
      what: `${what}: machine code alone`,
      value: median(ratios.map(({ running }) => running)),
      unit: 'x',
    },
    { what: `${what}: machine code's share with the interpreter`, value: median(shares) * 100, unit: '%' },
  ];
}

/** Milliseconds of all threads: the host engine's compilers belong to what translated code costs. */
function processor(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
}

/** Does the work; milliseconds that guest code ran in it, without what it called. */
function whileRunning<T>(work: () => T): { readonly running: number; readonly result: T } {
  const { run } = Cpu.prototype;
  let running = 0;
  Cpu.prototype.run = function (this: Cpu, budget: number) {
    const started = processor();
    try {
      return run.call(this, budget);
    } finally {
      running += processor() - started;
    }
  };
  try {
    return { result: work(), running };
  } finally {
    Cpu.prototype.run = run;
  }
}
