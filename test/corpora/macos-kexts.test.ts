/**
 * Kexts that others pass on, in ~/.cache/lkm/macos/kexts/COLLECTION (bundles beside each other, nested ones in their
 * PlugIns). Every one with code for x86_64, and for i386 on 10.6, links and starts with its own code, or what ends it has a name; and it stops,
 * or says itself why not. LKM_MACOS_ALL=1 runs all of them instead of a sample.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSlices } from '../../src/formats/macho/fat.ts';
import { readMachO } from '../../src/formats/macho/read.ts';
import { MacosSession } from '../../src/tools/macos/session.ts';
import type { SystemFiles } from '../../src/tools/system.ts';
import { leaveOut } from '../leave-out.ts';
import { cacheDirectory } from '../real/require.ts';

const root = join(cacheDirectory(), 'macos/kexts');
const CPU = { x86_64: 0x01000007, i386: 7 } as const;
type Machine = keyof typeof CPU;
const SAMPLE = 12;

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
const files: SystemFiles = {
  read: (path) => (existsSync(path) && !isFolder(path) ? new Uint8Array(readFileSync(path)) : undefined),
  list: (path) =>
    isFolder(path)
      ? readdirSync(path).map((name) => (isFolder(join(path, name)) ? `${name}/` : name))
      : undefined,
  stat: (path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found && { uid: found.uid, gid: found.gid, mode: found.mode };
  },
};

function bundles(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (!isFolder(path)) return [];
    return [...(name.endsWith('.kext') ? [path] : []), ...bundles(path)];
  });
}

/** The executable when it has code for this machine. */
function executable(path: string, machine: Machine): Uint8Array | undefined {
  const plist = join(path, 'Contents/Info.plist');
  if (!existsSync(plist)) return undefined;
  const name = /<key>CFBundleExecutable<\/key>\s*<string>([^<]*)/.exec(readFileSync(plist, 'latin1'))?.[1];
  const at = join(path, 'Contents/MacOS', name ?? '');
  if (name === undefined || !existsSync(at) || isFolder(at)) return undefined;
  const bytes = new Uint8Array(readFileSync(at));
  return readSlices(bytes).some((slice) => readMachO(slice.bytes).header.cputype === CPU[machine])
    ? bytes
    : undefined;
}

/** Different executables, one bundle each. */
function kexts(on: Machine): string[] {
  const seen = new Set<string>();
  return bundles(root)
    .sort()
    .filter((path) => {
      const bytes = executable(path, on);
      const digest = bytes === undefined ? '' : createHash('sha1').update(bytes).digest('hex');
      if (bytes === undefined || seen.has(digest)) return false;
      seen.add(digest);
      return true;
    });
}

/** A machine on which the collection lies in the user's folder. */
function machine(kext: string, arch: Machine): { session: MacosSession; at: string } {
  const settings = new Map([
    ['release', arch === 'i386' ? '10.6' : '10.15'],
    ['arch', arch],
    ['sip', 'off'],
  ]);
  const session = new MacosSession({ files, seed: 1, user: 'root', settings });
  const top = kext.replace(/\.kext\/.*$/, '.kext');
  for (const name of readdirSync(dirname(top)))
    if (name.endsWith('.kext'))
      session.importer.take(join(dirname(top), name), `/Users/lkm/${basename(name)}`);
  return { session, at: `/Users/lkm${kext.slice(dirname(top).length)}` };
}

/** What the kext itself said at its stop, or the kernel of its objects that are still there. */
const OWN_REASON =
  /did not stop \(return code|classes have instances|outstanding references|panicked|uses \S+ of the kernel/;

/** How many of a sample started; every one that did not, or did not stop, must say why. */
async function startAndStop(chosen: readonly string[], arch: Machine): Promise<number> {
  let started = 0;
  for (const kext of chosen) {
    const name = kext.slice(root.length + 1);
    const { session, at } = machine(kext, arch);
    const loaded = await session.load(at, []);
    if (loaded.module === undefined) {
      expect(`${loaded.err}${loaded.note ?? ''}`, name).toMatch(
        /unresolved|uses \S+ of the kernel|did not start|panicked|libkern\/kext/,
      );
      continue;
    }
    started++;
    const stopped = await session.unload(loaded.module);
    const said = `${stopped.err}${stopped.note ?? ''}${loaded.note ?? ''}`;
    if (stopped.code !== 0) expect(said, name).toMatch(OWN_REASON);
  }
  return started;
}

const found = existsSync(root);
const skip = leaveOut(import.meta.url, !found && 'no kexts below ~/.cache/lkm/macos/kexts');

describe.skipIf(skip)('kexts of public collections', () => {
  it.each([
    ['x86_64', 0.9],
    ['i386', 0.6],
  ] as const)(
    'for %s link, start and stop with their own code, and what ends one has a name',
    {
      timeout: 600_000,
    },
    async (arch, share) => {
      const all = kexts(arch);
      const every = process.env.LKM_MACOS_ALL === '1' ? 1 : Math.max(1, Math.floor(all.length / SAMPLE));
      const chosen = all.filter((_, i) => i % every === 0);
      expect(await startAndStop(chosen, arch)).toBeGreaterThanOrEqual(Math.floor(chosen.length * share));
    },
  );
});
