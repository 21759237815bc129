/** A life of modules of every system under every engine, and what would be said if they were not the same. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { agreement, type LifeOptions, lifeDifferences, lifeOf } from '../../src/tools/agree.ts';
import type { SystemFiles } from '../../src/tools/system.ts';
import { recognise } from '../../src/tools/systems.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

const files = (): SystemFiles => ({
  read: (path) => (existsSync(path) && !isFolder(path) ? readFileSync(path) : undefined),
  list: (path) =>
    isFolder(path)
      ? readdirSync(path, { withFileTypes: true }).map((e) => (e.isDirectory() ? `${e.name}/` : e.name))
      : undefined,
  // As the rules of macOS want it, whoever checked these files out.
  stat: (path) => (existsSync(path) ? { uid: 0, gid: 0, mode: isFolder(path) ? 0o755 : 0o644 } : undefined),
});

async function optionsFor(name: string, uses: readonly string[] = []): Promise<LifeOptions> {
  const path = join(FIXTURES, name);
  const system = await recognise({ path, bytes: files().read(path) });
  if (system === undefined) throw new Error(`${name} belongs to no system`);
  return { system, path, files, uses };
}

it.each([
  ['freebsd/built/echo.ko', ['cat /dev/echo']],
  ['freebsd/built/echo32.ko', []],
  ['netware/built/HELLO.NLM', []],
  ['windows/built/hello.sys', []],
  ['windows/built/ioctls-x86.sys', []],
  ['vxworks/built/hello.o', ['hello']],
  ['macos/built/Counter.kext', []],
] as const)(
  '%s has the same life under every engine and by single steps',
  { timeout: 60_000 },
  async (name, uses) => {
    const { life, ways, differing } = await agreement(await optionsFor(name, uses));
    expect(differing).toEqual([]);
    expect(ways).toEqual(['interpreter', 'wasm', 'auto', 'steps']);
    expect(life).toMatchObject({ internal: undefined, load: { code: 0 }, unload: expect.anything() });
    expect(life.retired).toBeGreaterThan(0);
  },
);

it('tells lives apart', async () => {
  const options = await optionsFor('windows/built/hello.sys');
  const life = await lifeOf(options, 'interpreter');
  expect(lifeDifferences(life, life)).toEqual([]);
  expect(lifeDifferences(life, { ...life, retired: life.retired + 1, uses: [1] })).toEqual([
    'uses',
    'retired',
  ]);
  const used = await lifeOf({ ...options, uses: ['driverquery /nothing'] }, 'interpreter');
  expect(lifeDifferences(life, used)).toContain('uses');
});
