/** The library where there is no Node: the published entries that need no files are bundled for a browser, and one runs a module. */
import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { type BuildOptions, build } from 'esbuild';
import { expect, it } from 'vitest';
import { embedInterpreter } from '../scripts/interpreter-plugin.mjs';
import { packagedPath } from '../src/cli/packaged.ts';

const bundle = async (contents: string): Promise<string> => {
  const options: BuildOptions = {
    stdin: { contents, resolveDir: packagedPath('src'), loader: 'ts' },
    bundle: true,
    platform: 'browser',
    format: 'iife',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
    plugins: [embedInterpreter],
  };
  const { outputFiles } = await build(options);
  return outputFiles?.[0].text ?? '';
};

it.each(['./formats/elf/read.ts', './cpu/bare-machine.ts', './ctypes/btf.ts', './linux.ts'])(
  '%s asks for nothing of Node',
  async (entry) => {
    // A bundle for browsers with an import of node: fails.
    expect((await bundle(`export * from '${entry}'`)).length).toBeGreaterThan(1000);
  },
);

it('runs a module with the kernel as bytes, without process and Buffer', async () => {
  const code = await bundle(`
    import { linux } from './linux.ts';
    globalThis.run = async () => {
      const kernel = await linux.boot({ kernel: Uint8Array.from(profile), seed: 1 });
      const lines = [];
      kernel.on('log', (line) => lines.push(line.text));
      const { leaks } = await kernel.unload(await kernel.load(Uint8Array.from(hello), { whom: 'Ada' }));
      return JSON.stringify({ lines, leaks });
    };`);
  const bytes = (path: string) => new Uint8Array(readFileSync(packagedPath(path)));
  const browser = createContext({
    atob,
    TextDecoder,
    TextEncoder,
    profile: bytes('profiles/debian-6.1.kernel'),
    hello: bytes('fixtures/linux/built/hello.ko'),
  });
  const result = JSON.parse((await runInContext(`${code};run()`, browser)) as string);
  expect(result).toEqual({
    lines: expect.arrayContaining(['hello: hello, Ada', 'hello: goodbye, Ada']),
    leaks: [],
  });
});
