/** Layouts read from BTF against pahole's, on a little-endian and a big-endian kernel, for every record there is. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Btf } from '../../src/ctypes/btf.ts';
import { writeBtf } from '../../src/ctypes/btf-blob.ts';
import { type Field, type RecordType, sizeOf } from '../../src/ctypes/type.ts';
import { readElf } from '../../src/formats/elf/read.ts';
import { imageOf, paholeRecords, s390xBtf } from './ctypes-images.ts';
import { seeded, testSeed } from './random.ts';
import { describeWith, moduleFiles, needs, needsTool } from './require.ts';

/**
 * Our fields in the order and form of pahole's lines: an untagged record comes inside out, its members first, also when
 * the field is an array of it, or (then counted from 0) a pointer to it. Of untagged records inside one that a pointer
 * leads to pahole counts some from 0 again: `restarts` does so.
 */
function linesOf(record: RecordType, base: number, restarts: boolean, pointed = false): string[] {
  return record.fields.flatMap((field) => {
    const bits = base + field.bitOffset;
    let inside = field.type;
    let from = pointed && restarts ? 0 : bits;
    let behind = pointed;
    while (inside.kind === 'array' || inside.kind === 'pointer') {
      if (inside.kind === 'pointer') {
        from = 0;
        behind = true;
      }
      inside = inside.kind === 'array' ? inside.element : inside.target;
    }
    const untagged = (inside.kind === 'struct' || inside.kind === 'union') && inside.name === '';
    return [...(untagged ? linesOf(inside as RecordType, from, restarts, behind) : []), lineOf(field, bits)];
  });
}

function lineOf(field: Field, bits: number): string {
  const width = field.bitSize === undefined ? ` +${sizeOf(field.type)}` : `:${field.bitSize}`;
  return `${field.name} @${bits}${width}`;
}

function compareAll(btf: Btf): { compared: number; differing: string[] } {
  const base = btf.base === undefined ? undefined : writeBtf(btf.base);
  const differing: string[] = [];
  let compared = 0;
  for (const [name, candidates] of paholeRecords(writeBtf(btf), base)) {
    const [kind, tag] = name.split(' ') as ['struct' | 'union', string];
    compared++;
    // Private records of several files can share a tag: each of ours must be one of pahole's.
    const ours = btf
      .findAll(kind, tag)
      .filter((type): type is RecordType => 'complete' in type && type.complete);
    if (ours.length === 0) differing.push(`${name}: not found`);
    for (const real of ours) {
      const lines = linesOf(real, 0, false);
      const forms = [lines, linesOf(real, 0, true)].map((form) => form.join('\n'));
      const same = candidates.some((c) => c.size === real.size && forms.includes(c.lines.join('\n')));
      if (!same && candidates.length >= ours.length) {
        differing.push(`${name}: ${firstDifference(candidates[0]!.lines, lines)}`);
      }
    }
  }
  return { compared, differing };
}

function firstDifference(theirs: readonly string[], ours: readonly string[]): string {
  const at = theirs.findIndex((line, i) => line !== ours[i]);
  return at < 0
    ? `${ours.length} lines, pahole has ${theirs.length}`
    : `pahole '${theirs[at]}', here '${ours[at]}'`;
}

const pahole = needsTool('pahole');
const amd64 = needs('debian-amd64');
const bigEndian = pahole === undefined ? undefined : s390xBtf();
if (bigEndian === undefined) console.warn('skipped: this test needs an s390x kernel of trixie or later');

describeWith(pahole === undefined ? undefined : amd64, 'layouts agree with pahole on amd64', (debian) => {
  it('every struct and union', { timeout: 120_000 }, () => {
    const { compared, differing } = compareAll(imageOf(debian).btf!);
    expect(differing.slice(0, 20)).toEqual([]);
    expect(compared).toBeGreaterThan(7000);
  });
});

describeWith(bigEndian, 'layouts agree with pahole on s390x (big-endian)', (btf) => {
  it('every struct and union', { timeout: 120_000 }, () => {
    const { compared, differing } = compareAll(new Btf(btf));
    expect(differing.slice(0, 20)).toEqual([]);
    expect(compared).toBeGreaterThan(4000);
  });
});

describeWith(pahole === undefined ? undefined : amd64, 'split BTF of modules', (debian) => {
  const seed = testSeed();
  const files = seeded(seed).sample(moduleFiles(debian.modules), Number(process.env.LKM_CASES ?? 6));

  it(`agrees with pahole over its base (LKM_SEED=${seed})`, { timeout: 300_000 }, () => {
    const base = imageOf(debian).btf!;
    let compared = 0;
    for (const file of files) {
      const elf = readElf(new Uint8Array(readFileSync(file)));
      const section = elf.section('.BTF');
      if (section === undefined) continue;
      const result = compareAll(new Btf(elf.data(section).slice(), { base }));
      expect(result.differing.slice(0, 5), file).toEqual([]);
      compared += result.compared;
    }
    expect(compared).toBeGreaterThan(files.length);
  });
});
