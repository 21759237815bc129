/** Objects as XML and back: what OSSerialize writes, and what OSUnserializeXML takes. */
import { describe, expect, test } from 'vitest';
import type { Steps } from '../../../src/kernel/steps.ts';
import { guestText } from '../../../src/kernel/text/printf.ts';
import { PlistReader } from '../../../src/systems/macos/functions/libkern/serialize.ts';
import type { Macos } from '../../../src/systems/macos/macos.ts';
import { fromPlist, release, toPlist } from '../../../src/systems/macos/runtime/objects.ts';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import { fixtureFiles } from './fixtures.ts';

const kernel = (): Macos =>
  new MacosSession({ files: fixtureFiles, seed: 1, settings: new Map([['release', '10.15']]) }).kernel;

/** The text of a value, and the value that the kernel reads out of a text. */
function* write(k: Macos, value: Parameters<typeof fromPlist>[1]): Steps<string> {
  const object = fromPlist(k, value);
  const to = yield* k.call(k.link('__ZN11OSSerialize12withCapacityEj'), 64);
  yield* k.call(k.link('__ZNK8OSObject9serializeEP11OSSerialize'), object, to);
  const text = guestText(k, yield* k.call(k.link('__ZNK11OSSerialize4textEv'), to));
  yield* release(k, to);
  yield* release(k, object);
  return text;
}

describe('property lists of the kernel', () => {
  test('are written with a number for each object', () => {
    const k = kernel();
    const value = { Name: 'a<b', Size: 5n, On: true, List: ['x', Uint8Array.of(1, 2, 3)] };
    expect(k.runAs({ name: 'test', uid: 0 }, write(k, value))).toBe(
      '<dict ID="0"><key>Name</key><string ID="1">a&lt;b</string><key>Size</key><integer size="32" ID="2">0x5</integer>' +
        '<key>On</key><true/><key>List</key><array ID="3"><string ID="4">x</string><data ID="5">AQID</data></array></dict>',
    );
  });

  test('are read into objects, and what is wrong is told', () => {
    const k = kernel();
    const place = k.takeData(512);
    const read = (text: string): unknown => {
      k.memory.poke(place, new TextEncoder().encode(`${text}\0`));
      return k.runAs(
        { name: 'test', uid: 0 },
        (function* (): Steps<unknown> {
          const error = k.takeData(8);
          const at = yield* k.call(k.link('__Z16OSUnserializeXMLPKcPP8OSString'), place, error);
          return at === 0 ? toPlist(k, k.memory.ptr(error)) : toPlist(k, at);
        })(),
      );
    };
    expect(
      read('<dict><key>a</key><integer>0x10</integer><key>b</key><array><false/></array></dict>'),
    ).toEqual({
      a: 16n,
      b: [false],
    });
    expect(read('<dict><key>a</key></dict>')).toBe('OSUnserializeXML: syntax error near line 1\n');
  });

  test.each([
    ['<array><string ID="1">x</string><string IDREF="1"/></array>', ['x', 'x']],
    ['<?xml version="1.0"?><!-- c --><plist version="1.0"><true/></plist>', true],
    ['<data format="hex">0aFF</data>', Uint8Array.of(10, 255)],
    ['<string>&amp;&lt;</string>', '&<'],
  ])('%s', (text, value) => {
    expect(new PlistReader(text).read()).toEqual(value);
  });

  test.each([
    '',
    '<dict>',
    '<integer>x</integer>',
    '<string IDREF="9"/>',
    '<other/>',
    `${'<array>'.repeat(200)}`,
  ])('refuses %s', (text) => {
    expect(() => new PlistReader(text).read()).toThrow(/near line 1/);
  });
});
