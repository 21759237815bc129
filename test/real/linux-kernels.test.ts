/**
 * The base kernel with the types, exports and rules of other Debian kernels than the built-in one: every amd64 kernel in
 * the cache (scripts/fetch-debian.mjs) boots, loads, uses and unloads modules of its own package, and refuses others'.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { blake2b } from '@noble/hashes/blake2';
import { describe, expect, it } from 'vitest';
import { bootLinux } from '../../src/systems/linux/bootkernel.ts';
import { badBlocks } from '../../src/systems/linux/functions/badblocks.ts';
import { newerFunctions, newestFunctions } from '../../src/systems/linux/functions/newer.ts';
import { newerBlock } from '../../src/systems/linux/functions/newer-block.ts';
import { fauxBusFunctions } from '../../src/systems/linux/functions/newer-faux-bus.ts';
import { isaBus } from '../../src/systems/linux/functions/newer-isa-bus.ts';
import { newerKinds } from '../../src/systems/linux/functions/newer-kinds.ts';
import { newerRegistrations } from '../../src/systems/linux/functions/newer-registrations.ts';
import { readKernel } from '../../src/systems/linux/kernelfile/open.ts';
import { comparePrototypes, formatMismatches } from '../../src/systems/linux/kernelfile/prototype-check.ts';
import { insmod } from '../../src/systems/linux/loader.ts';
import { moduleBytes } from '../../src/targets/census-tree.ts';
import { mixed } from '../../src/targets/mixed-bytes.ts';
import { fixture } from '../systems/linux/kernel.ts';
import { ascii, bytes, hex, type Live, RealModules } from './linux-use.ts';
import { describeWith, needsOtherKernels } from './require.ts';

const CHECK = ascii('123456789');
const TEXT = mixed(1000, 5);
const sum = (live: Live, name: string) => Number(live.call(name, 0, live.memory(CHECK), 9) & 0xffffn);

/** What each module does, and what must come out: check values, published vectors, other implementations. */
const USES: readonly (readonly [module: string, use: (live: Live) => unknown, expected: unknown])[] = [
  ['crc7', (live) => sum(live, 'crc7_be') & 0xff, 0x75 << 1],
  ['crc16', (live) => sum(live, 'crc16'), 0xbb3d],
  ['crc-itu-t', (live) => sum(live, 'crc_itu_t'), 0x31c3],
  ['md4', (live) => live.digest('md4', ascii('abc')), 'a448017aaf21d8525fc10ae87aa6729d'],
  ['sha512_generic', (live) => live.digest('sha512', TEXT), createHash('sha512').update(TEXT).digest('hex')],
  [
    'sha3_generic',
    (live) => live.digest('sha3-256', TEXT),
    createHash('sha3-256').update(TEXT).digest('hex'),
  ],
  ['blake2b_generic', (live) => live.digest('blake2b-256', TEXT), hex(blake2b(TEXT, { dkLen: 32 }))],
  [
    'des_generic',
    (live) => live.encrypt('des', bytes('133457799bbcdff1'), bytes('0123456789abcdef')),
    '85e813540f0ab405',
  ],
  ['lz4_compress', () => 'loaded', 'loaded'],
  ['libarc4', () => 'loaded', 'loaded'],
  ['nls_cp437', () => 'loaded', 'loaded'],
  ['nls_utf8', () => 'loaded', 'loaded'],
];

describeWith(needsOtherKernels(), 'other kernels', (kernels) => {
  const opened = new Map<string, ReturnType<typeof readKernel>>();
  const kernelOf = (path: string) => {
    const known = opened.get(path) ?? readKernel(new Uint8Array(readFileSync(path)));
    opened.set(path, known);
    return known;
  };

  describe.each(kernels.map((kernel) => [kernel.release, kernel] as const))('%s', (release, kernel) => {
    it('loads, uses and unloads its own modules', { timeout: 120_000 }, () => {
      const modules = new RealModules(kernel, kernelOf(kernel.vmlinuz));
      const used = USES.filter(([name]) => modules.has(name));
      for (const [name, use, expected] of used) {
        const { result, leaks } = modules.with(name, use);
        expect(result, name).toEqual(expected);
        expect(leaks, name).toBe(0);
      }
      expect(used.length).toBeGreaterThan(4);
    });

    it('refuses a module of another kernel, by its vermagic', { timeout: 120_000 }, () => {
      const k = bootLinux(kernelOf(kernel.vmlinuz));
      const other = kernels.find((one) => one.release !== release) ?? kernel;
      const module = new RealModules(other).tree.modules.find(({ name }) => name === 'nls_utf8');
      const foreign = module === undefined ? fixture('hello') : moduleBytes(module);
      const result = insmod(k, foreign);
      expect(result.outcome).toBe('refused');
      if (result.outcome !== 'refused') return;
      expect(['vermagic', 'this-module-size', 'module-layout']).toContain(result.refusal.rule);
      expect(k.modules.size).toBe(0);
    });
  });

  it('prototypes of newer functions are those of the newest kernel, or of one before it', () => {
    // badBlocks: 6.1's form of a function that changed after 6.12.
    const tables = [
      newerFunctions,
      newestFunctions,
      newerBlock,
      badBlocks,
      newerRegistrations,
      newerKinds,
      isaBus,
      ...fauxBusFunctions,
    ];
    const names = tables.flatMap((table) => [...table.keys()]);
    const wrong = new Map<string, string>();
    const right = new Set<string>();
    // A function that changed between two kernels has a prototype for each: the kernel at hand fits one of them.
    const fits = new Set<string>();
    for (const { release, vmlinuz } of kernels.filter((one) => !one.release.startsWith('6.1.'))) {
      for (const table of tables) {
        for (const [name, { prototype }] of table) {
          const { compared, mismatches } = comparePrototypes([prototype], kernelOf(vmlinuz));
          if (compared > 0 && mismatches.length === 0) fits.add(`${release}, ${name}`);
          if (compared > 0 && mismatches.length === 0) right.add(prototype);
          else if (compared > 0) wrong.set(prototype, `${release}, ${name}: ${formatMismatches(mismatches)}`);
        }
      }
    }
    expect(names.length).toBeGreaterThan(15);
    const unfit = [...wrong].filter(
      ([prototype, text]) => !right.has(prototype) && !fits.has(text.slice(0, text.indexOf(': '))),
    );
    expect(unfit.map(([, text]) => text)).toEqual([]);
  });
});
