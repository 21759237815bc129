// Builds fixtures/netware/*.c with gcc for i386 and links them to NLMs as their .def files say, with the linker of lkm
// (src/formats/nlm/link.ts). The results in fixtures/netware/built are committed: tests need no compiler.
//
//   node scripts/build-fixtures-netware.mjs
//
// Needs gcc with 32-bit code generation (-m32 -c needs no libraries).
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'fixtures/netware');
const built = join(sources, 'built');
const work = mkdtempSync(join(tmpdir(), 'netware-'));

const flags = [
  [
    '-m32',
    '-march=i386',
    '-O1',
    '-std=gnu11',
    '-ffreestanding',
    '-fno-builtin',
    '-fno-pic',
    '-fcf-protection=none',
  ],
  ['-fno-asynchronous-unwind-tables', '-fno-stack-protector', '-fno-delete-null-pointer-checks'],
  ['-Wall', '-Wno-array-bounds', '-Wno-unused-value'],
].flat();

async function linker() {
  const entry = `
    export { linkNlm } from '${root}/src/formats/nlm/link.ts';
    export { parseDefinition } from '${root}/src/formats/nlm/definition.ts';
    export { writeNlm } from '${root}/src/formats/nlm/write.ts';
    export { readElfObject } from '${root}/src/formats/elf/object.ts';`;
  const file = join(work, 'linker.mjs');
  const stdin = { contents: entry, resolveDir: root, loader: 'ts' };
  await build({ stdin, bundle: true, format: 'esm', platform: 'node', outfile: file });
  return import(pathToFileURL(file).href);
}

function compile(name) {
  const target = join(work, `${name}.o`);
  execFileSync('gcc', [...flags, '-c', join(sources, `${name}.c`), '-o', target], { stdio: 'inherit' });
  return new Uint8Array(readFileSync(target));
}

const { linkNlm, parseDefinition, writeNlm, readElfObject } = await linker();
rmSync(built, { recursive: true, force: true });
mkdirSync(join(built, 'NWSERVER'), { recursive: true });
for (const file of readdirSync(sources).filter((name) => name.endsWith('.def'))) {
  const definition = parseDefinition(readFileSync(join(sources, file), 'utf8'));
  const inputs = definition.inputs.map((name) => ({ name, object: readElfObject(compile(name)) }));
  const extras = definition.custom && {
    customData: new Uint8Array(readFileSync(join(sources, definition.custom))),
  };
  writeFileSync(join(built, definition.output), writeNlm(linkNlm(inputs, definition, extras || {})));
}
copyFileSync(join(sources, 'AUTOEXEC.NCF'), join(built, 'AUTOEXEC.NCF'));
copyFileSync(join(sources, 'STARTUP.NCF'), join(built, 'NWSERVER/STARTUP.NCF'));
// Objects that the tests of the linker link again.
for (const name of ['client', 'threads', 'prelude'])
  copyFileSync(join(work, `${name}.o`), join(built, `${name}.o`));
rmSync(work, { recursive: true });
const total = readdirSync(built).reduce((sum, name) => sum + statSync(join(built, name)).size, 0);
console.log(`${total} bytes in fixtures/netware/built`);
