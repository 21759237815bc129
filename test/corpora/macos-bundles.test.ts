/**
 * Real kext bundles in ~/.cache/lkm/macos/kexts (any folders, any depth): each is described as LLVM's tools, libplist and
 * OpenSSL see it; those with a valid signature no longer have one when a byte changes. LKM_FULL=1 takes every bundle and more
 * bytes of each.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/bytes/errors.ts';
import { KextBundle } from '../../src/systems/macos/bundle.ts';
import { verifySignature } from '../../src/systems/macos/signature/verify.ts';
import { describeKext } from '../../src/tools/macos/describe.ts';
import { hostBundle } from '../../src/tools/macos/host-bundle.ts';
import { leaveOut } from '../leave-out.ts';
import { compareExecutable, comparePlist, kextsBelow, opensslVerifies } from '../real/macho-llvm.ts';
import { seeded, testSeed } from '../real/random.ts';
import { cacheDirectory } from '../real/require.ts';
import { noticed, signedFiles } from '../systems/macos/tamper.ts';

const root = join(cacheDirectory(), 'macos', 'kexts');
const FULL = process.env.LKM_FULL === '1';
const SAMPLE = 40;

/** One of each content: collections hold the same kexts again and again. */
function different(paths: readonly string[]): string[] {
  const seen = new Set<string>();
  return paths.filter((path) => {
    const hash = createHash('sha256');
    const { tree, at } = hostBundle(path);
    for (const one of tree.walk(at)) hash.update(one.slice(at.length)).update(tree.lookUp(one)?.bytes ?? '');
    const key = hash.digest('hex');
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

const skip = leaveOut(import.meta.url, !existsSync(root) && 'no kext bundles below ~/.cache/lkm/macos/kexts');
const all = skip ? [] : different(kextsBelow(root));

function open(path: string): KextBundle | undefined {
  const { tree, at } = hostBundle(path);
  try {
    return new KextBundle(tree, at);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

const readable = all.filter((path) => open(path) !== undefined);
const seed = testSeed();
const random = seeded(seed);
const chosen = FULL ? readable : random.sample(readable, SAMPLE);

describe.skipIf(skip)(`kext bundles of others (seed ${seed})`, () => {
  it('are described', { timeout: 1_800_000 }, async () => {
    expect(readable.length).toBeGreaterThan(0);
    for (const path of readable) {
      const { facts } = await describeKext({ path, bytes: undefined });
      expect(facts.identifier, path).toBeTypeOf('string');
    }
  });

  it.each(chosen)('as others see them: %s', (path) => {
    const bundle = open(path);
    const executable = bundle?.executablePath();
    if (bundle === undefined) return;
    expect(comparePlist(join(path, bundle.infoPath.slice(bundle.path.length))).list).toEqual([]);
    // A collection may hold a text in the place of a program.
    if (executable === undefined || bundle.slices.length === 0) return;
    const found = compareExecutable(join(path, executable.slice(bundle.path.length)));
    expect(found.list).toEqual([]);
    expect(found.compared).toBeGreaterThan(50);
  });

  it('with signatures that OpenSSL verifies are not found wrong', { timeout: 1_800_000 }, async () => {
    for (const path of readable) {
      const bundle = open(path);
      const verdicts = bundle?.slices.map(({ bytes }) => opensslVerifies(bytes)) ?? [];
      if (bundle === undefined || !verdicts.includes(true)) continue;
      const { faults } = await verifySignature(bundle);
      expect(faults, path).not.toContain('the signature over the CodeDirectory is wrong');
    }
  });

  it('that are tampered with are caught, wherever a byte is signed', { timeout: 3_600_000 }, async () => {
    let tried = 0;
    for (const path of readable) {
      const bundle = open(path);
      if (bundle === undefined) continue;
      const { state, seals } = await verifySignature(bundle);
      if (state.kind !== 'apple' && state.kind !== 'developer') continue;
      const executable = bundle.executablePath();
      for (const { path: file, bytes } of signedFiles(bundle)) {
        // Nobody seals Finder's files and the ticket of a notarised bundle; certificates may be there that nobody needs.
        if (/\/(\.DS_Store|Contents\/CodeResources|CodeSignature)$/.test(file)) continue;
        // Of the program, what its pages cover.
        const slices = file === executable && seals[0].architecture !== 'all' ? bundle.slices : undefined;
        const limits = slices?.map((slice, i) => [slice.offset, seals[i].directory.codeLimit]) ?? [
          [0, bytes],
        ];
        for (const [start, length] of limits) {
          for (let n = FULL ? 40 : 6; n > 0; n--) {
            const offset = start + random.below(length);
            tried++;
            expect(await noticed(bundle, { path: file, offset }), `${file} at ${offset}`).toBe(true);
          }
        }
      }
    }
    expect(tried).toBeGreaterThan(0);
  });
});
