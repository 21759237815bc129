/** The kernel file against what Debian's own build recorded about the same kernel, and the built-in profile against it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { KernelFile } from '../../src/systems/linux/kernelfile/kernelfile.ts';
import { readKernel } from '../../src/systems/linux/kernelfile/open.ts';
import { decode, encode } from '../../src/systems/linux/kernelfile/saved.ts';
import { linuxDeclarations } from '../../src/systems/linux/kernelfile/typedefs.ts';
import { imageOf } from './ctypes-images.ts';
import { cacheDirectory, type DebianKernel, describeWith, needs } from './require.ts';

const amd64 = needs('debian-amd64');

/** Module.symvers of the headers package of the same release, where it is installed. */
function symvers(debian: DebianKernel): string | undefined {
  const file = `/usr/src/linux-headers-${debian.release}/Module.symvers`;
  if (existsSync(file)) return readFileSync(file, 'utf8');
  const message = `this test needs the package linux-headers-${debian.release}`;
  if (process.env.LKM_NO_SKIP === '1') throw new Error(message);
  console.warn(`skipped: ${message}`);
  return undefined;
}

/** A 6.12 or later kernel of any amd64 flavour, when one was fetched. */
function laterKernel(): KernelFile | undefined {
  const parent = join(cacheDirectory(), 'debian');
  const found = readdirSync(parent).find((name) => /^linux-image-(6\.[1-9]\d|[7-9]).*amd64$/.test(name));
  if (found === undefined) return undefined;
  const boot = join(parent, found, 'boot');
  const vmlinuz = readdirSync(boot).find((name) => name.startsWith('vmlinuz-'));
  return vmlinuz === undefined ? undefined : readKernel(new Uint8Array(readFileSync(join(boot, vmlinuz))));
}

const truth = amd64 === undefined ? undefined : symvers(amd64);
const both = amd64 === undefined || truth === undefined ? undefined : { debian: amd64, truth };

describeWith(both, 'exports of a Debian kernel', ({ debian, truth }) => {
  const lines = truth
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(([, , owner]) => owner === 'vmlinux');

  it('are all those of Module.symvers, with CRC, licence and namespace', () => {
    const { exports } = imageOf(debian);
    expect(exports.size).toBe(lines.length);
    const ours = lines.map(([, name]) => exports.find(name!));
    const got = ours.map((e) => [e?.name, e?.crc, e?.gplOnly, e?.namespace]);
    expect(got).toEqual(
      lines.map(([crc, name, , kind, space]) => [name, Number(crc), /GPL/.test(kind!), space ?? '']),
    );
  });

  it('are told apart into functions, data and per-CPU data', () => {
    const { exports } = imageOf(debian);
    const kinds = (names: readonly string[]) => names.map((name) => exports.find(name)?.kind);
    expect(kinds(['kfree', '_printk', '__fentry__', '__x86_return_thunk'])).toEqual(
      Array(4).fill('function'),
    );
    expect(kinds(['jiffies', 'param_ops_int', 'init_task', 'pv_ops', 'system_wq'])).toEqual(
      Array(5).fill('data'),
    );
    expect(kinds(['cpu_info', 'current_task', '__preempt_count'])).toEqual(Array(3).fill('percpu'));
  });

  it('lie where the kernel file says its sections are', () => {
    const kernel = imageOf(debian);
    for (const found of kernel.exports) {
      expect(found.kind, found.name).not.toBe('absolute');
      expect(kernel.read(found.address, 1), found.name).toBeDefined();
    }
  });
});

describeWith(amd64, 'the kernel file of a Debian kernel', (debian) => {
  it('has release, vermagic with its trailing space, banner and configuration', () => {
    const kernel = imageOf(debian);
    expect(kernel.release).toBe(debian.release);
    expect(kernel.vermagic).toBe(`${debian.release} SMP preempt mod_unload modversions `);
    expect(kernel.banner).toMatch(
      new RegExp(`^Linux version ${debian.release} .* #1 SMP PREEMPT_DYNAMIC Debian `),
    );
    expect(kernel.config?.get('CONFIG_HZ')).toBe('250');
    expect(kernel.config?.get('CONFIG_MODULE_SIG')).toBe('y');
  });

  it('knows the loader rules of 6.1 as Debian builds it', () => {
    const { rules } = imageOf(debian);
    const has = [
      'blacklist',
      'symbol-versions',
      'version-entry-required',
      'force-load',
      'namespaces',
      'inherit-taint',
    ];
    const lacks = [
      'this-module-size',
      'signature-required',
      'constructors',
      'idempotent-load',
      'extended-versions',
    ];
    expect(has.filter((rule) => !rules.has(rule))).toEqual([]);
    expect(lacks.filter((rule) => rules.has(rule))).toEqual([]);
  });

  it('finds rules of later kernels where they are', () => {
    const later = laterKernel();
    if (later === undefined) return;
    const has = [
      'this-module-size',
      'single-modinfo',
      'early-duplicate-check',
      'idempotent-load',
      'decompress',
    ];
    const { rules, release } = later;
    expect(
      has.filter((rule) => !rules.has(rule)),
      release,
    ).toEqual([]);
  });

  it('has the size of struct module and the per-CPU variables', () => {
    const kernel = imageOf(debian);
    expect(kernel.moduleBytes).toBe(896);
    const preempt = kernel.percpu.find((v) => v.name === 'pcpu_hot' || v.name === '__preempt_count');
    expect(preempt?.offset).toBe(kernel.exports.find(preempt!.name)?.address);
  });

  it('survives saving with all its types', () => {
    const kernel = imageOf(debian);
    const again = decode(encode(kernel, { types: 'all', config: 'all' }).bytes);
    expect([...again.exports]).toEqual([...kernel.exports]);
    expect(again.sections).toEqual(kernel.sections);
    expect([...again.config!]).toEqual([...kernel.config!]);
    expect(again.types.layout('task_struct').size).toBe(kernel.types.layout('task_struct').size);
    expect(again.types.prototype('kfree')?.parameters.map((p) => p.class)).toEqual(['pointer']);
  });

  it('has every typedef that prototypes use, or this project has it with the same size', () => {
    const kernel = imageOf(debian);
    const declarations = linuxDeclarations(kernel.types);
    expect(
      declarations.prototype('void f(size_t a, gfp_t b, loff_t c)').parameters.map((p) => p.class),
    ).toEqual(['ulong', 'u32', 'long']);
  });
});

describeWith(amd64, 'the built-in profile', (debian) => {
  it('says what the kernel it was made from says', () => {
    const saved = readKernel(new Uint8Array(readFileSync('profiles/debian-6.1.kernel')));
    const kernel = imageOf(debian);
    if (saved.release !== kernel.release) return; // made from another build of 6.1: nothing to compare
    expect([...saved.exports]).toEqual([...kernel.exports]);
    expect(saved.vermagic).toBe(kernel.vermagic);
    expect([...saved.rules]).toEqual([...kernel.rules]);
    for (const name of saved.types.names('struct')) {
      const type = saved.types.type(`struct ${name}`);
      if (type?.kind !== 'struct' || !type.complete) continue;
      const places = (types: typeof saved.types) =>
        types
          .layout(`struct ${name}`)
          .fields.map((f) => [f.name, f.offset, f.size, f.bitOffset, f.bitSize, f.kind]);
      expect(places(saved.types), name).toEqual(places(kernel.types));
    }
  });
});
