/**
 * Drivers that their authors published, in ~/.cache/lkm/solaris/drivers/{amd64,i386}/PACKAGE/NAME with what they need
 * beside them: each is described as readelf sees it, starts and stops with its own code, and finds its card, which does
 * not answer, without damage to the kernel.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readElf } from '../../src/formats/elf/read.ts';
import { describeSolaris, recogniseSolaris } from '../../src/systems/solaris/describe.ts';
import { solaris } from '../../src/tools/solaris/native.ts';
import type { SolarisSession } from '../../src/tools/solaris/session.ts';
import { leaveOut } from '../leave-out.ts';
import { cacheDirectory } from '../real/require.ts';

const root = join(cacheDirectory(), 'solaris/drivers');
const folders = ['amd64', 'i386']
  .flatMap((isa) =>
    existsSync(join(root, isa)) ? readdirSync(join(root, isa)).map((one) => `${isa}/${one}`) : [],
  )
  .sort();
const all = folders.flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => !name.endsWith('.conf'))
    .map((name) => ({ folder, name, path: join(root, folder, name) })),
);
const read = (path: string) => new Uint8Array(readFileSync(path));

async function start(path: string, settings: Readonly<Record<string, string>> = {}): Promise<SolarisSession> {
  const folder = join(path, '..');
  const at = (name: string) => join(folder, name);
  const bits = readElf(read(path)).header.machine === 62 ? 'amd64' : 'i386';
  const session = await solaris.start({
    files: {
      read: (name) => (statSync(at(name), { throwIfNoEntry: false })?.isFile() ? read(at(name)) : undefined),
      list: () => undefined,
      stat: () => undefined,
    },
    settings: new Map(Object.entries({ isa: bits, ...settings })),
  });
  return session as SolarisSession;
}

/** What `readelf -W OPTION` prints. */
const readelf = (option: string, path: string): string =>
  execFileSync('readelf', ['-W', option, path], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  });

/** They ask for a register until it changes, which it never does here: a machine would hang as well. */
const NEVER_DONE = /runs without an end/;
/** They free their own memory twice when there is no USB device. */
const OWN_FAULT = new Set(['run', 'urtwn']);

describe.skipIf(leaveOut(import.meta.url, all.length === 0 && 'no drivers in ~/.cache/lkm/solaris/drivers'))(
  'drivers of others',
  () => {
    it.each(all)('$folder/$name is what readelf says', ({ path }) => {
      const elf = readElf(read(path));
      const found = describeSolaris(elf);
      expect(recogniseSolaris(elf)).toBe(1);
      expect(found.damage).toBeUndefined();
      const listed = [
        ...readelf('-S', path).matchAll(/^ +\[ *\d+\] (\S+) +\S+ +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+)/gm),
      ];
      expect(elf.sections.slice(1).map(({ name, size }) => [name, size])).toEqual(
        listed.map(([, name, size]) => [name, Number.parseInt(size, 16)]),
      );
      const undefinedNames = [...readelf('-s', path).matchAll(/ UND (\S+)$/gm)]
        .map(([, name]) => name)
        .sort();
      expect(found.imports.map(({ name }) => name).sort()).toEqual(undefinedNames);
    });

    it.each(all)('$folder/$name starts and stops', async ({ path, name }) => {
      const session = await start(path);
      expect(await session.load(name, [])).toMatchObject({ code: 0, module: name });
      expect((await session.run(['modinfo'])).out).toContain(` ${name} (`);
      expect(await session.unload(name)).toMatchObject({ code: 0, leaks: [] });
      expect([...session.kernel.missing.keys()]).toEqual([]);
    });

    it.each(all)('$folder/$name finds a card that does not answer', async ({ path, name }) => {
      if (describeSolaris(readElf(read(path))).linkages.every(({ kind }) => kind !== 'driver')) return;
      const session = await start(path, { device: 'pci10ec,8169' });
      session.install(name);
      const result = await session.load(name, []);
      if (result.code !== 0) return;
      const added = await session.run(['update_drv', '-a', '-i', '"pci10ec,8169"', name]);
      const usesCards = [...session.kernel.missing.keys()].some((one) => /^(csx|usb)_/.test(one));
      if (usesCards || OWN_FAULT.has(name) || NEVER_DONE.test(added.note ?? '')) return;
      expect(session.kernel.panicked).toBeUndefined();
      expect(added.code).toBe(0);
      expect((await session.run(['rem_drv', name])).code).toBe(0);
      expect(session.kernel.panicked).toBeUndefined();
    });
  },
);
