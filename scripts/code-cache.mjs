/**
 * The larger chunks of dist/ as scripts with their compiled code beside them. V8 compiles a function when it is first called,
 * which is half of what the first run of a module costs; of a script (an ES module has no way to) it can keep the result.
 *
 * A chunk NAME-HASH.js becomes a module of a few lines that runs NAME-HASH.code with what it imports and exports what that
 * returns. The compiled code, NAME-HASH.VERSION-ARCH.cache, is taken from processes that ran {@link COMMANDS} and belongs to
 * the Node that built; where it is absent, or V8 finds that it is not its own, the functions are compiled as ever. The hash in
 * the name is that of the contents, so a cache never meets other code than it was made from. V8 believes what is in a cache and
 * ends the process over a damaged one: the container's checksum (gzip, nothing compressed) sees to it that it gets none.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment, root } from './setup.mjs';

/** Smaller chunks are not worth two more files. */
const LEAST_BYTES = 16_000;
/** Of the Node that runs. */
const SUFFIX = `.${process.version}-${process.arch}.cache`;

/**
 * What is run for its compiled code: one module of each system, and for the translator (which `wasm` has translate at the
 * second call) some with loops, calls and data on the stack.
 */
const COMMANDS = [
  ['run', '--engine', 'wasm', 'fixtures/linux/built/containers.ko'],
  ['run', '--engine', 'wasm', 'fixtures/linux/built/memories.ko'],
  ['run', '--engine', 'wasm', 'fixtures/linux/built/formats.ko'],
  ['run', '--engine', 'wasm', 'fixtures/linux/built/procfile.ko'],
  ['run', 'fixtures/linux/built/works.ko'],
  ['run', 'fixtures/freebsd/built/echo.ko'],
  ['run', 'fixtures/windows/built/kmdf.sys'],
  ['run', 'fixtures/macos/built/Hello.kext'],
  ['run', 'fixtures/solaris/built/usr/kernel/drv/amd64/echo'],
  ['run', 'fixtures/netware/built/HELLO.NLM'],
  ['run', 'fixtures/vxworks/built/client.o'],
];

/** Rewrites the chunks among the outputs of a build. @returns what was written beside them, as absolute paths */
export function keepCompiledCode(outputs) {
  const made = outputs.filter((path) => path.endsWith('.js') && splitChunk(join(root, path)));
  if (made.length > 0) warmUp();
  return made.flatMap((path) => ['.code', SUFFIX].map((end) => join(root, path.replace(/\.js$/, end))));
}

/** As esbuild writes a chunk: its body, what it exports, where its map is. */
const CHUNK = /^([\s\S]*)export\{([^{}]*)\};\n(\/\/# sourceMappingURL=\S*\n)?$/;
/** Import declarations are anywhere among the statements: those of packages stand where their module was. */
const IMPORT = /(?<=^|[;}\n])import(?:([\w$*{][^;"'`]*)from)?"[^"]+";/g;

/** True when the chunk is one that is worth it, and has become two files. */
function splitChunk(path) {
  const text = readFileSync(path, 'latin1');
  if (text.length < LEAST_BYTES) return false;
  const [, code, exports] = CHUNK.exec(text) ?? [];
  // What only a module can do stays one.
  if (code === undefined || /\bimport\s*\(|\bimport\.meta\b|^#!|[^\0-\x7f]/.test(code)) return false;
  const imports = [...code.matchAll(IMPORT)];
  const names = imports.flatMap(([, clause]) => boundNames(clause ?? ''));
  const results = exports
    .split(',')
    .filter(Boolean)
    .map((each) => each.split(' as '));
  const head = `(function(${names.join(',')}){"use strict";`;
  // Lines and columns stay those of the chunk, for stack traces and its source map.
  const body = code.replace(IMPORT, (declaration) => ' '.repeat(declaration.length));
  const returned = results.map(([name, as]) => (as === undefined ? name : `${as}:${name}`));
  const locals = results.map(([name, as]) => (as === undefined ? name : `${as}:$${as}`));
  const shown = results.map(([name, as]) => (as === undefined ? name : `$${as} as ${as}`));
  writeFileSync(path.replace(/\.js$/, '.code'), `${head}${body}return{${returned.join(',')}}})`, 'latin1');
  const declared = imports.map(([declaration]) => declaration).join('');
  const run = `const{${locals.join(',')}}=$run(import.meta.url,${-head.length})(${names.join(',')});`;
  writeFileSync(path, `${declared}${RUN}${run}export{${shown.join(',')}};\n`);
  return true;
}

/** The local names that an import declaration binds. */
function boundNames(clause) {
  return clause
    .replace(/[{}]/g, ',')
    .split(',')
    .map((each) => each.trim().replace(/^.*\bas\s+/, ''))
    .filter(Boolean);
}

/** In each such module: reads the script and its compiled code, and gives the function that the script is. */
const RUN = `import{readFileSync as $read}from"node:fs";import{fileURLToPath as $path}from"node:url";import{Script as $Script}from"node:vm";import{gunzipSync as $unpack}from"node:zlib";
function $run(url,columnOffset){const filename=$path(url),base=filename.slice(0,-3);let cachedData;try{cachedData=$unpack($read(\`\${base}.\${process.version}-\${process.arch}.cache\`))}catch{}return new $Script($read(\`\${base}.code\`,"latin1"),{filename,columnOffset,cachedData}).runInThisContext()}
`;

/**
 * Runs the commands, each in a process that leaves what it has compiled beside its scripts. Where one does not work, as on a
 * machine without memory for a guest, the program is whole all the same.
 */
function warmUp() {
  for (const command of COMMANDS) {
    const args = [fileURLToPath(new URL('./warm-up.mjs', import.meta.url)), ...command];
    const { status, stderr } = spawnSync(process.execPath, args, {
      cwd: root,
      env: childEnvironment(),
      encoding: 'utf8',
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    if (status !== 0) console.error(`build: ${command.join(' ')} ended with ${status}: ${stderr}`);
  }
}
