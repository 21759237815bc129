/** bzip2 and frames of lz4: what their programs packed, and damage. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isBzip2, unpackBzip2 } from '../../src/bytes/bzip2.ts';
import { FormatError } from '../../src/bytes/errors.ts';
import { isLz4, unpackLz4Frames } from '../../src/bytes/lz4.ts';
import { leaveOut, withoutProgram } from '../leave-out.ts';

const LIMIT = 2 ** 26;
const TEXT = 'hello hello hello, modules\n'.repeat(3);
const packed = {
  bzip2: 'QlpoOTFBWSZTWTbmf1IAAA9RgAAQQAQGRooAIAAxANNNAikyDJbY0wPUPO3g42hSEsIYy4/F3JFOFCQNuZ/UgA==',
  lz4: 'BCJNGGRApyMAAABnaGVsbG8gBgCnLCBtb2R1bGVzChUAAiEADxsADVB1bGVzCgAAAAB0Mi8D',
  zeros: 'QlpoMTFBWSZTWRAUZmoAAAXAiMAAAEAAAIAIIAAwzTQKkyaRaQ3E8XckU4UJAQFGZqA=',
};
const bytes = (name: keyof typeof packed) => new Uint8Array(Buffer.from(packed[name], 'base64'));
const text = (found: Uint8Array) => Buffer.from(found).toString('latin1');

/** What compresses well, what does not, nothing, and much. */
const samples = (): Buffer[] => [
  Buffer.alloc(0),
  Buffer.from('a'),
  Buffer.alloc(2_500_000, 'abcde'),
  Buffer.concat([Buffer.alloc(70_000), readFileSync('dist/lkm.js')]),
  Buffer.from(Array.from({ length: 300_000 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 0xff)),
  readFileSync('fixtures/linux/built/chardev.ko'),
];

describe('bzip2', () => {
  it('is unpacked, one stream or several', () => {
    const one = bytes('bzip2');
    expect(isBzip2(one)).toBe(true);
    expect(text(unpackBzip2(one, LIMIT))).toBe(TEXT);
    expect(text(unpackBzip2(Buffer.concat([one, one]), LIMIT))).toBe(TEXT + TEXT);
    expect(unpackBzip2(bytes('zeros'), LIMIT)).toEqual(new Uint8Array(3001).fill(0x78, 3000));
  });

  it('that is damaged or too large ends in a typed error', () => {
    const whole = bytes('bzip2');
    for (let at = 4; at < whole.length; at++) {
      const cut = whole.slice(0, at);
      expect(() => unpackBzip2(cut, LIMIT), `cut at ${at}`).toThrow(FormatError);
      for (let bit = 0; bit < 8; bit++) {
        const damaged = whole.slice();
        damaged[at] ^= 1 << bit;
        try {
          // Bits that fill up the last byte say nothing.
          expect(text(unpackBzip2(damaged, LIMIT))).toBe(TEXT);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }
    }
    expect(() => unpackBzip2(bytes('zeros'), 3000)).toThrow(/limit of 3000/);
  });

  it.skipIf(leaveOut(import.meta.url, withoutProgram('bzip2')))('is what the program packs', () => {
    for (const sample of samples())
      for (const level of ['-1', '-9']) {
        const { stdout } = spawnSync('bzip2', [level, '-c'], { input: sample, maxBuffer: 2 ** 28 });
        expect(sample.equals(unpackBzip2(stdout, LIMIT))).toBe(true);
      }
  });
});

describe('frames of lz4', () => {
  it('are unpacked, one or several', () => {
    const one = bytes('lz4');
    expect(isLz4(one)).toBe(true);
    expect(text(unpackLz4Frames(one, LIMIT))).toBe(TEXT);
    expect(text(unpackLz4Frames(Buffer.concat([one, one]), LIMIT))).toBe(TEXT + TEXT);
  });

  it('that are cut or too large end in a typed error', () => {
    const whole = bytes('lz4');
    for (let at = 8; at < whole.length - 4; at++)
      expect(() => unpackLz4Frames(whole.slice(0, at), LIMIT), `cut at ${at}`).toThrow(FormatError);
    expect(() => unpackLz4Frames(whole, 40)).toThrow(FormatError);
  });

  it.skipIf(leaveOut(import.meta.url, withoutProgram('lz4')))('are what the program packs', () => {
    for (const sample of samples())
      for (const words of [['-1'], ['-9'], ['-BD', '-B4'], ['-l'], ['--content-size', '-BX']]) {
        const { stdout } = spawnSync('lz4', [...words, '-c', '-q'], { input: sample, maxBuffer: 2 ** 28 });
        expect(sample.equals(unpackLz4Frames(stdout, LIMIT)), words.join(' ')).toBe(true);
      }
  });
});
