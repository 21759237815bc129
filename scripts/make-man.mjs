/**
 * Writes the manual pages in man/ from the command table (src/cli/table.ts).
 *   node scripts/make-man.mjs           write them
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkNode, ensureDependencies, root } from './setup.mjs';

checkNode();
ensureDependencies();
const { build } = await import('esbuild');

// The table is TypeScript: bundled into a temporary file that is imported once.
const bundle = join(root, 'node_modules', `.man-${process.pid}.mjs`);
try {
  await build({
    stdin: {
      contents: "export { pages } from './src/cli/pages.ts';",
      resolveDir: root,
    },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    outfile: bundle,
    logLevel: 'warning',
  });
  const { pages } = await import(pathToFileURL(bundle).href);
  const man = join(root, 'man');
  mkdirSync(man, { recursive: true });
  const wanted = pages();
  for (const name of readdirSync(man)) if (!wanted.has(name)) rmSync(join(man, name));
  for (const [name, text] of wanted) writeFileSync(join(man, name), text);
  console.error(`man: ${wanted.size} pages written`);
} finally {
  rmSync(bundle, { force: true });
}
