/** Functions of the kernel's classes are written under names that exist, with arguments as wide as those say. */
import { describe, expect, test } from 'vitest';
import { KpiSymbols } from '../../../src/systems/macos/kpi.ts';
import { macosFunctions } from '../../../src/systems/macos/registry.ts';
import { RELEASES } from '../../../src/systems/macos/release.ts';
import { withoutWidths } from '../../../src/systems/macos/runtime/mangled.ts';
import { KernelClasses } from '../../../src/systems/macos/runtime/vtables.ts';
import { macosDeclarations, prototypeParser } from '../../../src/systems/macos/types.ts';

const own = [...macosFunctions].filter(([name]) => name.startsWith('_Z'));
const WIDE: readonly string[] = ['i64', 'u64', 'wide', 'uwide'];

/** Every name that some kernel exports or has in a vtable. */
function known(): Set<string> {
  const names = new Set<string>();
  for (const release of RELEASES) {
    for (const architecture of ['i386', 'x86_64'] as const) {
      const classes = new KernelClasses(release, architecture);
      for (const name of classes.names) for (const slot of classes.get(name)?.slots ?? []) names.add(slot);
      for (const symbol of new KpiSymbols(release, architecture).all()) names.add(symbol.slice(1));
    }
  }
  return names;
}

/** Parameters of a name without widths: a function type is one. */
function parametersOf(text: string): string[] {
  const parameters: string[] = [];
  let depth = 0;
  for (const word of text
    .replace(/^const /, '')
    .split(' ')
    .slice(1)) {
    if (depth > 0) parameters[parameters.length - 1] += ` ${word}`;
    else parameters.push(word);
    depth += (/F$/.test(word) ? 1 : 0) - (word.match(/\)/g)?.length ?? 0);
  }
  return parameters.filter((one) => one !== 'v');
}

describe('functions of classes', () => {
  test('bear names that some kernel has', () => {
    const names = known();
    expect(own.map(([name]) => name).filter((name) => !names.has(name))).toEqual([]);
  });

  test('take as many arguments as their names say, and wide ones where they are', () => {
    const parse = prototypeParser(macosDeclarations(32));
    for (const [name, { prototype }] of own) {
      if (name.startsWith('_Zn') || name.startsWith('_Zd')) continue;
      const wanted = parametersOf(withoutWidths(name));
      const classes = parse(prototype).parameters.map((one) => one.class);
      // A method has its object in front.
      const first = classes.length - wanted.length;
      expect([0, 1], name).toContain(first);
      expect(
        classes.slice(first).map((one) => WIDE.includes(one)),
        name,
      ).toEqual(wanted.map((one) => one === 'y' || one === 'x'));
    }
  });
});

test.each([
  ['_ZN9IOService5probeEPS_Pl', '_ZN9IOService5probeEPS_Pi'],
  ['_ZN11OSMetaClassC2EPKcPKS_m', '_ZN11OSMetaClassC2EPKcPKS_j'],
  ['_ZN18IOTimerEventSource10setTimeoutE12UnsignedWide', '_ZN18IOTimerEventSource10setTimeoutEy'],
  [
    '_ZN24IOBufferMemoryDescriptor12withCapacityEj11IODirectionb',
    '_ZN24IOBufferMemoryDescriptor12withCapacityEmjb',
  ],
  [
    '_ZN10IOWorkLoop9runActionEPFlP8OSObjectPvS2_S2_S2_ES1_S2_S2_S2_S2_',
    '_ZN10IOWorkLoop9runActionEPFiP8OSObjectPvS2_S2_S2_ES1_S2_S2_S2_S2_',
  ],
])('%s is %s', (narrow, wide) => expect(withoutWidths(narrow)).toBe(withoutWidths(wide)));

test.each(['_ZN3abc', '_ZN1aS9_E', '_Z', '_ZN99aE', '_ZN1a1bEPFi', '_ZN1a1bES_S_S_Z', 'plain'])(
  'what is no such name stays: %s',
  (name) => expect(withoutWidths(name)).toBe(name),
);
