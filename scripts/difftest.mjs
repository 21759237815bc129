// Differential test of our engines against the host processor and QEMU user mode.
//   npm run difftest -- [--seed N] [--singles N] [--sequences N] [--units N] [--programs N] [--only REGEXP] [--engine NAME]...
// Single instructions, sequences, and programs for the coprocessor and MMX (units), in 64 and 32 bits, run on the host and on each engine; programs of eight random C functions, in 32
// and 64 bits at every optimisation level, also under qemu-x86_64 and qemu-i386. What differs is made small and printed.
// Prints the seed, tallies and the first disagreements; exits 1 when there is any.
import { mkdirSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() & 0x7fffffff) },
    singles: { type: 'string', default: '100000' },
    sequences: { type: 'string', default: '20000' },
    length: { type: 'string', default: '12' },
    programs: { type: 'string', default: '40' },
    units: { type: 'string', default: '4000' },
    only: { type: 'string' },
    engine: { type: 'string', multiple: true, default: ['interpreter', 'wasm'] },
  },
});

const root = new URL('..', import.meta.url);
const cache = join(homedir(), '.cache/lkm/native');
mkdirSync(cache, { recursive: true });
const bundled = async (name) => {
  const source = new URL(`test/cpu/x86/${name}.ts`, root);
  const outfile = join(cache, `${name}-${process.pid}.mjs`);
  await build({
    entryPoints: [source.pathname],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // The native side finds its C source from the module's address.
    define: { 'import.meta.url': JSON.stringify(source.href) },
  });
  try {
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(outfile, { force: true });
  }
};
const { difftest, summary } = await bundled('difftest');
const { cDifftest, cSummary } = await bundled('c-difftest');
const seed = Number(values.seed);
console.log(`seed ${seed}`);
let failures = 0;
const show = (found) => {
  for (const failure of found) console.log(`${failure}\n`);
  failures += found.length;
};
const runs = values.engine.flatMap((engine) => [64, 32].map((bits) => ({ engine, bits })));
for (const { engine, bits } of runs) {
  const report = difftest({
    seed,
    engine,
    bits,
    singles: Number(values.singles),
    sequences: Number(values.sequences),
    sequenceLength: Number(values.length),
    units: Number(values.units),
    only: values.only === undefined ? undefined : new RegExp(values.only),
  });
  show(report.failures);
  console.log(`${engine}, ${bits} bits\n${summary(report)}`);
}
const tally = cDifftest({
  seed,
  programs: Number(values.programs),
  widths: [64, 32],
  engines: values.engine,
});
show(tally.failures);
console.log(cSummary(tally));
process.exitCode = failures > 0 ? 1 : 0;
