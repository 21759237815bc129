import { describe, expect, it } from 'vitest';
import fc from '../../../properties.ts';
import { boot, call, text, varArgs } from './harness.ts';

const k = boot();
const out = k.heap.allocate(64);

function kstrto(name: string, source: string, base = 0): number | bigint {
  k.memory.setU64(out, 0n);
  const error = call(k, name, text(k, source), base, out);
  if (error !== 0) return error;
  const bits =
    { kstrtou8: 8, kstrtos8: -8, kstrtoint: -32, kstrtouint: 32, kstrtoll: -64, kstrtoull: 64 }[name] ?? 64;
  const raw = k.memory.u64(out);
  return bits < 0 ? BigInt.asIntN(-bits, raw) : BigInt.asUintN(bits, raw);
}

describe('kstrto* (what a real kernel answered for module parameters)', () => {
  it.each([
    ['kstrtoint', '0x10', 16n],
    ['kstrtoint', '010', 8n],
    ['kstrtoint', '+5', 5n],
    ['kstrtoint', '5x', -22],
    ['kstrtoint', '', -22],
    ['kstrtoint', '-', -22],
    ['kstrtoint', '-+5', -22],
    ['kstrtoint', '5\n', 5n],
    ['kstrtoint', '5\n\n', -22],
    ['kstrtoint', ' 5', -22],
    ['kstrtoint', '2147483648', -34],
    ['kstrtoint', '-2147483648', -2147483648n],
    ['kstrtou8', '256', -34],
    ['kstrtou8', '-1', -22],
    ['kstrtos8', '-128', -128n],
    ['kstrtoull', '18446744073709551615', 18446744073709551615n],
    ['kstrtoull', '18446744073709551616', -34],
    ['kstrtoll', '-9223372036854775808', -9223372036854775808n],
    ['kstrtoll', '9223372036854775808', -34],
    ['kstrtouint', '08', -22],
    ['kstrtouint', '0x', -22],
  ] as const)('%s(%j)', (name, source, expected) => {
    expect(kstrto(name, source)).toBe(expected);
  });

  it('reads back every number that printk writes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), (value) => {
        expect(kstrto('kstrtoll', value.toString(), 10)).toBe(value);
      }),
      { numRuns: 200 },
    );
  });

  it('booleans by their first letters', () => {
    const results = ['y', 'N', '1', '0', 'on', 'off', 'OFF', 'o', 'x', ''].map((s) =>
      call(k, 'kstrtobool', text(k, s), out),
    );
    expect(results).toEqual([0, 0, 0, 0, 0, 0, 0, -22, -22, -22]);
  });
});

describe('memparse, get_options, match_token', () => {
  it('sizes', () => {
    const size = (s: string) => call(k, 'memparse', text(k, s), out);
    expect([size('64k'), size('1G'), size('0x10M'), size('12')]).toEqual([
      65536n,
      1n << 30n,
      16n << 20n,
      12n,
    ]);
  });

  it('integer lists with ranges', () => {
    call(k, 'get_options', text(k, '3,7-9,0x10'), 8, out);
    expect(Array.from({ length: 6 }, (_, i) => k.memory.i32(out + i * 4))).toEqual([5, 3, 7, 8, 9, 16]);
  });

  it('mount options', () => {
    const table = k.heap.allocate(64);
    const args = k.heap.allocate(64);
    ['uid=%u', 'name=%s'].forEach((pattern, i) => {
      k.memory.set32(table + i * 16, i + 1);
      k.memory.setPtr(table + i * 16 + 8, text(k, pattern));
    });
    k.memory.set32(table + 32, 99);
    const option = text(k, 'uid=1000');
    expect(call(k, 'match_token', option, table, args)).toBe(1);
    expect(call(k, 'match_int', args, out)).toBe(0);
    expect(k.memory.i32(out)).toBe(1000);
    expect(call(k, 'match_token', text(k, 'name=abc'), table, args)).toBe(2);
    expect(call(k, 'match_token', text(k, 'other'), table, args)).toBe(99);
  });
});

describe('sscanf', () => {
  it.each([
    ['12 -7 0x1f', '%d %d %i', 3, [12, -7, 31]],
    ['ff:10', '%x:%x', 2, [255, 16]],
    ['1234', '%2d%2d', 2, [12, 34]],
    ['7,8', '%d;%d', 1, [7]],
    ['abc', '%d', 0, []],
    ['5 rest', '%*d %n', 0, [2]],
  ] as const)('%j by %j', (source, format, count, values) => {
    const places = Array.from({ length: 4 }, (_, i) => out + i * 8);
    expect(call(k, 'sscanf', text(k, source), text(k, format), varArgs(places))).toBe(count);
    expect(values.map((_, i) => k.memory.i32(places[i]))).toEqual([...values]);
  });

  it('words and sets', () => {
    const word = k.heap.allocate(32);
    expect(call(k, 'sscanf', text(k, '  hello world'), text(k, '%3s'), varArgs([word]))).toBe(1);
    expect(k.memory.cstring(word)).toBe('hel');
    expect(call(k, 'sscanf', text(k, 'key=1'), text(k, '%8[a-z]'), varArgs([word]))).toBe(0);
    expect(call(k, 'sscanf', text(k, 'key=1'), text(k, '%8[key]'), varArgs([word]))).toBe(1);
    expect(k.memory.cstring(word)).toBe('key');
  });
});

describe('checksums', () => {
  const data = text(k, '123456789');
  it.each([
    ['crc32_le', 0xffffffff, 0x340bc6d9],
    ['crc32_be', 0xffffffff, 0x0376e6e7],
    ['__crc32c_le', 0xffffffff, 0x1cf96d7c],
    ['crc_ccitt', 0, 0x2189],
    ['crc_ccitt_false', 0xffff, 0x29b1],
  ])('%s of "123456789" (published check values, before a final inversion)', (name, start, expected) => {
    expect(call(k, name, start, data, 9)).toBe(expected);
  });

  it('crc32_le_shift is what appending zero bytes does', () => {
    const zeros = k.heap.allocate(100);
    const plain = call(k, 'crc32_le', 0x12345678, zeros, 100);
    expect(call(k, 'crc32_le_shift', 0x12345678, 100)).toBe(plain);
  });
});

describe('sums of internet packets', () => {
  const at = k.heap.allocate(8192) + 8;
  /** RFC 1071, word by word in network order, as the packet has it. */
  const sumOf = (bytes: Uint8Array, start = 0): number => {
    let sum = start;
    bytes.forEach((byte, n) => {
      sum += n % 2 === 0 ? byte << 8 : byte;
    });
    while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
    return sum;
  };
  const swap = (word: number): number => ((word & 0xff) << 8) | (word >> 8);
  const folded = (sum: number): number => {
    let low = (sum >>> 16) + (sum & 0xffff);
    low = (low & 0xffff) + (low >>> 16);
    return low;
  };

  it('agree with the example of RFC 1071', () => {
    k.memory.write(at, Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7));
    expect(swap(folded(Number(call(k, 'csum_partial', at, 8, 0))))).toBe(0xddf2);
    expect(swap(Number(call(k, 'ip_compute_csum', at, 8)))).toBe(0xffff - 0xddf2);
  });

  it('agree with the definition for any bytes, at any address, from any sum', () => {
    const bytes = fc.uint8Array({ maxLength: 700 });
    fc.assert(
      fc.property(bytes, fc.integer({ min: 0, max: 7 }), fc.nat(0xffff), (packet, offset, start) => {
        k.memory.write(at + offset, packet);
        const sum = Number(call(k, 'csum_partial', at + offset, packet.length, start)) >>> 0;
        expect(swap(folded(sum))).toBe(sumOf(packet, swap(start)));
        // Sums of pieces add up: what the kernel splits packets by.
        const cut = packet.length >> 1;
        const even = cut - (cut % 2);
        const first = Number(call(k, 'csum_partial', at + offset, even, start)) >>> 0;
        const both = Number(call(k, 'csum_partial', at + offset + even, packet.length - even, first)) >>> 0;
        expect(folded(both)).toBe(folded(sum));
      }),
      { numRuns: 150 },
    );
  });

  it('take the pseudo header of IPv6', () => {
    const [length, protocol] = [0x1234, 17];
    const addresses = Uint8Array.from({ length: 32 }, (_, n) => n * 7 + 1);
    k.memory.write(at, addresses);
    const header = Uint8Array.of(...addresses, 0, 0, length >> 8, length & 255, 0, 0, 0, protocol);
    const sum = Number(call(k, 'csum_ipv6_magic', at, at + 16, length, protocol, 0x5678));
    expect(swap(sum & 0xffff)).toBe(0xffff - sumOf(header, swap(0x5678)));
  });
});
