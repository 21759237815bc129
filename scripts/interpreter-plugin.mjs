/**
 * The interpreter is a WebAssembly module that src/cpu/interpreter.ts puts together from the table of operations. The
 * bytes are always the same, so a build makes them once and embeds them: a process that runs guest code starts without
 * that work. Code that is run straight from src/ makes them itself. The same goes for the table of what operations do, and for
 * the tables of opcodes.
 */
import { join } from 'node:path';
import { root } from './setup.mjs';

const SOURCE = 'src/cpu/interpreter.ts';

const EMBEDDED = `
import wide from 'interpreter64.wasm';
import narrow from 'interpreter32.wasm';
export const interpreterModule = (bits = 64) =>
  bits === 64 ? wide : Uint8Array.from(atob(narrow), (character) => character.charCodeAt(0));
`;

const TABLE = 'src/cpu/translate/effect-table.ts';
const OPCODES = 'src/cpu/x86/compile-table.ts';

/** Replaces the generator in a bundle by what it generates. */
export const embedInterpreter = {
  name: 'embed-interpreter',
  setup(build) {
    const virtual = 'interpreter-bytes';
    build.onResolve({ filter: /^interpreter(64|32)\.wasm$/ }, ({ path }) => ({ path, namespace: virtual }));
    // The one for 32-bit guests stays text until it is asked for: few processes do.
    build.onLoad({ filter: /.*/, namespace: virtual }, async ({ path }) => ({
      contents: await interpreterBytes(build.esbuild, path.includes('32') ? 32 : 64),
      loader: path.includes('32') ? 'base64' : 'binary',
    }));
    build.onLoad({ filter: /[/\\]src[/\\]cpu[/\\]interpreter\.ts$/ }, () => ({
      contents: EMBEDDED,
      loader: 'js',
    }));
    build.onLoad({ filter: /[/\\]src[/\\]cpu[/\\]translate[/\\]effect-table\.ts$/ }, async () => {
      const { effectTable } = await evaluated(build.esbuild, TABLE);
      return { contents: `export const effectTable = () => ${parsed(effectTable())};`, loader: 'js' };
    });
    build.onLoad({ filter: /[/\\]src[/\\]cpu[/\\]x86[/\\]compile-table\.ts$/ }, async () => {
      const { packedNames, packedTable } = await evaluated(build.esbuild, OPCODES);
      const contents = `
export const packedNames = () => ${parsed(packedNames())};
export const packedTable = (mode) => mode === 64 ? ${parsed(packedTable(64))} : ${parsed(packedTable(32))};`;
      return { contents, loader: 'js' };
    });
  },
};

/** As text that is parsed: values in source cost a process that needs none of them. */
const parsed = (value) => `JSON.parse(${JSON.stringify(JSON.stringify(value))})`;

async function interpreterBytes(esbuild, bits) {
  const { interpreterModule } = await evaluated(esbuild, SOURCE);
  return interpreterModule(bits);
}

/** The exports of a source file, run by itself. */
async function evaluated({ build }, path) {
  const { outputFiles } = await build({
    entryPoints: [join(root, path)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    logLevel: 'warning',
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}
