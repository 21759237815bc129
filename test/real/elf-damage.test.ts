/** Damaged real modules: every outcome is a typed error or a result, soon and in bounded memory. */
import { readFileSync, statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FormatError } from '../../src/bytes/errors.ts';
import { dynamicEntries, sectionGroups } from '../../src/formats/elf/dynamic.ts';
import { elfNotes } from '../../src/formats/elf/notes.ts';
import { elfObject } from '../../src/formats/elf/object.ts';
import { readElf } from '../../src/formats/elf/read.ts';
import { symbolVersions, versionDefinitions, versionNeeds } from '../../src/formats/elf/versions.ts';
import { elfHotSpots, mutations } from './mutate.ts';
import { seeded, testSeed } from './random.ts';
import { describeWith, moduleFiles, needs } from './require.ts';

/** LKM_MUTANTS raises the number for a long run. */
const MUTANTS = Number(process.env.LKM_MUTANTS ?? 4000);
/** Whole files of the sample take less than 5 ms: this tells work without bound from a busy machine. */
const SLOWEST_MS = 10_000;

/** Runs all readers; false when the file was refused. */
function readAll(bytes: Uint8Array, what: string): boolean {
  let refused = false;
  const attempt = <T>(step: () => T): T | undefined => {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof FormatError)) throw new Error(`${what}: ${error}`, { cause: error });
      refused = true;
      return undefined;
    }
  };
  const start = performance.now();
  const elf = attempt(() => readElf(bytes));
  if (elf !== undefined) {
    const object = attempt(() => elfObject(elf));
    attempt(() => object?.symbols);
    for (const { index } of elf.sections) attempt(() => object?.relocations(index));
    for (const read of [
      elfNotes,
      sectionGroups,
      dynamicEntries,
      versionNeeds,
      versionDefinitions,
      symbolVersions,
    ]) {
      attempt(() => read(elf));
    }
  }
  expect(performance.now() - start, what).toBeLessThan(SLOWEST_MS);
  return !refused;
}

describeWith(needs('debian-amd64'), 'damaged modules', (debian) => {
  const seed = testSeed();
  const small = moduleFiles(debian.modules).filter((file) => statSync(file).size < 40_000);
  const sample = seeded(seed).sample(small, 8);

  it(`${MUTANTS} mutants of seed ${seed} end in a typed error or a result`, { timeout: 600_000 }, () => {
    let whole = 0;
    for (const file of sample) {
      const bytes = new Uint8Array(readFileSync(file));
      const options = { count: Math.ceil(MUTANTS / sample.length), hot: elfHotSpots(bytes) };
      for (const mutant of mutations(bytes, seed, options)) {
        if (readAll(mutant.bytes, `${file}, ${mutant.what}`)) whole++;
      }
    }
    // Both outcomes must be common, or the mutator is too harsh or too mild to show anything.
    expect(whole).toBeGreaterThan(MUTANTS / 20);
    expect(whole).toBeLessThan((MUTANTS * 19) / 20);
  });

  it(`every truncation of one module of seed ${seed} does`, { timeout: 600_000 }, () => {
    const bytes = new Uint8Array(readFileSync(sample[0]));
    for (let length = 0; length < bytes.length; length += length < 4096 ? 1 : 61) {
      readAll(bytes.slice(0, length), `${sample[0]} cut at ${length}`);
    }
  });
});
