import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPe } from '../../../src/formats/pe/read.ts';
import { arm64Constants } from '../../../src/systems/windows/control-codes/arm64.ts';
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

describe('control codes in ARM64 code', () => {
  const found = (...words: number[]) =>
    arm64Constants(new Uint8Array(Uint32Array.from(words).buffer), (code) => code >>> 16 === 0x22);
  /** mov w8, #0x2004; movk w8, #0x22, lsl #16 */
  const code = [0x52840088, 0x72a00448];

  it('are compared with, or left over from a subtraction', () => {
    // cmp w9, w8
    expect(found(...code, 0x6b08013f)).toEqual([0x222004]);
    // sub w10, w9, w8; cmp w10, #4; sub w11, w10, #8; cmp w11, #4
    expect(found(...code, 0x4b08012a, 0x7100115f, 0x5100214b, 0x7100117f)).toEqual([
      0x222004, 0x222008, 0x22200c, 0x222010,
    ]);
    // ldr w8, what lies behind; cmp w9, w8
    expect(found(0x18000048, 0x6b08013f, 0x00222008)).toEqual([0x222008]);
  });

  it('are forgotten over a call and when the register is written', () => {
    expect(found(...code, 0x94000010, 0x6b08013f)).toEqual([]);
    // ldr w8, [x0]; but a store of it leaves it: str w8, [x0]
    expect(found(...code, 0xb9400008, 0x6b08013f)).toEqual([]);
    expect(found(...code, 0xb9000008, 0x6b08013f)).toEqual([0x222004]);
  });
});
