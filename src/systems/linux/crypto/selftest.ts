/**
 * The kernel's own tests of algorithms (crypto/algboss.c, crypto/testmgr.c): whatever is registered is tried in a thread of its
 * own with data whose answer is known. What fails is told, warned about, and cannot be had by anybody.
 *
 * Which calls are made in which order, what is compared and the words are the kernel's; the data is our own (selftest-vectors.ts), and
 * where there is none for an algorithm, it counts as good.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { kernelWarning } from '../functions/caller.ts';
import { panic } from '../functions/checks.ts';
import { sleepIn, TASK, wakeTask } from '../functions/sched.ts';
import type { Linux } from '../linux.ts';
import { commandLineOption } from '../rules/judge.ts';
import { schedulesTests } from './flags.ts';
import {
  type Algorithm,
  cryptoRegistry,
  holdAlgorithm,
  isInternal,
  markPassed,
  putAlgorithm,
} from './registry.ts';
import { testCipher } from './selftest-cipher.ts';
import { testCompressor, testCompressorApart } from './selftest-compress.ts';
import { testHash } from './selftest-hash.ts';
import { testSkcipher } from './selftest-skcipher.ts';
import { replaceLesser } from './spawns.ts';
import { isTested } from './tested.ts';

/** Where the warning stands in crypto/testmgr.c, in the stable releases that were asked. */
const WARNING_LINES: readonly (readonly [release: string, line: number])[] = [
  ['6.1.', 5907],
  ['6.12.', 5928],
];

/**
 * Starts the test of an algorithm that has just been registered. Up to 6.8 the one who registers waits until it is over.
 * @returns what registering answers
 */
export function* selfTest(k: Linux, base: Address): Steps<number> {
  const registry = k.state(cryptoRegistry);
  const algorithm = registry.at(base);
  if (algorithm === undefined) return -Errno.ENOENT;
  if (isInternal(k, base)) {
    yield* passed(k, base);
    return 0;
  }
  if (!holdAlgorithm(k, algorithm)) {
    registry.unregister(base);
    return -Errno.ENOENT;
  }
  const waiting: Address[] = [];
  registry.tests.set(base, waiting);
  const thread = k.tasks.spawn('cryptomgr_test', run(k, algorithm));
  if (schedulesTests(k)) return 0;
  thread.onExit(() => {
    // What the base kernel lacks ends the load, not a thread that nobody looks at.
    if (lacking(thread) === undefined) return;
    k.scheduler.failures.delete(thread);
    registry.tests.delete(base);
    for (const task of waiting) wakeTask(k, task, TASK.UNINTERRUPTIBLE);
  });
  while (registry.tests.has(base)) {
    waiting.push(k.current);
    yield* sleepIn(k, TASK.UNINTERRUPTIBLE, Number.POSITIVE_INFINITY, `the test of ${algorithm.driver}`);
  }
  const lacks = lacking(thread);
  if (lacks !== undefined) throw lacks;
  return 0;
}

/** The error that stopped a thread, where that was no doing of the guest. */
const lacking = ({ outcome }: Thread): unknown =>
  outcome !== undefined && 'error' in outcome ? outcome.error : undefined;

/** cryptomgr_test and crypto_alg_tested. */
function* run(k: Linux, algorithm: Algorithm): Steps<void> {
  const registry = k.state(cryptoRegistry);
  const { base } = algorithm;
  // Whoever registered it may have taken it back before this thread ran.
  if (registry.at(base) !== undefined && (yield* outcome(k, algorithm)) === 0) yield* passed(k, base);
  yield* putAlgorithm(k, base);
  const waiting = registry.tests.get(base) ?? [];
  registry.tests.delete(base);
  for (const task of waiting) wakeTask(k, task, TASK.UNINTERRUPTIBLE);
}

/** crypto_alg_tested: from now on it can be had, and what was made of a lesser one is made anew when it is asked for. */
function* passed(k: Linux, base: Address): Steps<void> {
  markPassed(k, base);
  yield* replaceLesser(k, base);
}

/** alg_test. */
function* outcome(k: Linux, algorithm: Algorithm): Steps<number> {
  if (isSet(k, 'cryptomgr.notests')) return 0;
  const { kind, name, driver } = algorithm;
  if (!isTested(k, kind, name, driver)) {
    k.printk(6, `alg: No test for ${name} (${driver})`);
    return 0;
  }
  const error = yield* tryOut(k, algorithm);
  if (error === 0) return 0;
  if (isSet(k, 'cryptomgr.panic_on_fail'))
    panic(k, `alg: self-tests for ${driver} (${name}) failed in panic_on_fail mode!`);
  const text = `alg: self-tests for ${name} using ${driver} failed (rc=${error})`;
  k.printk(4, text);
  if (error !== -Errno.ENOENT) kernelWarning(k, warningPlace(k), text, k.addressOf('alg_test'));
  return error;
}

function* tryOut(k: Linux, algorithm: Algorithm): Steps<number> {
  switch (algorithm.kind) {
    case 'shash':
      return yield* testHash(k, algorithm);
    case 'cipher':
      return yield* testCipher(k, algorithm);
    case 'skcipher':
      return yield* testSkcipher(k, algorithm);
    case 'compression':
      return yield* testCompressor(k, algorithm);
    case 'scomp':
      return yield* testCompressorApart(k, algorithm);
    default:
      return 0;
  }
}

function warningPlace(k: Linux): string {
  const line = WARNING_LINES.find(([release]) => k.file.release.startsWith(release))?.[1];
  return line === undefined ? 'crypto/testmgr.c' : `crypto/testmgr.c:${line}`;
}

/** A switch of the command line that is on (kstrtobool). */
function isSet(k: Linux, name: string): boolean {
  const value = commandLineOption(k.commandLine, name);
  return value !== undefined && /^(?:$|[1ytYT]|on)/i.test(value);
}
