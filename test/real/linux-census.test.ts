import { expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { type CensusResult, censusOne, isClean } from '../../src/targets/census.ts';
import { modulesBelow, Tree, type TreeModule } from '../../src/targets/census-tree.ts';
import { BUILT_IN, openKernel } from '../../src/targets/kernel-store.ts';
import { seeded, testSeed } from './random.ts';
import { describeWith, needs } from './require.ts';

/** Each algorithm is used on one piece of data (bytes). */
const USE = 2 ** 20;
/** How many modules a normal run tries; LKM_FULL=1 tries all. */
const SAMPLE = 40;
/** Of i386, under each engine. */
const NARROW_SAMPLE = 12;
const FULL = process.env.LKM_FULL === '1';

/** Modules that must go through their whole life without anything missing: libraries, hashes, ciphers, compressors. */
const CLEAN = (
  'crc7 crc16 crc-itu-t crc8 crc64 libarc4 libdes libpoly1305 md4 sha512_generic sha3_generic blake2b_generic ' +
  'xxhash_generic des_generic twofish_generic serpent_generic lz4_compress lz4hc_compress lz4 zstd nls_cp437 ' +
  'nls_utf8 mac-roman crc32_generic crc32c_generic michael_mic rmd160 camellia_generic cast6_generic'
).split(' ');

describeWith(needs('debian-amd64'), 'the census of Debian modules', ({ modules: directory }) => {
  const tree = new Tree(modulesBelow(directory));
  const kernel = openKernel(BUILT_IN, { packaged: packagedPath, environment: process.env });
  const read = (module: TreeModule) => ({ ...module, bytes: tree.bytesOf(module) });
  const requested = (name: string) => {
    const module = tree.find(name);
    return module === undefined ? [] : tree.plan(module).map(read);
  };
  const census = (module: TreeModule): CensusResult =>
    censusOne(kernel, tree.plan(module).map(read), { requested, use: USE });

  it.each(CLEAN)('%s is clean', (name) => {
    const module = tree.find(name);
    expect(module, name).toBeDefined();
    if (module === undefined) return;
    const { row, leaks, lostPages, internal } = census(module);
    expect({ clean: isClean(row), leaks, lostPages, internal }, JSON.stringify(row)).toEqual({
      clean: true,
      leaks: [],
      lostPages: 0,
      internal: undefined,
    });
    expect(row.used.filter(({ right }) => right === false)).toEqual([]);
  });

  it.each([
    'sha512_generic',
    'sha3_generic',
    'rmd160',
    'crc32_generic',
    'camellia_generic',
    'des_generic',
    'zstd',
  ])('%s computes what other implementations compute', (name) => {
    const module = tree.find(name);
    expect(module, name).toBeDefined();
    const used = module === undefined ? [] : census(module).row.used;
    expect(used.length).toBeGreaterThan(0);
    expect(
      used.every(({ right, bytes }) => right === true && bytes === USE),
      JSON.stringify(used),
    ).toBe(true);
  });

  it(
    FULL ? 'no module ends in a defect; 200 are clean' : `no module of ${SAMPLE} ends in a defect`,
    () => {
      const seed = testSeed();
      const chosen = FULL ? tree.modules : seeded(seed).sample(tree.modules, SAMPLE);
      let clean = 0;
      const defects: string[] = [];
      for (const module of chosen) {
        const { row, internal, lostPages } = census(module);
        if (isClean(row)) clean++;
        if (internal !== undefined) defects.push(`${module.name}: ${internal}`);
        if (lostPages > 0) defects.push(`${module.name}: ${lostPages} pages lost`);
        if (row.used.some(({ right }) => right === false)) defects.push(`${module.name}: computes wrong`);
      }
      expect(defects, `LKM_SEED=${seed}`).toEqual([]);
      if (FULL) expect(clean).toBeGreaterThanOrEqual(200);
    },
    FULL ? 3_600_000 : 300_000,
  );
});

describeWith(needs('debian-i386'), 'the census of Debian modules for i386', ({ modules: directory }) => {
  const tree = new Tree(modulesBelow(directory));
  const kernel = openKernel('builtin:debian-6.1-686', {
    packaged: packagedPath,
    environment: process.env,
  });
  const read = (module: TreeModule) => ({ ...module, bytes: tree.bytesOf(module) });
  const requested = (name: string) => {
    const module = tree.find(name);
    return module === undefined ? [] : tree.plan(module).map(read);
  };

  it(
    'no module ends in a defect, and both engines agree line by line',
    () => {
      const seed = testSeed();
      const random = FULL ? tree.modules : seeded(seed).sample(tree.modules, NARROW_SAMPLE);
      const certain = CLEAN.slice(0, FULL ? 0 : 6).map((name) => tree.find(name));
      const problems: string[] = [];
      for (const module of [...random, ...certain]) {
        if (module === undefined) continue;
        const plan = tree.plan(module).map(read);
        const [one, other] = (['interpreter', 'wasm'] as const).map((engine) => {
          const result = censusOne(kernel, plan, { requested, engine, state: true, use: USE });
          return { ...result, row: { ...result.row, ms: 0 } };
        });
        if (one.internal !== undefined) problems.push(`${module.name}: ${one.internal}`);
        if (one.lostPages > 0) problems.push(`${module.name}: ${one.lostPages} pages lost`);
        if (JSON.stringify(one) !== JSON.stringify(other))
          problems.push(`${module.name}: the engines differ`);
        if (certain.includes(module) && !isClean(one.row))
          problems.push(`${module.name}: ${JSON.stringify(one.row)}`);
      }
      expect(problems, `LKM_SEED=${seed}`).toEqual([]);
    },
    FULL ? 7_200_000 : 300_000,
  );
});
