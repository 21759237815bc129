/** What becomes of one module in a fresh kernel: loaded with its dependencies, left alone for a moment, unloaded. */

import type { Engine } from '../cpu/engines.ts';
import { fingerprint } from '../kernel/fingerprint.ts';
import { MissingFunctionReached } from '../kernel/missing.ts';
import { Deadlock } from '../kernel/scheduler.ts';
import type { Steps } from '../kernel/steps.ts';
import { ThreadKilled } from '../kernel/thread.ts';
import { Transaction } from '../kernel/transaction.ts';
import { bootLinux } from '../systems/linux/bootkernel.ts';
import { moduleRequest } from '../systems/linux/functions/request-module.ts';
import type { KernelFile } from '../systems/linux/kernelfile/kernelfile.ts';
import type { Linux } from '../systems/linux/linux.ts';
import { loadModule } from '../systems/linux/load.ts';
import { insmod, type LoadResult, rmmod, type UnloadResult } from '../systems/linux/loader.ts';
import type { LinuxModule } from '../systems/linux/module.ts';
import { registrations } from '../systems/linux/registered.ts';
import { Refusal } from '../systems/linux/verdict.ts';
import { putToUse, type Use } from './census-use.ts';

export type Outcome = 'loaded' | 'kernel-refused' | 'sandbox-lacks' | 'fault';

/** One line of the census. */
export interface CensusRow {
  readonly module: string;
  readonly outcome: Outcome;
  /** errno; null where the base kernel lacks something or the load was stopped. */
  readonly load: number | null;
  readonly log: readonly { readonly level: number; readonly text: string }[];
  /** errno; null when it was not unloaded for the same reasons, or never loaded. */
  readonly unload: number | null;
  readonly taint: number;
  /** Kernel functions that the run reached and that nobody wrote. */
  readonly missing: readonly string[];
  /** What the module itself registered that nothing can put to use. */
  readonly registeredOnly: readonly string[];
  /** What the module itself registered and what was put to use. */
  readonly used: readonly Use[];
  readonly instructions: number;
  readonly ms: number;
}

/** A row and what has no place in it. */
export interface CensusResult {
  readonly row: CensusRow;
  /** What the module allocated and did not free, in words. */
  readonly leaks: readonly string[];
  /** Frames that a second load and unload took and did not give back. */
  readonly lostPages: number;
  /** A defect of the base kernel: the error it ended in. */
  readonly internal: string | undefined;
  /** What the machine came to, when it was asked for: every byte of memory, the registers, the log with its times. */
  readonly state?: string;
}

export interface CensusModule {
  readonly name: string;
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** What modprobe would load for a name that the kernel asks for, dependencies first; empty when there is nothing. */
export type Requested = (name: string) => readonly CensusModule[];

export interface CensusOptions {
  readonly seed?: number;
  readonly engine?: Engine;
  /** Instructions that one stretch without blocking, and the whole run, may take. */
  readonly stretch?: number;
  readonly total?: number;
  /** Bytes that go through each algorithm that the module adds; 0 uses none. */
  readonly use?: number;
  /** Give the state at the end as well. */
  readonly state?: boolean;
  /** Serves request_module; without it the kernel is told that there is no modprobe. */
  readonly requested?: Requested;
}

/**
 * What a kernel gives a thread anyway: raid6_pq, which measures itself, takes 270 million. Every module is loaded some times.
 */
const STRETCH = 400_000_000;
const TOTAL = 4_000_000_000;
/** As much as the benchmarks put through an algorithm: the translated code is at work for most of it. */
const USE_BYTES = 16 << 20;
/** Virtual time after which a run is over whatever it waits for (ns): ten minutes. */
const PATIENCE = 600e9;
/** Time that timers, work and threads are given between load and unload, and after it (ns). */
const MOMENT = 100e6;
/** A leak shows at each of so many further loads; caches and tables that grow stop growing before. */
const CYCLES = 6;

/** Runs one module through its life; `plan` is its dependencies in order, then itself. */
export function censusOne(
  kernel: KernelFile,
  plan: readonly CensusModule[],
  options: CensusOptions = {},
): CensusResult {
  const started = performance.now();
  const k = bootLinux(kernel, { seed: options.seed, engine: options.engine });
  const limits = limit(k, options);
  if (options.requested !== undefined) serveRequests(k, options.requested);
  const life = new Life(k, plan, limits);
  let internal: string | undefined;
  try {
    life.run();
  } catch (error) {
    if (!life.stopped(error))
      internal = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const result = { ...life.result(performance.now() - started), internal: internal ?? life.internal() };
  const state = options.state === true ? { state: fingerprint(k) } : {};
  // The next kernel takes over its memory: 57 MB of garbage a module cost as much as all the rest.
  k.close();
  return { ...result, ...state };
}

interface Limits {
  /** Count of retired instructions at which the run is over. */
  end: number;
  readonly use: number;
}

/** Nothing runs for ever: not a loop, not a loop that sleeps. */
function limit(k: Linux, { stretch = STRETCH, total = TOTAL, use = USE_BYTES }: CensusOptions): Limits {
  const limits = { end: total, use };
  k.scheduler.instructionBudget = stretch;
  k.clocks.push(() => {
    if (k.cpu.retired > limits.end)
      throw new ThreadKilled('census', 9, `stopped after ${total} instructions`);
  });
  k.time.at(PATIENCE, () => {
    throw new ThreadKilled('census', 9, 'stopped after ten minutes of virtual time');
  });
  return limits;
}

/** request_module: modules are loaded in the asking thread, as modprobe would while that one waits. */
export function serveRequests(k: Linux, requested: Requested): void {
  const asking = new Set<string>();
  k.state(moduleRequest).load = function* (_k, name) {
    // A module that asks for itself while it loads would ask for ever.
    if (asking.has(name)) return MODPROBE_FAILED;
    asking.add(name);
    const modules = requested(name);
    for (const module of modules) {
      if (k.modules.find(module.name.replaceAll('-', '_')) !== undefined) continue;
      if (!(yield* loadRequested(k, module))) {
        asking.delete(name);
        return MODPROBE_FAILED;
      }
    }
    asking.delete(name);
    return modules.length === 0 ? MODPROBE_FAILED : 0;
  };
}

/** Exit status 1, as wait4 has it. */
const MODPROBE_FAILED = 256;

function* loadRequested(k: Linux, { path, bytes }: CensusModule): Steps<boolean> {
  const t = new Transaction();
  try {
    yield* loadModule(k, t, { bytes, path, args: '', flags: {} });
    return true;
  } catch (error) {
    yield* t.unwind();
    if (error instanceof Refusal) return false;
    throw error;
  }
}

/** What modules, and the kernel for them, hold of its memory: what the kernel makes once and keeps is not counted. */
function held(k: Linux): { readonly objects: number; readonly pages: number } {
  const others = k.memory.frames.owners().filter(({ label }) => !OWN_MEMORY.test(label));
  return { objects: k.heap.passingObjects, pages: others.reduce((sum, { pages }) => sum + pages, 0) };
}

/** Labels of frames: the image and the array of struct page get theirs when they are first touched; objects are counted, threads by their task. */
const OWN_MEMORY = /^(kernel |struct page array$|slab |thread stacks$)/;

class Life {
  private readonly k: Linux;
  private readonly plan: readonly CensusModule[];
  private readonly limits: Limits;
  private outcome: Outcome = 'loaded';
  private load: number | null = null;
  private unload: number | null = null;
  private why: string | undefined;
  private readonly own: string[] = [];
  private used: readonly Use[] = [];
  private leaks: string[] = [];
  private lostPages = 0;
  private instructions = 0;
  private lines = 0;

  constructor(k: Linux, plan: readonly CensusModule[], limits: Limits) {
    this.k = k;
    this.plan = plan;
    this.limits = limits;
  }

  run(): void {
    const { k } = this;
    const before = held(k);
    if (!this.cycle(true)) return;
    this.instructions = k.cpu.retired;
    this.lines = k.log.records.length;
    // Nearly all: what came back whole the first time has nothing more to show.
    const after = held(k);
    if (after.objects > before.objects || after.pages > before.pages)
      this.lostPages = this.lossOfMoreCycles();
  }

  /** Pages lost at every further load and unload. What the kernel takes once and keeps is none of them. */
  private lossOfMoreCycles(): number {
    const { frames } = this.k.memory;
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const free = frames.freePages;
      if (!new Life(this.k, this.plan, this.limits).cycle(false)) return 0;
      if (frames.freePages >= free) return 0;
      if (cycle === CYCLES - 1) return free - frames.freePages;
    }
    return 0;
  }

  /** Loads all, uses what the last one added, waits, unloads all; false when it did not come to its end. */
  private cycle(using: boolean): boolean {
    const { k } = this;
    const loaded: LinuxModule[] = [];
    for (const module of this.plan) {
      const before = registrations(k).length;
      const result = insmod(k, module.bytes, '', { path: module.path });
      if (result.outcome !== 'loaded') return this.notLoaded(result);
      loaded.push(result.module);
      if (module !== this.plan.at(-1)) continue;
      this.own.push(
        ...registrations(k)
          .slice(before)
          .map(({ what, name }) => `${what} ${name}`),
      );
    }
    this.load = 0;
    if (using) this.use(loaded[loaded.length - 1]);
    k.scheduler.runFor(k.time.now() + MOMENT);
    if (!this.unloadAll(loaded)) return false;
    k.scheduler.runFor(k.time.now() + MOMENT);
    return !this.threadsFailed();
  }

  /** What the use takes is bounded by the data, piece by piece: it counts for no limit of the module's own. */
  private use(module: LinuxModule): void {
    const { k, limits } = this;
    const [end, before] = [limits.end, k.cpu.retired];
    limits.end = Number.POSITIVE_INFINITY;
    this.used = putToUse(k, module, limits.use);
    limits.end = end + k.cpu.retired - before;
  }

  private unloadAll(loaded: readonly LinuxModule[]): boolean {
    const { k } = this;
    const onRequest = [...k.modules].filter((module) => !loaded.includes(module)).reverse();
    const dependencies = loaded.slice(0, -1).reverse();
    // What came on request may still be used by what the module depends on: it is tried again when that is gone.
    const held: LinuxModule[] = [];
    for (const [i, module] of [...loaded.slice(-1), ...onRequest, ...dependencies].entries()) {
      const result = rmmod(k, module.name);
      if (i === 0) this.unload = unloadErrno(result);
      if (result.outcome === 'missing') this.outcome = 'sandbox-lacks';
      if (result.outcome === 'killed') this.fault(result.killed.message);
      if (result.outcome === 'refused' && onRequest.includes(module)) {
        held.push(module);
        continue;
      }
      if (result.outcome !== 'unloaded') return false;
      if (i > 0) continue;
      this.leaks = k.heap
        .allocationsOf(module)
        .map(({ bytes, kind, caller }) => `${bytes} bytes (${kind}) taken in ${k.describe(caller)}`);
    }
    for (const module of held) rmmod(k, module.name);
    return true;
  }

  private notLoaded(result: Exclude<LoadResult, { outcome: 'loaded' }>): boolean {
    if (result.outcome === 'refused') {
      this.outcome = 'kernel-refused';
      this.load = result.refusal.errno;
    } else if (result.outcome === 'killed') this.fault(result.killed.message);
    else this.outcome = 'sandbox-lacks';
    return false;
  }

  /** A thread of the module's own reached something missing. */
  private threadsFailed(): boolean {
    const lacks = [...this.k.scheduler.failures.values()].some(
      (error) => error instanceof MissingFunctionReached,
    );
    if (lacks) this.outcome = 'sandbox-lacks';
    return lacks;
  }

  /** Was the run ended for a reason that lies with the module? */
  stopped(error: unknown): boolean {
    if (error instanceof MissingFunctionReached) this.outcome = 'sandbox-lacks';
    else if (error instanceof ThreadKilled || error instanceof Deadlock) {
      this.fault(error.message);
    } else return false;
    return true;
  }

  /** A thread that stopped at a missing function leaves others waiting for it, and locks held. */
  private fault(why: string): void {
    this.outcome = this.k.missing.size > 0 ? 'sandbox-lacks' : 'fault';
    this.why = why;
  }

  /** An error of ours that ended a thread nobody waited for. */
  internal(): string | undefined {
    for (const [thread, error] of this.k.scheduler.failures) {
      if (error instanceof MissingFunctionReached) continue;
      return `in the thread ${thread.name}: ${error instanceof Error ? error.stack : String(error)}`;
    }
    return undefined;
  }

  result(ms: number): Omit<CensusResult, 'internal'> {
    const { k, plan } = this;
    const records = this.lines === 0 ? k.log.records : k.log.records.slice(0, this.lines);
    const log = records.map(({ level, text }) => ({ level, text }));
    if (this.why !== undefined) log.push({ level: 3, text: `(${this.why})` });
    const row: CensusRow = {
      module: plan.at(-1)?.name ?? '',
      outcome: this.outcome,
      load: this.load,
      log,
      unload: this.unload,
      taint: k.taint,
      missing: [...k.missing.keys()],
      registeredOnly: this.own,
      used: this.used,
      instructions: this.instructions || k.cpu.retired,
      ms: Math.round(ms * 10) / 10,
    };
    return { row, leaks: this.leaks, lostPages: this.lostPages };
  }
}

function unloadErrno(result: UnloadResult): number | null {
  if (result.outcome === 'unloaded') return 0;
  return result.outcome === 'refused' ? result.refusal.errno : null;
}

/** Loaded, unloaded, nothing missing reached, nothing that is registered only. */
export function isClean({ outcome, load, unload, missing, registeredOnly }: CensusRow): boolean {
  return (
    outcome === 'loaded' && load === 0 && unload === 0 && missing.length === 0 && registeredOnly.length === 0
  );
}
