/** C's %e, %f, %g and %a, against what a C library prints. */
import { describe, expect, it } from 'vitest';
import type { VarArgs } from '../../src/abi/convention.ts';
import { type FloatKind, putFloat } from '../../src/kernel/text/floating.ts';
import { Sink } from '../../src/kernel/text/sink.ts';
import { decodeSpec } from '../../src/kernel/text/spec.ts';

function shown(format: string, value: number): string {
  const out = new Sink(10_000);
  const { spec, kind } = decodeSpec(format, 1, {} as VarArgs);
  putFloat(out, value, spec, kind.toLowerCase() as FloatKind, kind !== kind.toLowerCase());
  return out.text;
}

/** Printed by glibc. */
const CASES: readonly (readonly [format: string, value: number, text: string])[] = [
  ['%f', 6.28318530717958, '6.283185'],
  ['%.0f', 0.5, '0'],
  ['%.0f', 1.5, '2'],
  ['%.0f', 2.5, '2'],
  ['%#.0f', 3, '3.'],
  ['%.20f', 0.1, '0.10000000000000000555'],
  ['%.3f', 1e22, '10000000000000000000000.000'],
  ['%f', -0, '-0.000000'],
  ['%8.2f', 6.28318, '    6.28'],
  ['%-8.2f', 6.28318, '6.28    '],
  ['%08.2f', -6.28318, '-0006.28'],
  ['%+.1f', 2, '+2.0'],
  ['% .1f', 2, ' 2.0'],
  ['%e', 0, '0.000000e+00'],
  ['%e', 123456, '1.234560e+05'],
  ['%.0e', 2.5, '2e+00'],
  ['%.0e', 9.6, '1e+01'],
  ['%.3E', 1e-300, '1.000E-300'],
  ['%.17e', 1e23, '9.99999999999999916e+22'],
  ['%.15e', 1e23, '9.999999999999999e+22'],
  ['%g', 100000, '100000'],
  ['%g', 1000000, '1e+06'],
  ['%g', 0.0001, '0.0001'],
  ['%g', 0.00001234, '1.234e-05'],
  ['%.3g', 1234.5, '1.23e+03'],
  ['%#g', 1, '1.00000'],
  ['%g', 0, '0'],
  ['%G', 1e-10, '1E-10'],
  ['%f', Number.POSITIVE_INFINITY, 'inf'],
  ['%08f', Number.NEGATIVE_INFINITY, '    -inf'],
  ['%E', Number.NaN, 'NAN'],
  ['%a', 1, '0x1p+0'],
  ['%a', 0.1, '0x1.999999999999ap-4'],
  ['%.2a', 3.999, '0x2.00p+1'],
  ['%A', 10.5, '0X1.5P+3'],
  ['%a', 0, '0x0p+0'],
  ['%f', 5e-324, '0.000000'],
  ['%.3e', 5e-324, '4.941e-324'],
];

describe('floating point', () => {
  it.each(CASES)('%s of %d is %s', (format, value, text) => {
    expect(shown(format, value)).toBe(text);
  });
});
