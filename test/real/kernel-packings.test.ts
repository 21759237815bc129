/** Every way a kernel's build packs its image (CONFIG_KERNEL_GZIP and its like), made by the programs that the build calls. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/bytes/errors.ts';
import { unpackLzo } from '../../src/bytes/lzo.ts';
import { unpackKernel } from '../../src/systems/linux/kernelfile/open.ts';
import { fixture } from '../systems/linux/kernel.ts';
import { bootImage, withSize } from '../systems/linux/kernelfile/boot-image.ts';
import { describeWith, needsTool } from './require.ts';

const payload = fixture('hashing');

const PACKINGS: readonly (readonly [program: string, options: readonly string[]])[] = [
  ['gzip', ['-n', '-9']],
  ['bzip2', ['-9']],
  ['xz', ['--check=crc32', '--x86', '--lzma2=dict=32MiB']],
  ['xz', ['--format=lzma', '-9']],
  ['lzop', ['-9']],
  ['lz4', ['-l', '-9', '-', '-']],
  ['zstd', ['-22', '--ultra', '--no-progress']],
];

const tools = PACKINGS.map(([program]) => needsTool(program));
describeWith(tools.includes(undefined) ? undefined : PACKINGS, 'an image packed with', (packings) => {
  it.each(packings)('%s %j is read', (program, options) => {
    const packed = execFileSync(program, program === 'lz4' ? [...options] : [...options, '-c'], {
      input: payload,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    // gzip's own end has the size; behind all others the build writes it.
    const whole = program === 'gzip' ? packed : withSize(packed, payload.length);
    expect(Buffer.from(unpackKernel(bootImage(whole))).equals(payload)).toBe(true);
  });
});

describeWith(needsTool('lzop'), 'lzop', (lzop) => {
  const zeros = new Uint8Array(400_000);
  const noise = Uint8Array.from({ length: 5000 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 0xff);
  const words = new TextEncoder().encode('abcabcabcabcabcabcabd'.repeat(3));
  describe.each(['-1', '-3', '-9'])('%s', (level) => {
    it.each([
      ['nothing', new Uint8Array(0)],
      ['zeros', zeros],
      ['noise', noise],
      ['words', words],
      ['a file, zeros, the file', Buffer.concat([payload, zeros, payload, noise, payload])],
    ])('%s', (_name, bytes) => {
      const packed = execFileSync(lzop, [level, '-c', '-C'], {
        input: bytes,
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      expect(Buffer.from(unpackLzo(new Uint8Array(packed), 1 << 24)).equals(bytes)).toBe(true);
    });
  });

  it('that is cut or damaged is an error in words', () => {
    const packed = new Uint8Array(
      execFileSync(lzop, ['-c'], { input: payload, stdio: ['pipe', 'pipe', 'ignore'] }),
    );
    for (let at = 0; at < packed.length; at += 7) {
      expect(() => unpackLzo(packed.subarray(0, at), 1 << 24)).toThrow(/lzo/);
      const damaged = packed.slice();
      damaged[at] ^= 0x55;
      try {
        expect(unpackLzo(damaged, 1 << 24).length).toBeLessThan(1 << 24);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
  });
});
