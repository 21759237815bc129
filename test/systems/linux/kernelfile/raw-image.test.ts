import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../../src/bytes/errors.ts';
import { readKernel } from '../../../../src/systems/linux/kernelfile/open.ts';
import { isArm64Image, zbootPayload } from '../../../../src/systems/linux/kernelfile/raw-image.ts';

const BANNER = 'Linux version 6.1.0-9-arm64 (who@where) (gcc) #1 SMP Debian\0';
const MAGIC = '6.1.0-9-arm64 SMP mod_unload modversions aarch64\0';
const WORDS = 'disagrees about version of symbol\0~Module signature appended~\0';

/** An Image with two export tables, their versions and their strings, as the linker script puts them. */
function makeImage(plain: readonly string[], gpl: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(16384);
  const view = new DataView(bytes.buffer);
  const put = (at: number, text: string) => bytes.set(new TextEncoder().encode(text), at);
  bytes.set([0x4d, 0x5a, 0x40, 0xfa]);
  put(0x38, 'ARMd');
  put(256, BANNER + MAGIC + WORDS);
  const names = [...plain, ...gpl];
  const table = 4096;
  const strings = 8192;
  let at = strings + 1;
  for (const [i, name] of names.entries()) {
    const entry = table + 12 * i;
    put(at, `${name}\0`);
    view.setInt32(entry, 64 - entry, true);
    view.setInt32(entry + 4, at - (entry + 4), true);
    at += name.length + 1;
    view.setUint32(table + 12 * names.length + 4 * i, 0x1000 + i, true);
  }
  return bytes;
}

const PLAIN = ['_printk', 'kfree', 'memcpy', 'module_layout', 'zzz_last'];
const GPL = ['kobject_put', 'platform_driver_register'];

describe('an arm64 image', () => {
  const image = makeImage(PLAIN, GPL);

  it('gives its exports, with versions and who may use them', () => {
    expect(isArm64Image(image)).toBe(true);
    const kernel = readKernel(image);
    expect([kernel.release, kernel.machine]).toEqual(['6.1.0-9-arm64', 'aarch64']);
    expect(kernel.vermagic).toBe('6.1.0-9-arm64 SMP mod_unload modversions aarch64');
    expect([...kernel.exports].map(({ name }) => name)).toEqual([...PLAIN, ...GPL].sort());
    expect(kernel.exports.find('memcpy')).toMatchObject({ crc: 0x1002, gplOnly: false, namespace: '' });
    expect(kernel.exports.find('kobject_put')).toMatchObject({ crc: 0x1005, gplOnly: true });
    expect(kernel.rules.has('symbol-versions')).toBe(true);
  });

  it('is refused in words when it is cut or exports nothing', () => {
    for (const length of [0, 10, 60, 100, 300, 4100, 8200]) {
      expect(() => readKernel(image.slice(0, length))).toThrow(FormatError);
    }
    expect(() => readKernel(makeImage(['other'], []))).toThrow(/exports _printk/);
  });

  it('may be packed in an EFI program', () => {
    const packed = new Uint8Array(64 + image.length);
    packed.set([0x4d, 0x5a, 0, 0, 0x7a, 0x69, 0x6d, 0x67]);
    new DataView(packed.buffer).setUint32(8, 64, true);
    new DataView(packed.buffer).setUint32(12, image.length, true);
    packed.set(image, 64);
    expect(readKernel(packed).release).toBe('6.1.0-9-arm64');
    new DataView(packed.buffer).setUint32(12, image.length + 1, true);
    expect(() => zbootPayload(packed)).toThrow(FormatError);
  });
});
