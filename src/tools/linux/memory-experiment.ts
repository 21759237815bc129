/** Loads and unloads modules many times and measures what that does to memory. */
import type { MemoryMeasure, TlbPair } from '../../systems/linux/memory-report.ts';
import {
  entriesNeeded,
  footprints,
  physicalPieces,
  TlbComparison,
} from '../../systems/linux/memory-report.ts';
import type { LinuxSession } from './session.ts';

/** Modules among the fixtures that can be loaded together, used, and unloaded in any order. */
export const EXPERIMENT_MODULES: readonly string[] = [
  'hello params chardev miscdev procfile sysattr tinyfs ramdir exporter importer_plain importer_gpl newcall',
  'timers works threads statickey staticcall percpus memories locking containers formats hashing',
  'patching jumps alternate metadata weakly testing spaced spaced_importer',
].flatMap((line) => line.split(' '));

/** How a module is used once it is loaded: lines for the shell. */
const USES: Readonly<Record<string, readonly string[]>> = {
  hello: ['cat /sys/module/hello/parameters/whom'],
  params: ['cat /sys/module/params/parameters/even', 'cat /sys/module/params/parameters/ints'],
  chardev: ['echo one > /dev/chardev', 'head -c 4 /dev/chardev'],
  procfile: ['cat /proc/procfile/words', 'cat /proc/procfile/count'],
  sysattr: ['cat /sys/kernel/room/degrees', 'cat /sys/kernel/room/details/window'],
  newcall: ['syscall 335 40 2'],
  tinyfs: ['mount -t tinyfs none /mnt', 'cat /mnt/greeting', 'cat /mnt/docs/why', 'umount /mnt'],
  timers: ['sleep 1'],
};

export interface ExperimentOptions {
  /** Modules by name; the session must find NAME.ko. */
  readonly modules: readonly string[];
  readonly cycles: number;
  readonly seed: number;
}

/** Numbers from 0 to 1 that repeat with the seed (a linear congruential generator: it only has to be fair). */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Leaves all modules unloaded, as far as they can be. */
export function measureMemory(session: LinuxSession, options: ExperimentOptions): MemoryMeasure {
  const { k } = session;
  const statistics = () => k.memory.frames.statistics();
  const booted = statistics();
  loadAll(session, options.modules);
  const fresh = { frames: statistics(), pieces: physicalPieces(k), ...useUnderTlb(session) };
  const mean = churn(session, options);
  loadAll(session, options.modules);
  const loaded = footprints(k);
  const sum = (pick: (one: (typeof loaded)[number]) => number) =>
    loaded.reduce((total, one) => total + pick(one), 0);
  const cycled = { frames: statistics(), pieces: physicalPieces(k), ...useUnderTlb(session) };
  const entries = entriesNeeded(k);
  unloadAll(session);
  return {
    cycles: options.cycles,
    modules: loaded.length,
    pages: sum(({ pages }) => pages),
    bytes: sum(({ bytes }) => bytes),
    waste: sum(({ waste }) => waste),
    ...mean,
    entries,
    pieces: { fresh: fresh.pieces, cycled: cycled.pieces },
    frames: { booted, fresh: fresh.frames, cycled: cycled.frames, emptied: statistics() },
    perRound: { fresh: fresh.perRound, cycled: cycled.perRound },
    perUse: { fresh: fresh.perUse, cycled: cycled.perUse },
  };
}

/** Loads what is not there, with what it depends on; what the kernel refuses stays out. */
export function loadAll(session: LinuxSession, modules: readonly string[]): void {
  for (const name of modules) session.line(`modprobe ${name}`);
}

function unloadAll(session: LinuxSession): void {
  for (let before = -1; before !== session.k.modules.size; ) {
    before = session.k.modules.size;
    for (const { name } of [...session.k.modules].reverse()) session.line(`rmmod ${name}`);
  }
}

/** One module at a time comes or goes, by chance. */
function churn(session: LinuxSession, { modules, cycles, seed }: ExperimentOptions) {
  const { k } = session;
  const next = chance(seed);
  let loadedSum = 0;
  let pagesSum = 0;
  for (let cycle = 0; cycle < cycles; cycle++) {
    const name = modules[Math.floor(next() * modules.length)];
    session.line(k.modules.find(name) === undefined ? `modprobe ${name}` : `rmmod ${name}`);
    loadedSum += k.modules.size;
    pagesSum += k.moduleArea.usedPages;
  }
  return {
    meanModules: cycles === 0 ? k.modules.size : loadedSum / cycles,
    meanPages: cycles === 0 ? k.moduleArea.usedPages : pagesSum / cycles,
  };
}

/** Uses every module in rounds, with TLBs emptied before each round, and with TLBs emptied before each use. */
function useUnderTlb(session: LinuxSession): { perRound: TlbPair; perUse: TlbPair } {
  // What the first use alone does (caches, lazily filled pages) is not counted.
  useAll(session, () => undefined);
  return { perRound: observe(session, false), perUse: observe(session, true) };
}

const ROUNDS = 2;

function observe(session: LinuxSession, everyUse: boolean): TlbPair {
  const { cpu, memory } = session.k;
  const tlb = new TlbComparison(session.k);
  memory.observe(tlb);
  cpu.trace = () => tlb.fetch(cpu.rip);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      tlb.flush();
      useAll(session, () => everyUse && tlb.flush());
    }
  } finally {
    memory.observe(undefined);
    cpu.trace = undefined;
  }
  return tlb.pair();
}

function useAll(session: LinuxSession, before: () => void): void {
  for (const [name, lines] of Object.entries(USES)) {
    if (session.k.modules.find(name) === undefined) continue;
    for (const line of lines) {
      before();
      session.line(line);
    }
  }
}
