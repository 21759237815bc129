/**
 * The larger chunks of dist/ as scripts with their compiled code beside them. V8 compiles a function when it is first called,
 * which is half of what the first run of a module costs; of a script (an ES module has no way to) it can keep the result.
 *
 * A chunk NAME-HASH.js becomes a module of a few lines that runs NAME-HASH.code with what it imports and exports what that
 * returns. The compiled code, NAME-HASH.VERSION-ARCH.cache, is taken from processes that ran {@link COMMANDS} and belongs to
 * the Node that built; where it is absent, or V8 finds that it is not its own, the functions are compiled as ever. The hash in
 * the name is that of the contents, so a cache never meets other code than it was made from. V8 believes what is in a cache and
 * ends the process over a damaged one: the container's checksum (gzip, nothing compressed) sees to it that it gets none.
 *
 * The programs of one file (dist/quick/NAME.cjs) are divided in the same way.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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

const TREE_FILES = ['containers.ko', 'formats.ko', 'memories.ko', 'procfile.ko', 'works.ko'];
/** Of the programs of one file: over a small tree of modules, TREE, with the files in it. */
const TREE_COMMANDS = [
  ['linux', 'depmod', '-b', 'TREE', '1.0'],
  // The first one makes what the second one begins with.
  ['linux', 'depmod', '--incremental', '-b', 'TREE', '1.0'],
  ['linux', 'depmod', '--incremental', '-b', 'TREE', '1.0'],
  ['linux', 'modinfo', 'FILES'],
  ['linux', 'modprobe', '-D', '-d', 'TREE', '-S', '1.0', 'works', 'containers'],
];

/** Rewrites the chunks and programs among the outputs of a build. @returns what was written beside them, as absolute paths */
export function keepCompiledCode(outputs) {
  const chunks = outputs.filter((path) => path.startsWith('dist/chunks/') && path.endsWith('.js'));
  const programs = outputs.filter((path) => path.startsWith('dist/quick/') && path.endsWith('.cjs'));
  const made = [
    ...chunks.filter((path) => splitChunk(join(root, path))),
    ...programs.filter((path) => splitProgram(join(root, path))),
  ];
  if (made.length > 0) warmUp();
  return made.flatMap((path) => ['.code', SUFFIX].map((end) => join(root, path.replace(/\.c?js$/, end))));
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
  const run = `const{${locals.join(',')}}=$run($path(import.meta.url),${-head.length})(${names.join(',')});`;
  writeFileSync(path, `${declared}${RUN}${run}export{${shown.join(',')}};\n`);
  return true;
}

/** A program of the older kind of module, which becomes the function that its loader wraps round such a file. */
function splitProgram(path) {
  const text = readFileSync(path, 'latin1');
  if (/[^\0-\x7f]/.test(text)) return false;
  const head = `(function(${WRAPPED}){`;
  writeFileSync(path.replace(/\.cjs$/, '.code'), `${head}${text}\n})`, 'latin1');
  writeFileSync(path, `${RUN_PROGRAM}$run(__filename,${-head.length})(${WRAPPED});\n`);
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

/** In each divided file: reads the script and its compiled code, and gives the function that the script is. */
const RUNNER = `function $run(filename,columnOffset){const base=filename.replace(/\\.c?js$/,"");let cachedData;try{cachedData=$unpack($read(\`\${base}.\${process.version}-\${process.arch}.cache\`))}catch{}return new $Script($read(\`\${base}.code\`,"latin1"),{filename,columnOffset,cachedData}).runInThisContext()}
`;
const RUN = `import{readFileSync as $read}from"node:fs";import{fileURLToPath as $path}from"node:url";import{Script as $Script}from"node:vm";import{gunzipSync as $unpack}from"node:zlib";
${RUNNER}`;
const WRAPPED = 'exports,require,module,__filename,__dirname';
const RUN_PROGRAM = `"use strict";const{readFileSync:$read}=require("node:fs"),{Script:$Script}=require("node:vm"),{gunzipSync:$unpack}=require("node:zlib");
${RUNNER}`;

/**
 * Runs the commands, each in a process that leaves what it has compiled beside its scripts. Where one does not work, as on a
 * machine without memory for a guest, the program is whole all the same.
 */
function warmUp() {
  const tree = mkdtempSync(join(tmpdir(), 'lkm-warm-up-'));
  try {
    const built = join(root, 'fixtures/linux/built');
    const modules = join(tree, 'lib/modules/1.0');
    mkdirSync(modules, { recursive: true });
    for (const name of TREE_FILES) cpSync(join(built, name), join(modules, name));
    const stands = { TREE: [tree], FILES: TREE_FILES.map((name) => join(modules, name)) };
    for (const command of [...COMMANDS, ...TREE_COMMANDS])
      warmUpWith(command.flatMap((word) => stands[word] ?? word));
  } finally {
    rmSync(tree, { recursive: true });
  }
}

function warmUpWith(command) {
  const args = [fileURLToPath(new URL('./warm-up.mjs', import.meta.url)), ...command];
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    env: childEnvironment(),
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) console.error(`build: ${command.slice(0, 5).join(' ')} ended with ${status}: ${stderr}`);
}
