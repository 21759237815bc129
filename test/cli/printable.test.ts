import { expect, it } from 'vitest';
import { printable } from '../../src/cli/printable.ts';
import fc from '../properties.ts';

it('shows controls, leaves everything else', () => {
  expect(printable('a\x1b[2Jb\x9bc\rd\te\nf\0')).toBe('a\\x1b[2Jb\\x9bc\\x0dd\te\nf\\x00');
  expect(printable('safe\u202etxt.exe')).toBe('safe\\u{202e}txt.exe');
  expect(printable('Größe 漢字 🐧')).toBe('Größe 漢字 🐧');
});

it('never lets an escape through', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0x3000)), (codes) => {
      const text = String.fromCodePoint(...codes);
      expect(printable(text)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
    }),
  );
});
