/**
 * The loader's verdict against real kernels under QEMU: modules that break one rule each, and every state of signature, with
 * and without enforcement. The matching kernel of 6.1 always; with LKM_FULL=1 every other amd64 kernel in the cache, and arm64.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { decompress } from '../../src/bytes/decompress.ts';
import { readKernel } from '../../src/systems/linux/kernelfile/open.ts';
import { testSeed } from './random.ts';
import { describeWith, moduleFiles, needs, needsTool } from './require.ts';
import { brokenModules } from './verdict/cases.ts';
import { COMMAND_LINES, underCommandLine } from './verdict/command-lines.ts';
import { compare } from './verdict/compare.ts';
import { furtherModules } from './verdict/further-cases.ts';
import { moreModules } from './verdict/more-cases.ts';
import { brokenAtRandom } from './verdict/mutations.ts';
import type { LoadStep } from './verdict/qemu.ts';
import { signatureStates } from './verdict/signatures.ts';
import { arm64Modules, modulesWithTables } from './verdict/table-cases.ts';

const whole = process.env.LKM_FULL === '1';
const minutes = 60_000;
/** Modules of the kernel's own build that only bring functions. */
const HARMLESS = ['crc7', 'crc8', 'crc-itu-t', 'nls_cp437'];

interface Image {
  readonly vmlinuz: string;
  readonly config: string | undefined;
  readonly modules: string;
}

/** A package as it was unpacked, in any of the layouts that Debian has had. */
function image(folder: string): Image | undefined {
  const find = (below: string, name: RegExp) => {
    const place = join(folder, below);
    const found = existsSync(place) ? readdirSync(place).find((file) => name.test(file)) : undefined;
    return found === undefined ? undefined : join(place, found);
  };
  const modules = find('usr/lib/modules', /^\d/) ?? find('lib/modules', /^\d/);
  const beside = modules === undefined ? undefined : join(modules, 'vmlinuz');
  const vmlinuz =
    find('boot', /^vmlinuz-/) ?? (beside !== undefined && existsSync(beside) ? beside : undefined);
  if (vmlinuz === undefined || modules === undefined) return undefined;
  const config = find('boot', /^config-/);
  return { vmlinuz, config: config === undefined ? undefined : readFileSync(config, 'utf8'), modules };
}

/** One package that the test asks for by name; the whole run takes every other one that is there as well. */
const debian = needs('debian-amd64');
const folders =
  debian === undefined || !whole
    ? [debian?.directory ?? []].flat()
    : readdirSync(dirname(debian.directory))
        .filter((name) => /^linux-image-\d.*-amd64$/.test(name) && !name.includes('-rt-'))
        .map((name) => join(dirname(debian.directory), name));
const images = folders.flatMap((folder) => image(folder) ?? []);
const tools =
  needsTool('qemu-system-x86_64') && needsTool('gcc') && needsTool('openssl') && needsTool('zstd');

describeWith(tools === undefined || images.length === 0 ? undefined : images, 'the verdict of', (found) => {
  for (const { vmlinuz, config, modules } of found) {
    const kernel = readKernel(readFileSync(vmlinuz), { config });
    const same = async (commandLine: string, steps: readonly LoadStep[], wild = false) => {
      const { differences, crashes, compared } = await compare(vmlinuz, kernel, commandLine, steps);
      expect(differences).toEqual([]);
      expect(compared).toBe(steps.length);
      // Where the real kernel crashes, ours must not load; what nonsense does to a kernel that follows it blindly is chance.
      if (wild) return;
      expect(crashes.filter(({ errno }) => errno === 0)).toEqual([]);
    };
    it(`${kernel.release} on broken modules`, { timeout: 10 * minutes }, () =>
      same('', brokenModules(kernel)),
    );
    it(`${kernel.release} on more of them`, { timeout: 10 * minutes }, () => same('', moreModules(kernel)));
    it(`${kernel.release} on further ones`, { timeout: 10 * minutes }, () =>
      same('', furtherModules(kernel)),
    );
    it(`${kernel.release} on tables of every kind, and two faults at once`, { timeout: 15 * minutes }, () =>
      same('', modulesWithTables(kernel)),
    );
    const seed = testSeed();
    const count = whole ? 400 : 60;
    it(`${kernel.release} on ${count} that are broken at random (LKM_SEED=${seed})`, {
      timeout: 20 * minutes,
    }, () => {
      const own = HARMLESS.flatMap((name) =>
        moduleFiles(modules).filter((file) => file.includes(`/${name}.ko`)),
      );
      const others = own.map((file) => ({
        what: file,
        bytes: decompress(new Uint8Array(readFileSync(file))),
      }));
      return same('', brokenAtRandom(kernel, seed, count, others), true);
    });
    const donor = moduleFiles(modules).find((file) => /\/crc7\.ko/.test(file)) ?? moduleFiles(modules)[0];
    const states = () => signatureStates(kernel, decompress(new Uint8Array(readFileSync(donor))));
    it.each(['', 'module.sig_enforce=1', 'lockdown=integrity', 'module_blacklist=verdict_probe,x'])(
      `${kernel.release} on signatures, with '%s'`,
      { timeout: 5 * minutes },
      (commandLine) => same(commandLine, states()),
    );
    it.each(whole ? COMMAND_LINES : COMMAND_LINES.slice(0, 4))(
      `${kernel.release} with '%s'`,
      { timeout: 10 * minutes },
      (commandLine) =>
        same(commandLine, underCommandLine(kernel, decompress(new Uint8Array(readFileSync(donor))))),
    );
  }
});

/** What is code or a relocation of x86. */
const OF_X86 = /reloc|^place-|percpu-|^start-|^exit-alone|^live-/;

// Another machine's emulator and compiler are asked for in the whole run alone.
if (whole) {
  const found = needs('debian-arm64');
  const tools = needsTool('qemu-system-aarch64') && needsTool('aarch64-linux-gnu-gcc') && needsTool('zstd');
  describeWith(tools === undefined ? undefined : found, 'the verdict of arm64', ({ vmlinuz, config }) => {
    const kernel = readKernel(readFileSync(vmlinuz), { config: readFileSync(config, 'utf8') });
    const sets = { brokenModules, moreModules, furtherModules, modulesWithTables, arm64Modules };
    it.each(Object.entries(sets))(
      `${kernel.release} on %s`,
      { timeout: 15 * minutes },
      async (_name, set) => {
        const steps = set(kernel).filter(({ name }) => set === arm64Modules || !OF_X86.test(name));
        const { differences, compared } = await compare(vmlinuz, kernel, '', steps);
        expect(differences).toEqual([]);
        expect(compared).toBe(steps.length);
      },
    );
  });
}
