/** Debian's own modules are linked with everything they depend on, without running them. A sample by seed, or all. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, it } from 'vitest';
import { mapCatalog, planLoad } from '../../src/catalog/closure.ts';
import { readElfObject } from '../../src/formats/elf/object.ts';
import { builtinNames } from '../../src/systems/linux/builtin.ts';
import { inspectModule } from '../../src/systems/linux/describe.ts';
import type { KernelFile } from '../../src/systems/linux/kernelfile/kernelfile.ts';
import { readKernel } from '../../src/systems/linux/kernelfile/open.ts';
import { builtInKeyring } from '../../src/systems/linux/keyring.ts';
import type { Linux } from '../../src/systems/linux/linux.ts';
import { insmod, rmmod } from '../../src/systems/linux/loader.ts';
import { boot, builtinKernel, linkOnly } from '../systems/linux/kernel.ts';
import { seeded, testSeed } from './random.ts';
import { describeWith, moduleFiles, needs } from './require.ts';

const SAMPLE = process.env.LKM_FULL === '1' ? Number.POSITIVE_INFINITY : 40;

/** Loads a dependency without its init function. */
function loadQuietly(k: Linux, bytes: Uint8Array): string {
  const inject = (step: string) => {
    const newest = [...k.modules].at(-1);
    if (step === 'init' && newest !== undefined) k.write('module.init', newest.control, 0);
  };
  const result = insmod(k, bytes, '', { inject });
  return result.outcome === 'refused' ? result.refusal.message : result.outcome;
}

describeWith(needs('debian-amd64'), 'the loader on a module tree', (debian) => {
  const files = new Map(moduleFiles(debian.modules).map((file) => [basename(file, '.ko'), file]));
  const read = (file: string) => new Uint8Array(readFileSync(file));
  const depends = new Map<string, readonly string[]>();
  const catalog = mapCatalog(files, (file) => {
    const known = depends.get(file) ?? inspectModule(readElfObject(read(file))).depends;
    depends.set(file, known);
    return known;
  });
  const seed = testSeed();
  const same = debian.release === builtinKernel().release;

  it.skipIf(!same)(`links a sample of seed ${seed} with its dependencies`, { timeout: 3_600_000 }, () => {
    const names = [...files.keys()].sort();
    const sample =
      names.length <= SAMPLE ? names : seeded(seed).sample(names, Math.min(SAMPLE, names.length));
    for (const name of sample) {
      const plan = planLoad(catalog, name);
      const k = boot({ ramMiB: 256 });
      for (const file of plan?.order.slice(0, -1) ?? [])
        expect(loadQuietly(k, read(file)), file).toBe('loaded');
      const last = plan?.order.at(-1) ?? '';
      const result = linkOnly(k, read(last));
      expect(typeof result === 'string' ? result : result.outcome, name).toBe('linked');
    }
  });

  it('finds the key of its modules, and built-in names, in the kernel image', { timeout: 120_000 }, () => {
    const kernel = readKernel(read(debian.vmlinuz));
    const { key, signer } = inspectModule(readElfObject(read(files.get('crc7') ?? ''))).signature;
    expect(signer).not.toBe('');
    const serials = (one: KernelFile) =>
      builtInKeyring(one)?.map(({ serial }) => Buffer.from(serial).toString('hex'));
    expect(serials(kernel)).toEqual([key]);
    if (same) expect(serials(builtinKernel())).toEqual([key]);
    expect([...builtinNames(kernel)]).toEqual(expect.arrayContaining(['block', 'printk', 'workqueue']));
    if (same) expect([...builtinNames(builtinKernel())].sort()).toEqual([...builtinNames(kernel)].sort());
  });

  it.skipIf(!same)('loads crc7 again and again, signed by a key the kernel knows', () => {
    const k = boot();
    const bytes = read(files.get('crc7') ?? '');
    for (let i = 0; i < 60; i++) {
      const result = insmod(k, bytes);
      expect(result.outcome).toBe('loaded');
      if (result.outcome === 'loaded') expect(result.module.signature.verdict).toBe('trusted-key');
      rmmod(k, 'crc7');
    }
    expect(k.taint).toBe(0);
    expect(k.log.records).toEqual([]);
  });
});
