/**
 * The interpreter is a WebAssembly module that src/cpu/interpreter.ts puts together from the table of operations. The
 * bytes are always the same, so a build makes them once and embeds them: a process that runs guest code starts without
 * that work. Code that is run straight from src/ makes them itself.
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
  },
};

async function interpreterBytes({ build }, bits) {
  const { outputFiles } = await build({
    entryPoints: [join(root, SOURCE)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    logLevel: 'warning',
  });
  const { interpreterModule } = await import(
    `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
  );
  return interpreterModule(bits);
}
