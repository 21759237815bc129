import { describe, expect, it } from 'vitest';
import { hexOf } from '../../../src/bytes/hex.ts';
import { bytesOf, framed, PacketReader } from '../../../src/targets/gdb/packets.ts';
import fc from '../../properties.ts';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

function all(reader: PacketReader): string[] {
  const found: string[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next())
    found.push(next.kind === 'packet' ? new TextDecoder('latin1').decode(next.data) : next.kind);
  return found;
}

describe('packets of the remote protocol', () => {
  it('have the checksum that the manual shows', () => {
    expect(new TextDecoder().decode(framed('OK'))).toBe('$OK#9a');
  });

  it('arrive in any pieces, with escapes, acknowledgements and interrupts between them', () => {
    const sent = [...ascii('++'), ...framed('m0,4'), 3, ...framed('a$#}*b'), ...ascii('-')];
    for (const size of [1, 2, 3, 7, 100]) {
      const reader = new PacketReader();
      const got: string[] = [];
      for (let at = 0; at < sent.length; at += size) {
        reader.push(Uint8Array.from(sent.slice(at, at + size)));
        got.push(...all(reader));
      }
      expect(got).toEqual(['m0,4', 'interrupt', 'a$#}*b']);
    }
  });

  it('are refused when they were damaged', () => {
    const reader = new PacketReader();
    reader.push(ascii('$OK#9b$OK#9a'));
    expect(all(reader)).toEqual(['damaged', 'OK']);
  });

  it('carry any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const reader = new PacketReader();
        reader.push(framed(bytes));
        const next = reader.next();
        expect(next?.kind === 'packet' && hexOf(next.data)).toBe(hexOf(bytes));
        expect(bytesOf(hexOf(bytes))).toEqual(bytes);
      }),
    );
  });

  it('that never end are not kept, and noise ends', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 50 }), (pieces) => {
        const reader = new PacketReader();
        for (const piece of pieces) {
          reader.push(piece);
          expect(all(reader).length).toBeLessThan(10_000);
        }
      }),
      { numRuns: 200 },
    );
  });
});
