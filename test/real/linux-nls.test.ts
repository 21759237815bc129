import { expect, it } from 'vitest';
import { fromUnicode, toUnicode } from '../../src/systems/linux/functions/nls.ts';
import { describeModules, type Live } from './linux-use.ts';

/** Character sets that both the kernel and TextDecoder have: the kernel's name, the web's label. */
const PAIRS: Readonly<Record<string, string>> = {
  cp866: 'ibm866',
  cp874: 'windows-874',
  cp1250: 'windows-1250',
  cp1251: 'windows-1251',
  cp1255: 'windows-1255',
  'iso8859-2': 'iso-8859-2',
  'iso8859-3': 'iso-8859-3',
  'iso8859-4': 'iso-8859-4',
  'iso8859-5': 'iso-8859-5',
  'iso8859-6': 'iso-8859-6',
  'iso8859-7': 'iso-8859-7',
  'iso8859-13': 'iso-8859-13',
  'iso8859-14': 'iso-8859-14',
  'iso8859-15': 'iso-8859-15',
  'koi8-r': 'koi8-r',
  'koi8-u': 'koi8-u',
  macroman: 'macintosh',
  maccyrillic: 'x-mac-cyrillic',
};

/**
 * Bytes for which the kernel's table says something else than the web's: DOS control pictures, ISO 8859-6's digits and
 * ISO 8859-7's quotes as they were before 2003, and slips in the kernel's tables.
 */
const OTHERWISE: Readonly<Record<string, readonly number[]>> = {
  cp1255: [0xaf],
  cp866: [0x1a, 0x1c, 0x7f],
  'iso8859-6': [0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39],
  'iso8859-7': [0xa1, 0xa2],
};

describeModules('character tables', (modules) => {
  const tables = modules.tree.modules.filter(({ name }) => /^(nls_|mac-)/.test(name)).map(({ name }) => name);

  it('has as many as Debian builds', () => expect(tables.length).toBeGreaterThan(50));

  it.each(tables)('%s loads, converts there and back, unloads', (name) => {
    const { leaks } = modules.with(name, (live) => {
      const charset = charsetOf(live, name);
      expect(charset, name).toBeDefined();
      if (charset !== undefined) check(live, charset);
    });
    expect(leaks).toBe(0);
  });
});

/** The name the module registered: its own, or one that only it has. */
function charsetOf(live: Live, module: string): string | undefined {
  const stem = module.replace(/^nls_/, '').replace(/^mac-/, 'mac');
  const candidates = [stem, 'utf8', 'default', stem.replaceAll('_', '-')];
  return candidates.find((name) => live.run(toUnicode(live.k, name, Uint8Array.of(65))) !== undefined);
}

function written(live: Live, charset: string, point: number): Uint8Array | undefined {
  const told: (Uint8Array | undefined)[] = [];
  live.run(fromUnicode(live.k, charset, [point], (bytes) => told.push(bytes)));
  return told[0];
}

function check(live: Live, charset: string): void {
  const label = PAIRS[charset];
  const decoder = label === undefined ? undefined : new TextDecoder(label);
  const different: number[] = [];
  let astray = 0;
  for (let byte = 1; byte < 256; byte++) {
    const point = live.run(toUnicode(live.k, charset, Uint8Array.of(byte)));
    if (point === undefined) continue;
    const expected = decoder?.decode(Uint8Array.of(byte));
    if (expected !== undefined && expected !== '\ufffd' && expected.codePointAt(0) !== point)
      different.push(byte);
    const back = written(live, charset, point);
    // Some tables have two bytes for one character: then the way back ends at the other.
    if (back?.length === 1 && back[0] !== byte && live.run(toUnicode(live.k, charset, back)) !== point)
      astray++;
  }
  expect(different, charset).toEqual(OTHERWISE[charset] ?? []);
  // nls_cp1251 and nls_iso8859-14 have slips in the table of the way back; nls_koi8-ru tests for its two letters the
  // wrong way round, so that every other byte becomes one of them.
  if (charset !== 'koi8-ru') expect(astray, charset).toBeLessThan(8);
}
