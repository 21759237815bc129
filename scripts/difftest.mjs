// Differential test of the x86-64 interpreter against the host processor.
//   npm run difftest -- [--seed N] [--singles N] [--sequences N] [--only REGEXP]
// Prints the seed, a tally by mnemonic and the first disagreements; exits 1 when there is any.
import { mkdirSync } from 'node:fs';
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
    only: { type: 'string' },
  },
});

const root = new URL('..', import.meta.url);
const cache = join(homedir(), '.cache/lkm/native');
mkdirSync(cache, { recursive: true });
const bundle = join(cache, `difftest-${process.pid}.mjs`);
await build({
  entryPoints: [new URL('test/cpu/x86/difftest.ts', root).pathname],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  format: 'esm',
  // The native side finds its C source from the module's address.
  define: { 'import.meta.url': JSON.stringify(new URL('test/cpu/x86/difftest.ts', root).href) },
});
const { difftest, summary } = await import(pathToFileURL(bundle).href);
console.log(`seed ${values.seed}`);
const report = difftest({
  seed: Number(values.seed),
  singles: Number(values.singles),
  sequences: Number(values.sequences),
  sequenceLength: Number(values.length),
  only: values.only === undefined ? undefined : new RegExp(values.only),
});
for (const failure of report.failures) console.log(`${failure}\n`);
console.log(summary(report));
process.exitCode = report.failures.length > 0 ? 1 : 0;
