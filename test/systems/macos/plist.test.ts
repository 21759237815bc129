import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { readPlist } from '../../../src/systems/macos/plist.ts';
import { infoPlist } from './fixtures.ts';

const read = (text: string) => readPlist(new TextEncoder().encode(text), 'Info.plist');

describe('property lists', () => {
  // The library prints nothing: its parser would, for every document that is not well-formed.
  const printed = vi.spyOn(console, 'error');
  beforeEach(() => printed.mockClear());
  afterEach(() => expect(printed).not.toHaveBeenCalled());

  it('reads elements, empty ones, comments, CDATA and references', () => {
    const text = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- <dict> of no weight -->
<plist version="1.0"><dict>
  <key>a</key><string>x &lt; y &#38; z</string><key>b</key><array><true/><integer>16</integer></array>
  <key>c</key><string><![CDATA[<raw>]]></string><key>d</key><dict/><key>e</key><string></string>
</dict></plist>`;
    expect(read(text)).toEqual({ a: 'x < y & z', b: [true, 16], c: '<raw>', d: {}, e: '' });
  });

  it.each([
    ['<plist><dict><key>', 'key'],
    ['<plist><dict></array></dict></plist>', 'array'],
    ['<plist><dict><key>a</key><string>b < c</string></dict></plist>', '<'],
    ['<plist><dict><key>a</key><string>&nothing;</string></dict></plist>', '&nothing;'],
    ['<plist><dict/></plist><plist><dict/></plist>', 'plist'],
    ['', 'no property list'],
  ])('refuses %s', (text, word) => {
    expect(() => read(text)).toThrow(FormatError);
    expect(() => read(text)).toThrow(word);
  });

  it('answers damage with a typed error and nothing else', () => {
    const good = infoPlist('Board');
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let refused = 0;
    for (let round = 0; round < 2000; round++) {
      const bytes = good.slice(0, round % 3 === 0 ? random(good.length) : undefined);
      for (let n = random(3) + 1; n > 0 && bytes.length > 0; n--)
        bytes[random(bytes.length)] = random(2) === 0 ? random(256) : '<>&/!-"?]'.charCodeAt(random(9));
      try {
        readPlist(bytes, 'Info.plist');
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(200);
  });
});
