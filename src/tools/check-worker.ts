/** A thread of `lkm check --matrix`: it opens the kernels once and judges the modules it is given. */
import { parentPort, workerData } from 'node:worker_threads';
import { type CheckSetup, MatrixJudge } from './check-jobs.ts';
import type { MatrixRow } from './check-matrix.ts';

const judge = MatrixJudge.open(workerData as CheckSetup);
// Whoever waits for an answer hears of it below.
judge.catch(() => undefined);

async function judgeAll(paths: readonly string[]): Promise<MatrixRow[]> {
  const rows: MatrixRow[] = [];
  for (const path of paths) rows.push(await (await judge).row(path));
  return rows;
}

parentPort?.on('message', (paths: string[]) => {
  judgeAll(paths).then(
    (rows) => parentPort?.postMessage(rows),
    (error: unknown) =>
      parentPort?.postMessage({
        failed: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
});
