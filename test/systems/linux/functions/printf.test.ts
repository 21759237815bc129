import { describe, expect, it } from 'vitest';
import { boot, call, sprintf, text, varArgs } from './harness.ts';

const k = boot();

describe('numbers (Documentation/core-api/printk-formats.rst)', () => {
  it.each([
    ['%d|%5d|%-5d|%05d|%+d|% d', [42, 42, 42, 42, 42, 42], '42|   42|42   |00042|+42| 42'],
    ['%d %i %u', [-1, -2, 4000000000], '-1 -2 4000000000'],
    ['%x %X %#x %#X %o %#o', [255, 255, 255, 255, 8, 8], 'ff FF 0xff 0XFF 10 010'],
    ['%#x %#o', [0, 0], '0x0 0'],
    ['%ld %lld %llu', [-5, -6n, 18446744073709551615n], '-5 -6 18446744073709551615'],
    ['%hhd %hhu %hd', [200, 511, 40000], '-56 255 -25536'],
    ['%zu %zd %td', [7, -7, -8], '7 -7 -8'],
    ['%.3d|%8.3d|%-8.3d|', [7, 7, 7], '007|     007|007     |'],
    ['%*d|%-*d|%*d', [6, 1, 6, 2, -6, 3], '     1|2     |3     '],
    ['%.*d', [4, 9], '0009'],
    ['%08.3d', [5], '00000005'],
    ['100%%', [], '100%'],
    ['%c%3c%-3c|', [65, 66, 67], 'A  BC  |'],
  ] as const)('%s', (format, args, expected) => {
    expect(sprintf(k, format, ...args)).toBe(expected);
  });

  it('stops at a conversion that does not exist', () => {
    expect(sprintf(k, 'a%yb%d', 1)).toBe('a');
  });
});

describe('strings', () => {
  it('width, precision and bad pointers', () => {
    const s = text(k, 'hello');
    expect(sprintf(k, '%s|%8s|%-8s|%.2s|%.*s', s, s, s, s, 3, s)).toBe('hello|   hello|hello   |he|hel');
    expect(sprintf(k, '%s %s %s', 0, 12, -22)).toBe('(null) (efault) (efault)');
  });

  it('snprintf counts what it could not write, scnprintf what it wrote', () => {
    const buffer = k.heap.allocate(16);
    const format = text(k, '%s');
    const s = text(k, 'abcdefgh');
    expect(call(k, 'snprintf', buffer, 4, format, varArgs([s]))).toBe(8);
    expect(k.memory.cstring(buffer)).toBe('abc');
    expect(call(k, 'scnprintf', buffer, 4, format, varArgs([s]))).toBe(3);
    expect(call(k, 'snprintf', 0, 0, format, varArgs([s]))).toBe(8);
  });
});

describe('pointers', () => {
  const bytes = k.heap.allocate(32);
  k.memory.write(
    bytes,
    Uint8Array.from({ length: 16 }, (_, i) => i),
  );

  it.each([
    ['%ph %phC %phD %phN', '00 00 00 00'],
    ['%*ph', '00 01 02'],
    ['%pM', '00:01:02:03:04:05'],
    ['%pMF %pm %pMR', '00-01-02-03-04-05 000102030405 05:04:03:02:01:00'],
    ['%pI4 %pi4', '0.1.2.3 000.001.002.003'],
    ['%pI6', '0001:0203:0405:0607:0809:0a0b:0c0d:0e0f'],
    ['%pUb', '00010203-0405-0607-0809-0a0b0c0d0e0f'],
    ['%pUL', '03020100-0504-0706-0809-0A0B0C0D0E0F'],
  ])('%s', (format, expected) => {
    const args = format === '%*ph' ? [3, bytes] : [bytes, bytes, bytes, bytes];
    expect(sprintf(k, format, ...args)).toBe(expected);
  });

  it('compressed IPv6 (RFC 5952)', () => {
    const show = (...words: number[]) => {
      const at = k.heap.allocate(16);
      words.forEach((word, i) => {
        k.memory.set8(at + 2 * i, word >> 8);
        k.memory.set8(at + 2 * i + 1, word & 255);
      });
      return sprintf(k, '%pI6c', at);
    };
    expect(show(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)).toBe('2001:db8::1');
    expect(show(0, 0, 0, 0, 0, 0, 0, 1)).toBe('::1');
    expect(show(0, 0, 0, 0, 0, 0, 0, 0)).toBe('::');
    expect(show(1, 0, 0, 2, 0, 0, 0, 3)).toBe('1:0:0:2::3');
    expect(show(1, 0, 2, 3, 4, 5, 6, 7)).toBe('1:0:2:3:4:5:6:7');
    expect(show(0xfe80, 0, 0, 0, 0, 0, 0, 0)).toBe('fe80::');
    expect(show(0, 0, 0, 0, 0, 0xffff, 0xc0a8, 1)).toBe('::ffff:192.168.0.1');
  });

  it('hashes by the seed, shows NULL and errors plainly, and px as it is', () => {
    const hashed = sprintf(k, '%p', bytes);
    expect(hashed).toMatch(/^00000000[0-9a-f]{8}$/);
    expect(sprintf(k, '%p', bytes)).toBe(hashed);
    expect(sprintf(k, '%p %p', 0, -2)).toBe('0000000000000000 fffffffffffffffe');
    expect(sprintf(k, '%px', 0xffff888000001000n)).toBe('ffff888000001000');
    expect(sprintf(k, '%pe %pe', -22, -517)).toBe('-EINVAL -EPROBE_DEFER');
  });

  it('bitmaps, addresses and escapes', () => {
    const map = k.heap.allocate(8);
    k.memory.setU64(map, 0xf0f1n);
    expect(sprintf(k, '%*pb %*pbl', 16, map, 16, map)).toBe('f0f1 0,4-7,12-15');
    expect(sprintf(k, '%pa', map)).toBe('0x000000000000f0f1');
    expect(sprintf(k, '%*pE', 4, text(k, 'a\tb\x01'))).toBe('a\\tb\\001');
    expect(sprintf(k, '%pf %pOF', bytes, bytes)).toBe('(%pf?) (%pOF?)');
  });
});

describe('print_hex_dump and hex_dump_to_buffer', () => {
  it('groups, offsets and text', () => {
    const at = text(k, 'sixteen bytes or more');
    const buffer = k.heap.allocate(256);
    expect(call(k, 'hex_dump_to_buffer', at, 16, 16, 4, buffer, 256, 1)).toBe(53);
    expect(k.memory.cstring(buffer)).toBe('74786973 206e6565 65747962 726f2073  sixteen bytes or');
    expect(call(k, 'hex_dump_to_buffer', at, 3, 16, 1, buffer, 256, 0)).toBe(8);
    expect(k.memory.cstring(buffer)).toBe('73 69 78');
  });
});

describe('printk', () => {
  it('levels, continuation and records that stay open', () => {
    const fresh = boot();
    const from = fresh.log.records.length;
    const print = (format: string) => call(fresh, '_printk', text(fresh, format), varArgs([]));
    print('\x013error\n');
    print('plain\n');
    print('\x016one');
    print('\x01c, two');
    print('\x01c, three\n');
    print('\x016open');
    expect(fresh.log.records.slice(from).map((r) => `${r.level} ${r.text}`)).toEqual([
      '3 error',
      '4 plain',
      '6 one, two, three',
    ]);
    print('\x016next\n');
    expect(fresh.log.records.slice(from + 3).map((r) => r.text)).toEqual(['open', 'next']);
  });
});
