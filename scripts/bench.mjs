/** `npm run bench`: installs and builds what is missing, bundles bench/ and runs it. See bench/run.ts for the options. */
import { join } from 'node:path';
import { embedInterpreter } from './interpreter-plugin.mjs';
import { checkNode, ensureBuilt, ensureDependencies, root, runNode } from './setup.mjs';

checkNode();
ensureDependencies();
await ensureBuilt();
const { build } = await import('esbuild');
const outdir = join(root, 'dist', 'bench');
await build({
  entryPoints: ['run.ts', 'once.ts', 'engine/once.ts'].map((name) => join(root, 'bench', name)),
  outdir,
  outbase: join(root, 'bench'),
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  sourcemap: 'linked',
  plugins: [embedInterpreter],
  logLevel: 'warning',
});
process.exitCode = runNode(['--enable-source-maps', join(outdir, 'run.js'), ...process.argv.slice(2)]);
