import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPe } from '../../../src/formats/pe/read.ts';
import { controlCodeText, findControlCodes } from '../../../src/systems/windows/control-codes/find.ts';
import { BUILT, fixture } from './fixtures.ts';

const METHODS: Readonly<Record<string, number>> = { BUFFERED: 0, IN_DIRECT: 1, OUT_DIRECT: 2, NEITHER: 3 };

/** The codes that a source defines, as CTL_CODE makes them. */
function defined(source: string): number[] {
  const text = readFileSync(join(BUILT, '..', source), 'latin1');
  const lines = text.matchAll(/^#define \w+ CODE\((\w+), (\w+), METHOD_(\w+)\)$/gm);
  return [...lines]
    .map(([, type, fn, method]) => ((Number(type) << 16) | (Number(fn) << 2) | METHODS[method]) >>> 0)
    .sort((a, b) => a - b);
}

const found = (name: string) => findControlCodes(readPe(fixture(name)));

describe('control codes', () => {
  it.each(['codes.sys', 'codes-x86.sys', 'codes-clang.sys', 'codes-clang-x86.sys'])(
    'of %s are those of its source, and no others',
    (name) => {
      const codes = found(name);
      expect(codes.map(({ code }) => code)).toEqual(defined('codes.c'));
      expect(codes.every(({ compared }) => compared)).toBe(true);
    },
  );

  it.each(['', '-x86'])('reach callbacks of the driver framework by their argument (%s)', (suffix) => {
    expect(found(`kmdf${suffix}.sys`).map(({ code }) => code)).toEqual([0x222400, 0x222404, 0x222408]);
  });

  it.each(['', '-x86'])('are none where a driver takes none (%s)', (suffix) => {
    for (const name of ['filter', 'pnp', 'timers', 'watcher'])
      expect(found(`${name}${suffix}.sys`)).toEqual([]);
  });

  it('are taken apart in words', () => {
    expect(controlCodeText(0x0022e00b)).toBe(
      '0x0022e00b  device type 0x22, function 0x802, neither, read and write',
    );
  });
});
