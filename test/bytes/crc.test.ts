import { describe, expect, it } from 'vitest';
import { crcRight, reflectedTables } from '../../src/bytes/crc.ts';

const check = new TextEncoder().encode('123456789');

describe('reflected CRCs', () => {
  it('give the check values of the catalogue', () => {
    expect(~crcRight(reflectedTables(0xedb88320), ~0, check) >>> 0).toBe(0xcbf43926);
    expect(~crcRight(reflectedTables(0x82f63b78), ~0, check) >>> 0).toBe(0xe3069283);
    // CRC-16/KERMIT.
    expect(crcRight(reflectedTables(0x8408), 0, check)).toBe(0x2189);
  });

  it('come to the same in pieces of any length, at any offset', () => {
    const tables = reflectedTables(0xedb88320);
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => (i * 37) & 255);
    for (let cut = 0; cut <= 40; cut++) {
      const first = crcRight(tables, 5, bytes.subarray(0, cut));
      expect(crcRight(tables, first, bytes.subarray(cut))).toBe(crcRight(tables, 5, bytes));
    }
  });
});
