/**
 * Builds dist/ from src/: the command (dist/lkm.js) in chunks, so that a command loads only what it uses, and the library's
 * entry points (one for each entry of package.json's exports) twice: for Node (dist/node/, with the command's chunks, whose
 * compiled code is kept) and for bundlers and browsers (dist/lib/, with chunks of their own).
 *
 *   node scripts/build.mjs           build when a source changed
 *   node scripts/build.mjs --force   build anyway
 *   node scripts/build.mjs --types   also write the type declarations (dist/types); slower, for publishing
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keepCompiledCode } from './code-cache.mjs';
import { embedInterpreter } from './interpreter-plugin.mjs';
import { checkNode, fingerprint, root } from './setup.mjs';

const dist = join(root, 'dist');
const stamp = join(dist, '.stamp');

/** Builds when needed. Resolves to true when something was built. */
export async function build({ force = false } = {}) {
  const current = fingerprint(
    ['src'],
    [
      'scripts/build.mjs',
      'scripts/code-cache.mjs',
      'scripts/interpreter-plugin.mjs',
      'scripts/warm-up.mjs',
      'package.json',
      'package-lock.json',
    ],
  );
  if (!force && existsSync(stamp) && readFileSync(stamp, 'utf8') === current) return false;
  const { build: bundle } = await import('esbuild');
  const options = {
    absWorkingDir: root,
    outdir: 'dist',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    // Names stay: they appear in stack traces and in error classes. Whitespace is what start-up time is spent on.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    sourcemap: 'linked',
    metafile: true,
    plugins: [embedInterpreter],
    logLevel: 'warning',
  };
  const shared = await bundle({
    ...options,
    entryPoints: { ...PROGRAMS, ...libraryEntries('node') },
    chunkNames: 'chunks/[name]-[hash]',
    splitting: true,
  });
  const library = await bundle({
    ...options,
    platform: 'neutral',
    external: ['node:*'],
    entryPoints: libraryEntries('lib'),
    chunkNames: 'lib/chunks/[name]-[hash]',
    splitting: true,
  });
  const whole = await bundle({
    ...options,
    entryPoints: WHOLE,
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    define: { 'import.meta.url': 'urlOfThis' },
    banner: { js: "const urlOfThis=require('node:url').pathToFileURL(__filename).href;" },
  });
  checkSizes(whole.metafile.outputs);
  const outputs = [shared, library, whole].flatMap(({ metafile }) => Object.keys(metafile.outputs));
  chmodSync(join(dist, 'lkm.js'), 0o755);
  const kept = keepCompiledCode(outputs);
  removeStale(new Set([...outputs.map((path) => join(root, path)), ...kept]));
  mkdirSync(dist, { recursive: true });
  writeFileSync(stamp, current);
  return true;
}

/**
 * Programs in one file each, as every further file costs a millisecond at the start, and of the older kind of module, whose
 * loader is ready sooner on a second thread (measured). They hold all that they could load, so
 * nothing large may be in reach of them.
 */
const WHOLE = {
  'quick/depmod': 'src/cli/quick/depmod.ts',
  'quick/modinfo': 'src/cli/quick/modinfo.ts',
  'quick/modprobe': 'src/cli/quick/modprobe.ts',
  'depmod-worker': 'src/tools/linux/kmod/depmod-worker.ts',
};
const MOST_BYTES = 400_000;

function checkSizes(outputs) {
  for (const [path, { bytes }] of Object.entries(outputs)) {
    if (path.endsWith('.map') || bytes <= MOST_BYTES) continue;
    throw new Error(`${path} has ${bytes} bytes: the module tools import something that is not theirs`);
  }
}

const PROGRAMS = {
  lkm: 'src/cli/main.ts',
  resident: 'src/cli/resident/main.ts',
  'census-worker': 'src/targets/census-worker.ts',
  'check-worker': 'src/tools/check-worker.ts',
};

/** For each published entry dist/lib/X.js its source src/X.ts, built as FOLDER/X. */
function libraryEntries(folder) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const entries = {};
  for (const { default: output } of Object.values(manifest.exports)) {
    if (output === undefined) continue;
    const path = relative('dist/lib', output).replace(/\.js$/, '');
    const source = `src/${path}.ts`;
    if (existsSync(join(root, source))) entries[`${folder}/${path}`] = source;
    else console.error(`build: ${source} (${output} in package.json) does not exist yet: left out`);
  }
  return entries;
}

/** Chunks carry a hash in their name: those of earlier builds would pile up. */
function removeStale(outputs) {
  for (const folder of ['chunks', 'lib', 'node', 'quick']) {
    const path = join(dist, folder);
    if (!existsSync(path)) continue;
    for (const name of readdirSync(path, { recursive: true })) {
      const file = join(path, name);
      if (/\.(js|js\.map|code|cache)$/.test(name) && !outputs.has(file)) rmSync(file);
    }
  }
}

/** Type declarations of the library. Imports in them name .js files, which is what a consumer's compiler resolves. */
function buildTypes() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const types = join(dist, 'types');
  rmSync(types, { recursive: true, force: true });
  const emit = [
    '--declaration',
    '--emitDeclarationOnly',
    '--noEmit',
    'false',
    '--outDir',
    types,
    '--rootDir',
    'src',
  ];
  const config = join(root, 'tsconfig.types.json');
  const result = spawnSync(process.execPath, [tsc, '-p', config, ...emit], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) return 1;
  for (const name of readdirSync(types, { recursive: true })) {
    if (!name.endsWith('.d.ts')) continue;
    const file = join(types, name);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace(/((?:from|import\()\s*['"]\.{1,2}\/[^'"]*)\.ts(['"])/g, '$1.js$2'));
  }
  return 0;
}

async function main() {
  checkNode();
  const started = performance.now();
  try {
    const built = await build({ force: process.argv.includes('--force') });
    const took = `${Math.round(performance.now() - started)} ms`;
    console.error(built ? `build: dist/ written in ${took}` : 'build: nothing changed');
    return process.argv.includes('--types') ? buildTypes() : 0;
  } catch (error) {
    // esbuild has printed what is wrong, with file and line.
    console.error(error?.errors ? 'build: failed, see above' : error);
    return 1;
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main();
}
