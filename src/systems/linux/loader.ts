/** insmod and rmmod on a running kernel: a task is made for the load, and what comes of it is told as a value. */

import { MissingFunctionReached } from '../../kernel/missing.ts';
import { Deadlock } from '../../kernel/scheduler.ts';
import { block, type Steps } from '../../kernel/steps.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { Transaction } from '../../kernel/transaction.ts';
import type { Linux } from './linux.ts';
import { loadModule } from './load.ts';
import type { LoadRequest } from './loading.ts';
import type { LinuxModule } from './module.ts';
import { taintSnapshot } from './taint.ts';
import { releaseModule, type UnloadRequest, unloadModule } from './unload.ts';
import { Refusal } from './verdict.ts';

export type LoadOptions = Partial<Omit<LoadRequest, 'bytes' | 'args'>> & {
  /** Called with the name of each step before it runs; may throw to make it fail (tests). */
  readonly inject?: (step: string) => void;
};

export type LoadResult =
  | { readonly outcome: 'loaded'; readonly module: LinuxModule }
  /** The kernel, or the base kernel for lack of something, returned an error. */
  | { readonly outcome: 'refused'; readonly refusal: Refusal }
  /** Its init function oopsed, never ended or waits for ever. The module stays, half loaded, as on a real kernel. */
  | { readonly outcome: 'killed'; readonly killed: ThreadKilled }
  /** Its init function called something that nobody wrote; everything was taken back. */
  | { readonly outcome: 'missing'; readonly missing: MissingFunctionReached };

/** Loads a module as insmod does. Errors of ours are thrown; everything the module can cause is a result. */
export function insmod(k: Linux, bytes: Uint8Array, args = '', options: LoadOptions = {}): LoadResult {
  const { inject, ...rest } = options;
  const request: LoadRequest = { path: '', flags: {}, ...rest, bytes, args };
  const t = new Transaction(inject);
  const progress = { unwinding: false };
  try {
    const module = k.runTask('insmod', attemptLoad(k, t, request, progress), request.credential);
    return { outcome: 'loaded', module };
  } catch (error) {
    if (error instanceof Refusal) return { outcome: 'refused', refusal: error };
    if (error instanceof ThreadKilled) {
      if (progress.unwinding) finishUnwinding(k, t);
      return { outcome: 'killed', killed: error };
    }
    if (error instanceof Deadlock) return { outcome: 'killed', killed: endWaiting(k, 'insmod', error) };
    if (!(error instanceof MissingFunctionReached)) throw error;
    abandonCurrent(k, error.message);
    finishUnwinding(k, t);
    return { outcome: 'missing', missing: error };
  }
}

/**
 * Loads a module while the running thread waits, in a process of its own: how the kernel runs modprobe. What goes wrong
 * is a result, as with `insmod`.
 */
export function* loadFromWithin(
  k: Linux,
  program: string,
  bytes: Uint8Array,
  args = '',
  options: LoadOptions = {},
): Steps<LoadResult> {
  const request: LoadRequest = { path: '', flags: {}, ...options, bytes, args };
  const t = new Transaction(options.inject);
  const progress = { unwinding: false };
  const outcome = yield* waitFor(k, program, attemptLoad(k, t, request, progress));
  if ('value' in outcome) return { outcome: 'loaded', module: outcome.value as LinuxModule };
  if ('killed' in outcome) {
    if (progress.unwinding) yield* unwindAside(k, t);
    return { outcome: 'killed', killed: outcome.killed };
  }
  const { error } = outcome;
  if (error instanceof Refusal) return { outcome: 'refused', refusal: error };
  if (!(error instanceof MissingFunctionReached)) throw error;
  yield* unwindAside(k, t);
  return { outcome: 'missing', missing: error };
}

/** Runs steps as another process and waits for its end. */
function* waitFor(k: Linux, name: string, steps: Steps<unknown>): Steps<NonNullable<Thread['outcome']>> {
  const { scheduler } = k;
  const waiting = scheduler.current;
  const thread = scheduler.spawn(name, steps);
  k.tasks.adopt(thread, name);
  thread.onExit(() => {
    if (waiting !== undefined) scheduler.wake(waiting);
  });
  while (thread.outcome === undefined) yield* block(`${name} to end`);
  scheduler.failures.delete(thread);
  return thread.outcome;
}

/** As `finishUnwinding`, while a thread waits for it. */
function* unwindAside(k: Linux, t: Transaction): Steps<void> {
  for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
    const outcome = yield* waitFor(k, 'cleanup', t.unwind());
    if ('value' in outcome) return;
    if ('error' in outcome && !(outcome.error instanceof MissingFunctionReached)) throw outcome.error;
  }
}

/** A refused load is taken back; one that failed for another reason leaves not even a line in the log. */
export function* attemptLoad(
  k: Linux,
  t: Transaction,
  request: LoadRequest,
  progress: { unwinding: boolean },
): Steps<LinuxModule> {
  const taints = taintSnapshot(k);
  const lines = k.log.records.length;
  try {
    return yield* loadModule(k, t, request);
  } catch (error) {
    progress.unwinding = true;
    yield* t.unwind();
    if (!(error instanceof Refusal)) {
      taints();
      k.log.records.length = Math.min(k.log.records.length, lines);
    }
    throw error;
  }
}

/** More steps than a load has. */
const MAX_ATTEMPTS = 100;

/** Takes back what is left when a step of the unwinding itself was stopped: each step is tried once. */
function finishUnwinding(k: Linux, t: Transaction): void {
  persist(k, () => t.unwind());
}

function persist(k: Linux, steps: () => Steps<void>): void {
  for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
    try {
      k.runTask('cleanup', steps());
      return;
    } catch (error) {
      if (error instanceof MissingFunctionReached) abandonCurrent(k, error.message);
      else if (!(error instanceof ThreadKilled)) throw error;
    }
  }
}

/** SIGKILL: what a person sends to a program that hangs. */
const SIGKILL = 9;

/** A load or unload that waits for what can never come is ended; on a real kernel it would hang until the next boot. */
function endWaiting(k: Linux, name: string, deadlock: Deadlock): ThreadKilled {
  const killed = new ThreadKilled(name, SIGKILL, `${name} hangs: ${deadlock.message}`);
  const thread = [...k.scheduler.threads].findLast((one) => one.name === name && one.state === 'blocked');
  if (thread !== undefined) k.scheduler.kill(thread, killed);
  return killed;
}

/** The thread that reached a missing function goes no further. */
function abandonCurrent(k: Linux, why: string): void {
  const thread = k.scheduler.current;
  if (thread !== undefined) k.scheduler.kill(thread, new ThreadKilled(thread.name, 0, why));
}

export type UnloadResult =
  | { readonly outcome: 'unloaded' }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }
  | { readonly outcome: 'killed'; readonly killed: ThreadKilled }
  | { readonly outcome: 'missing'; readonly missing: MissingFunctionReached };

/**
 * Unloads a module as rmmod does. When its exit function calls something that nobody wrote, the module goes all the same:
 * what it had taken is given back.
 */
export function rmmod(k: Linux, name: string, options: Omit<UnloadRequest, 'name'> = {}): UnloadResult {
  const module = k.modules.find(name);
  try {
    k.runTask('rmmod', unloadModule(k, { ...options, name }), options.credential);
    return { outcome: 'unloaded' };
  } catch (error) {
    if (error instanceof Refusal) return { outcome: 'refused', refusal: error };
    if (error instanceof ThreadKilled) return { outcome: 'killed', killed: error };
    if (error instanceof Deadlock) return { outcome: 'killed', killed: endWaiting(k, 'rmmod', error) };
    if (!(error instanceof MissingFunctionReached)) throw error;
    abandonCurrent(k, error.message);
    if (module !== undefined) persist(k, () => releaseModule(module));
    return { outcome: 'missing', missing: error };
  }
}
