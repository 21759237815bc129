/**
 * `npm test`: installs and builds what is missing, runs every test, says what was left out and why, and ends with the
 * line `N passed, N failed` (and `, N skipped`).
 *
 *   npm test                       everything this machine can run
 *   npm test -- test/bytes         only these (vitest's own arguments are passed on)
 *   npm run full                   large corpora whole instead of sampled (LKM_FULL=1)
 *   npm run corpora                only test/corpora: files of other systems that no package archive has
 *
 * LKM_NO_SKIP=1 makes a skipped test a failure (CI). LKM_SEED sets the seed of sampled and generated tests
 * (1 unless it is set; the large runs take a new one each time).
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { checkNode, ensureBuilt, ensureDependencies, root, runNode } from './setup.mjs';

checkNode();
ensureDependencies();
await ensureBuilt();

const args = process.argv.slice(2);
const full = args.includes('--full');
const corpora = args.includes('--corpora');
const scratch = mkdtempSync(join(tmpdir(), 'lkm-test-'));
const report = join(scratch, 'report.json');
// Tests that cannot run here append {"test", "reason"} lines to this file (test/real/require.ts).
const skipLog = join(scratch, 'skipped.jsonl');
// The same each time, so that a check of a change meets what the change did; the large runs look for what nobody has seen.
const fresh = full || corpora;
const seed = process.env.LKM_SEED ?? (fresh ? String(Math.floor(Math.random() * 2 ** 31)) : '1');

try {
  process.chdir(root);
  console.log(`seed ${seed} (LKM_SEED=${seed} repeats this run)${full ? ', full corpora' : ''}`);
  const vitest = [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run'];
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const extra = {
    LKM_SKIP_LOG: skipLog,
    LKM_SEED: seed,
    ...(full ? { LKM_FULL: '1' } : {}),
    ...(corpora ? { LKM_CORPORA: '1' } : {}),
  };
  const code = runNode(
    [...vitest, ...reporters, ...args.filter((one) => one !== '--full' && one !== '--corpora')],
    extra,
  );
  process.exitCode = summarise(code);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Prints what was left out and the closing line; returns the exit code. */
function summarise(code) {
  if (!existsSync(report)) {
    console.log('the test runner wrote no report: it ended before any test');
    console.log('0 passed, 1 failed');
    return code || 1;
  }
  const result = JSON.parse(readFileSync(report, 'utf8'));
  const reasons = readReasons();
  const skipped = result.numPendingTests + result.numTodoTests + countUnseen(result, reasons);
  // A file that fails before its first test (a syntax error, a failed hook) counts as one failure.
  const broken = result.testResults.filter((file) => file.status === 'failed' && !hasFailure(file)).length;
  const forbidden = process.env.LKM_NO_SKIP === '1' ? skipped : 0;
  const failed = result.numFailedTests + broken + forbidden;
  printSkipped(result, reasons);
  if (forbidden > 0) console.log('LKM_NO_SKIP=1: each skipped test counts as failed');
  const left = skipped - forbidden;
  console.log(`${result.numPassedTests} passed, ${failed} failed${left > 0 ? `, ${left} skipped` : ''}`);
  return code || (failed > 0 ? 1 : 0);
}

function hasFailure(file) {
  return file.assertionResults.some((test) => test.status === 'failed');
}

/** What tests wrote about why they do not run: the tests by reason. */
function readReasons() {
  const reasons = new Map();
  for (const line of existsSync(skipLog) ? readFileSync(skipLog, 'utf8').split('\n') : []) {
    if (line === '') continue;
    const { test, reason } = JSON.parse(line);
    reasons.set(reason, (reasons.get(reason) ?? new Set()).add(test));
  }
  return reasons;
}

function isSkipped(test) {
  return ['pending', 'skipped', 'todo'].includes(test.status);
}

/** Groups that were left out before their tests were known: the runner does not count them, this does. */
function countUnseen(result, reasons) {
  const seen = result.testResults.filter((file) => file.assertionResults.some(isSkipped));
  const counted = new Set(seen.map((file) => relative(root, file.name)));
  const groups = [...reasons.values()].flatMap((tests) => [...tests]);
  return groups.filter((test) => !counted.has(test)).length;
}

/** Reasons first; then files that gave none, so that nothing disappears silently. */
function printSkipped(result, reasons) {
  const unexplained = result.testResults
    .map((file) => ({
      path: relative(root, file.name),
      count: file.assertionResults.filter(isSkipped).length,
    }))
    .filter(({ path, count }) => count > 0 && ![...reasons.values()].some((tests) => tests.has(path)));
  if (reasons.size === 0 && unexplained.length === 0) return;
  console.log('\nLeft out:');
  for (const [reason, tests] of reasons) {
    console.log(`  ${reason}`);
    for (const name of tests) console.log(`    - ${name}`);
  }
  for (const { path, count } of unexplained)
    console.log(`  ${count} tests of ${path}, which does not say why`);
  console.log('');
}
