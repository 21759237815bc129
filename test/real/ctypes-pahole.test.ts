/** Layouts read from BTF against pahole's, on a little-endian and a big-endian kernel, for every record there is. */
import { expect, it } from 'vitest';
import { Btf } from '../../src/ctypes/btf.ts';
import { writeBtf } from '../../src/ctypes/btf-blob.ts';
import { TypeTable } from '../../src/ctypes/table.ts';
import { type Field, type RecordType, resolve, sizeOf } from '../../src/ctypes/type.ts';
import { imageOf, paholeRecords, s390xBtf } from './ctypes-images.ts';
import { describeWith, needs, needsTool } from './require.ts';

/**
 * Our fields in the order and form of pahole's lines: an untagged record comes inside out, its members first, also when
 * the field is an array of it, or (then counted from 0) a pointer to it.
 */
function linesOf(record: RecordType, base: number): string[] {
  return record.fields.flatMap((field) => {
    const bits = base + field.bitOffset;
    let inside = field.type;
    let from = bits;
    while (inside.kind === 'array' || inside.kind === 'pointer') {
      if (inside.kind === 'pointer') from = 0;
      inside = inside.kind === 'array' ? inside.element : inside.target;
    }
    const untagged = (inside.kind === 'struct' || inside.kind === 'union') && inside.name === '';
    return [...(untagged ? linesOf(inside as RecordType, from) : []), lineOf(field, bits)];
  });
}

function lineOf(field: Field, bits: number): string {
  const width = field.bitSize === undefined ? ` +${sizeOf(field.type)}` : `:${field.bitSize}`;
  return `${field.name} @${bits}${width}`;
}

function compareAll(btf: Uint8Array): { compared: number; differing: string[] } {
  const table = new TypeTable(new Btf(btf));
  const differing: string[] = [];
  let compared = 0;
  for (const [name, candidates] of paholeRecords(btf)) {
    const type = table.type(name);
    const real = type === undefined ? undefined : resolve(type);
    compared++;
    if (real === undefined || (real.kind !== 'struct' && real.kind !== 'union')) {
      differing.push(`${name}: not found`);
      continue;
    }
    const lines = linesOf(real, 0);
    const same = candidates.some((c) => c.size === real.size && c.lines.join('\n') === lines.join('\n'));
    if (!same) differing.push(`${name}: ${firstDifference(candidates[0]!.lines, lines)}`);
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
    const { compared, differing } = compareAll(writeBtf(imageOf(debian).btf!));
    expect(differing.slice(0, 20)).toEqual([]);
    expect(compared).toBeGreaterThan(7000);
  });
});

describeWith(bigEndian, 'layouts agree with pahole on s390x (big-endian)', (btf) => {
  it('every struct and union', { timeout: 120_000 }, () => {
    const { compared, differing } = compareAll(btf);
    expect(differing.slice(0, 20)).toEqual([]);
    expect(compared).toBeGreaterThan(4000);
  });
});
