/**
 * Every prototype, field name and constant in our Linux kernel functions against a real kernel's own types. What the
 * kernel's types do not know (assembly, macros, names of other releases) is counted, not judged.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  compareNames,
  comparePrototypes,
  formatMismatches,
} from '../../src/systems/linux/kernelfile/prototype-check.ts';
import { decode } from '../../src/systems/linux/kernelfile/saved.ts';
import { linuxDeclarations } from '../../src/systems/linux/kernelfile/typedefs.ts';
import { imageOf } from './ctypes-images.ts';
import { describeWith, needs } from './require.ts';

const FOLDER = 'src/systems/linux';

/** Functions as kernels after 6.1 declare them: linux-kernels.test.ts compares them with such a kernel. */
const NEWER = join('functions', 'newer');

function sources(): { file: string; text: string }[] {
  return (readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }) as string[])
    .filter((file) => file.endsWith('.ts') && !file.startsWith('kernelfile'))
    .map((file) => ({ file, text: readFileSync(join(FOLDER, file), 'utf8') }));
}

/** Keys of kernelFunctions({...}): a string with parentheses that stands before a colon at the start of a line. */
function prototypes(of = (_file: string) => true): string[] {
  return sources()
    .filter(({ file }) => of(file))
    .flatMap(({ text }) =>
      // A type and a name, with a blank between them: `cbc(aes)` is the name of an algorithm.
      [...text.matchAll(/^\s*(['"`])([A-Za-z_]\w*\s[^'"`\n]*\([^'"`\n]*\))\1\s*:/gm)].map(
        (match) => match[2]!,
      ),
    );
}

/** First arguments of the calls that read types; where the code asks `has` first, the name may be another kernel's. */
function named(call: RegExp): string[] {
  const names = sources().flatMap(({ file, text }) => {
    if (file.startsWith(NEWER)) return [];
    const optional = new Set(
      [...text.matchAll(/\bhas(?:Enumerator)?\(\s*'([^']+)'/g)].map((match) => match[1]!),
    );
    return [...text.matchAll(call)].map((match) => match[1]!).filter((name) => !optional.has(name));
  });
  return [...new Set(names)].sort();
}

/** What our functions name of the kernel's types. */
function names() {
  return {
    fields: named(
      /\b(?:k|this|kernel|this\.k|types)\.(?:read|write|offset|readString|big|field)\(\s*'(\w+(?:\.[\w[\]]+)+)'/g,
    ),
    types: named(/\b(?:sizeof|layout)\(\s*'((?:\w+ )?\w+)'/g),
    constants: named(/\benumerator\(\s*'(\w+)'/g),
  };
}

describeWith(needs('debian-amd64'), 'kernel functions agree with a Debian kernel', (debian) => {
  it('prototypes', () => {
    const texts = prototypes((file) => !file.startsWith(NEWER));
    const { compared, unknown, mismatches } = comparePrototypes(texts, imageOf(debian));
    console.log(`${texts.length} prototypes, ${compared} compared; not in its types: ${unknown.join(' ')}`);
    expect(formatMismatches(mismatches)).toBe('');
    expect(compared).toBeGreaterThan(300);
  });

  it('fields, types and constants', () => {
    const used = names();
    console.log(
      `${used.fields.length} fields, ${used.types.length} types, ${used.constants.length} constants`,
    );
    expect(compareNames(used, imageOf(debian))).toEqual([]);
  });

  it('the built-in kernel has every field that is named anywhere and that the kernel has', () => {
    const builtin = decode(new Uint8Array(readFileSync('profiles/debian-6.1.kernel'))).types;
    const { types } = imageOf(debian);
    const paths = sources().flatMap(({ text }) =>
      [...text.matchAll(/'([a-z_]\w*(?:\.\w+)+)'/g)].map((m) => m[1]!),
    );
    const stale = [...new Set(paths)].filter((path) => types.has(path) && !builtin.has(path));
    expect(stale, 'run scripts/make-profile.mjs').toEqual([]);
  });
});

it('every prototype can be read with the built-in kernel alone', () => {
  const kernel = decode(new Uint8Array(readFileSync('profiles/debian-6.1.kernel')));
  const unreadable = comparePrototypes(prototypes(), kernel).mismatches.filter((m) => m.kernel === '');
  expect(formatMismatches(unreadable)).toBe('');
});

/** The types that kernel/functions.ts makes `bigint` in a handler, by the text of the parameter. */
const BIG = /^(const )?(u64|s64|__u64|__s64|ktime_t|uint64_t|int64_t|unsigned long long|long long)( \w+)?$/;

/** The parameter texts of a prototype, split at the commas outside of parentheses. */
function parameterTexts(prototype: string): string[] {
  const inner = prototype.slice(prototype.indexOf('(') + 1, prototype.lastIndexOf(')'));
  const parts: string[] = [''];
  let depth = 0;
  for (const character of inner) {
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (character === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== 'void' && part !== '...' && part !== '');
}

it('what a handler is given as bigint is what its TypeScript type says', () => {
  const kernel = decode(new Uint8Array(readFileSync('profiles/debian-6.1.kernel')));
  const declarations = linuxDeclarations(kernel.types);
  const wrong = prototypes().filter((text) => {
    const { parameters } = declarations.prototype(text);
    const big = parameters.map((p) => p.class === 'i64' || p.class === 'u64');
    return JSON.stringify(big) !== JSON.stringify(parameterTexts(text).map((p) => BIG.test(p)));
  });
  expect(wrong).toEqual([]);
});
