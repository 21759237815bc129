/**
 * `npm run bench [-- OPTION]... [NAME]...`: runs the benchmarks and prints their figures beside the targets.
 *   --quick   only check that they work
 *   --json    one JSON object instead of the table
 *   --strict  exit 1 when a target is missed
 */
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, Figure } from './bench.ts';
import { bulk } from './bulk.ts';
import { census } from './census.ts';
import { check } from './check.ts';
import { cpu } from './cpu.ts';
import { depmod } from './depmod.ts';
import { engine, further } from './engine.ts';
import { kernel } from './kernel.ts';
import { many } from './many.ts';
import { modules } from './modules.ts';
import { startup } from './startup.ts';

const BENCHES: readonly Bench[] = [
  startup,
  kernel,
  cpu,
  engine,
  further,
  modules,
  census,
  bulk,
  many,
  depmod,
  check,
];

async function main(argv: readonly string[]): Promise<number> {
  const names = argv.filter((word) => !word.startsWith('--'));
  const unknown = names.filter((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown.length > 0) {
    console.error(
      `bench: there is no benchmark ${unknown.join(', ')}; there is ${BENCHES.map((one) => one.name).join(', ')}`,
    );
    return 2;
  }
  const root = findRoot();
  const json = argv.includes('--json');
  const quick = argv.includes('--quick');
  const results: Record<string, readonly Figure[]> = {};
  for (const bench of BENCHES) {
    if (names.length > 0 && !names.includes(bench.name)) continue;
    if (!json) console.log(`${bench.name}: ${bench.summary}`);
    results[bench.name] = await bench.run({ quick, root });
    if (!json) for (const figure of results[bench.name]) console.log(line(figure, quick));
  }
  if (json) console.log(JSON.stringify({ schema: 'lkm.bench/1', machine: machine(), results }));
  else
    console.log(
      `on ${machine()}${quick ? '; --quick: too few rounds for the figures to mean anything' : ''}`,
    );
  const missed = Object.values(results)
    .flat()
    .filter((figure) => meets(figure) === false);
  return argv.includes('--strict') && missed.length > 0 ? 1 : 0;
}

/** Bundled into dist/bench/run.js: two folders below package.json. */
function findRoot(): string {
  return dirname(dirname(dirname(fileURLToPath(import.meta.url))));
}

function machine(): string {
  const all = cpus();
  return `Node ${process.versions.node}, ${all.length} x ${all[0]?.model.trim() ?? 'unknown CPU'}`;
}

function meets({ value, target }: Figure): boolean | undefined {
  if (target === undefined) return undefined;
  return target.better === 'lower' ? value <= target.value : value >= target.value;
}

function line(figure: Figure, quick: boolean): string {
  const { what, value, unit, target } = figure;
  const shown = `${value >= 100 ? value.toFixed(0) : value.toFixed(2)} ${unit}`;
  const goal = target
    ? `target ${target.better === 'lower' ? 'at most' : 'at least'} ${target.value} ${unit}`
    : '';
  const verdict = target && !quick ? (meets(figure) ? ': met' : ': MISSED') : '';
  return `  ${what.padEnd(48)} ${shown.padStart(14)}  ${goal}${verdict}`.trimEnd();
}

process.exitCode = await main(process.argv.slice(2));
