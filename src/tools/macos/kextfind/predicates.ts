/** The predicates of kextfind(8): what each takes from the command line, and what it says or prints of a kext. */
import { hexOf } from '../../../bytes/hex.ts';
import type { Kext } from '../../../systems/macos/library.ts';
import { isDict, type PlistDict, type PlistValue } from '../../../systems/macos/plist.ts';
import { baseName } from '../../../systems/macos/tree.ts';
import { INVALID_VERSION, isCompatible, parseVersion } from '../../../systems/macos/version.ts';
import type { Answer } from '../answer.ts';
import type { FoundKexts } from './facts.ts';

export type Test = (kext: Kext) => boolean | Promise<boolean>;

/** The words that are left, and what holds for all of the query. */
export interface Words {
  readonly found: FoundKexts;
  readonly answer: Answer;
  readonly insensitive: boolean;
  readonly substring: boolean;
  readonly nul: boolean;
  /** The next word, taken. @throws QueryError when there is none */
  next(): string;
  /** Takes the next word when it is one of these. */
  take(...words: readonly string[]): boolean;
}

export class QueryError extends Error {
  override name = 'QueryError';
}

type Reader = (words: Words) => Test;

const flag =
  (test: (found: FoundKexts, kext: Kext) => boolean): Reader =>
  ({ found }) =>
  (kext) =>
    test(found, kext);

const required = (value: string): Reader => flag((_, { info }) => info.required === value);

/** `-i` and `-s` behind a predicate, or before the query for all of them. */
function comparison(words: Words): (text: string, wanted: string) => boolean {
  let { insensitive, substring } = words;
  for (;;) {
    if (words.take('-i', '-case-insensitive')) insensitive = true;
    else if (words.take('-s', '-substring')) substring = true;
    else break;
  }
  const fold = (text: string): string => (insensitive ? text.toLowerCase() : text);
  return (text, wanted) => (substring ? fold(text).includes(fold(wanted)) : fold(text) === fold(wanted));
}

const TRUE = ['true', 'yes', '1'];
const FALSE = ['false', 'no', '0'];

function matches(
  value: PlistValue | undefined,
  wanted: string,
  same: (a: string, b: string) => boolean,
): boolean {
  if (typeof value === 'string') return same(value, wanted);
  if (typeof value === 'boolean') return (value ? TRUE : FALSE).includes(wanted.toLowerCase());
  if (typeof value !== 'number' && typeof value !== 'bigint') return false;
  return /^[+-]?(0x[\da-f]+|\d+)$/i.test(wanted) && String(value) === String(BigInt(wanted));
}

function property(words: Words): Test {
  const same = comparison(words);
  const [name, value] = [words.next(), words.next()];
  return ({ info }) => matches(info.value(name), value, same);
}

const personalities = ({ info }: Kext): readonly PlistDict[] => [...info.personalities.values()];

function matchProperty(words: Words): Test {
  const same = comparison(words);
  const [name, value] = [words.next(), words.next()];
  return (kext) =>
    personalities(kext).some((one) => Object.hasOwn(one, name) && matches(one[name], value, same));
}

function bundleName(words: Words): Test {
  const same = comparison(words);
  const name = words.next();
  return ({ path }) => same(baseName(path), name);
}

function bundleIdentifier(words: Words): Test {
  const same = comparison(words);
  const identifier = words.next();
  return (kext) => same(kext.identifier, identifier);
}

const OPERATORS: Readonly<Record<string, (a: bigint, b: bigint) => boolean>> = {
  e: (a, b) => a === b,
  ne: (a, b) => a !== b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
};

/** `1.2`, `ge1.0`, `1.0-2.0`. */
function version(words: Words): Test {
  const text = words.next();
  const match = /^(e|ne|gt|ge|lt|le)?([^-]*)(?:-(.*))?$/.exec(text);
  const [, operator = 'e', low = '', high] = match ?? [];
  const [from, to] = [parseVersion(low), parseVersion(high ?? low)];
  if (from === INVALID_VERSION || to === INVALID_VERSION || (match?.[1] !== undefined && high !== undefined))
    throw new QueryError(`Invalid version expression ${text}.`);
  if (high !== undefined) return ({ info }) => info.version >= from && info.version <= to;
  return ({ info }) => OPERATORS[operator](info.version, from);
}

function compatible(words: Words): Test {
  const text = words.next();
  const wanted = parseVersion(text);
  if (wanted === INVALID_VERSION) throw new QueryError(`Invalid version expression ${text}.`);
  return ({ info }) => isCompatible({ version: info.version, compatible: info.compatibleVersion }, wanted);
}

const MACHINES = ['i386', 'x86_64', 'x86_64h', 'ppc', 'ppc64', 'arm', 'arm64', 'arm64e'];

export function machines(text: string): string[] {
  const names = text.split(',');
  const odd = names.find((name) => !MACHINES.includes(name));
  if (odd !== undefined) throw new QueryError(`Unknown architecture ${odd}.`);
  return names;
}

const architecture =
  (exact: boolean): Reader =>
  ({ found, next }) => {
    const wanted = machines(next());
    return (kext) => {
      const own = found.architectures(kext);
      return wanted.every((one) => own.includes(one)) && (!exact || own.length === wanted.length);
    };
  };

const symbol =
  (kind: 'defines' | 'references'): Reader =>
  ({ found, next }) => {
    const name = next();
    return (kext) => found.symbol(kext, name) === kind;
  };

// -- what prints ------------------------------------------------------------------------------------------------------

function lineEnd(words: Words): string {
  return words.take('-0', '-nul') || words.nul ? '\0' : '\n';
}

/** Lines about a kext; always true. */
const print =
  (lines: (found: FoundKexts, kext: Kext) => readonly string[]): Reader =>
  (words) => {
    const end = lineEnd(words);
    return (kext) => {
      for (const line of lines(words.found, kext)) words.answer.out += line + end;
      return true;
    };
  };

const paths = (found: FoundKexts, kexts: readonly Kext[]): string[] => kexts.map((one) => found.path(one));

export const executableOf = (found: FoundKexts, kext: Kext): string | undefined => {
  const path = kext.bundle.executablePath();
  return path === undefined ? undefined : found.path(kext, path.slice(kext.path.length));
};
export const infoOf = (found: FoundKexts, kext: Kext): string =>
  found.path(kext, kext.bundle.infoPath.slice(kext.path.length));

const SHOWN_DATA = 36;

/** `name = "text"`, as -print-property writes values. */
export function propertyText(name: string, value: PlistValue): string {
  if (typeof value === 'string') return `${name} = "${value}"`;
  if (Array.isArray(value)) return `${name} = <array of ${value.length} items>`;
  if (value instanceof Uint8Array) {
    const digits = hexOf(value.subarray(0, SHOWN_DATA)).replace(/(.{8})(?=.)/g, '$1 ');
    return `${name} = <data (${value.length} bytes): ${digits}${value.length > SHOWN_DATA ? '...' : ''}>`;
  }
  if (isDict(value)) return `${name} = <dictionary of ${Object.keys(value).length} items>`;
  if (value === null || value instanceof Date) return `${name} = <value of unknown type>`;
  return `${name} = ${String(value)}`;
}

function printProperty(words: Words): Test {
  const end = lineEnd(words);
  const name = words.next();
  return ({ info }) => {
    const value = info.value(name);
    if (value !== undefined) words.answer.out += propertyText(name, value) + end;
    return true;
  };
}

function printMatchProperty(words: Words): Test {
  const end = lineEnd(words);
  const name = words.next();
  return ({ info }) => {
    for (const [label, one] of info.personalities)
      if (Object.hasOwn(one, name)) words.answer.out += `${label}: ${propertyText(name, one[name])}${end}`;
    return true;
  };
}

function echo(words: Words): Test {
  let end = words.nul ? '\0' : '\n';
  for (;;) {
    if (words.take('-n', '-no-newline')) end = '';
    else if (words.take('-0', '-nul')) end = end === '' ? '' : '\0';
    else break;
  }
  const text = words.next();
  return () => {
    words.answer.out += text + end;
    return true;
  };
}

/** Runs a command of the session; what it prints is part of the answer. */
function exec(words: Words): Test {
  const command: string[] = [];
  for (let word = words.next(); word !== ';'; word = words.next()) command.push(word);
  if (command.length === 0) throw new QueryError('-exec needs a command.');
  return async (kext) => {
    const { found, answer } = words;
    const filled = command.map((word) =>
      word
        .replaceAll('{info-dictionary}', infoOf(found, kext))
        .replaceAll('{executable}', executableOf(found, kext) ?? '')
        .replaceAll('{}', found.path(kext)),
    );
    const result = await found.session.run(filled);
    answer.out += result.out;
    answer.err += result.err;
    answer.explain(result.note);
    return result.code === 0;
  };
}

const READERS: readonly (readonly [names: string, reader: Reader])[] = [
  ['-b -bundle-id', bundleIdentifier],
  ['-B -bundle-name', bundleName],
  ['-p -property', property],
  [
    '-pe -property-exists',
    ({ next }) =>
      (
        (name) =>
        ({ info }: Kext) =>
          info.value(name) !== undefined
      )(next()),
  ],
  ['-m -match-property', matchProperty],
  [
    '-me -match-property-exists',
    ({ next }) =>
      (
        (name) => (kext: Kext) =>
          personalities(kext).some((one) => Object.hasOwn(one, name))
      )(next()),
  ],
  ['-V -version', version],
  ['-compatible-with-version', compatible],
  ['-a -authentic', flag((found, kext) => found.authentic(kext))],
  ['-na -inauthentic', flag((found, kext) => !found.authentic(kext))],
  ['-d -dependencies-met', flag((found, kext) => found.dependenciesMet(kext))],
  ['-nd -dependencies-missing', flag((found, kext) => !found.dependenciesMet(kext))],
  ['-v -valid', flag((found, kext) => found.valid(kext))],
  ['-nv -invalid', flag((found, kext) => !found.valid(kext))],
  ['-l -loadable', flag((found, kext) => found.loadable(kext))],
  ['-nl -nonloadable', flag((found, kext) => !found.loadable(kext))],
  ['-loaded', flag((found, kext) => found.loaded(kext))],
  ['-w -warnings', flag((found, kext) => found.diagnostics(kext).has('warnings'))],
  ['-arch', architecture(false)],
  ['-ax -arch-exact', architecture(true)],
  ['-dsym -defines-symbol', symbol('defines')],
  ['-rsym -references-symbol', symbol('references')],
  ['-x -executable', flag((_, { info }) => info.executable !== undefined)],
  ['-nx -no-executable', flag((_, { info }) => info.executable === undefined)],
  ['-dup -duplicate-id', flag((found, kext) => found.duplicate(kext))],
  ['-debug', flag((found, kext) => found.debug(kext))],
  ['-has-plugins', flag((found, kext) => found.plugIns(kext).length > 0)],
  ['-plugin', flag((found, kext) => found.isPlugIn(kext))],
  ['-kernel-resource', flag((_, { info }) => info.isKernelComponent)],
  ['-lib -library', flag((_, { info }) => info.compatibleVersion > 0n)],
  // Since 10.6 the system keeps no receipts of kexts.
  [
    '-integrity',
    ({ next }) =>
      (
        (_) => () =>
          false
      )(next()),
  ],
  ['-R -root', required('Root')],
  ['-L -local-root', required('Local-Root')],
  ['-N -network-root', required('Network-Root')],
  ['-C -console', required('Console')],
  ['-S -safe-boot', required('Safe Boot')],
];

const COMMANDS: readonly (readonly [names: string, reader: Reader])[] = [
  ['-print', print((found, kext) => [found.path(kext)])],
  [
    '-print0',
    (words) => print((found, kext) => [found.path(kext)])({ ...words, nul: true, take: () => false }),
  ],
  [
    '-pa -print-arches',
    print((found, kext) => [found.architectures(kext).join(',')].filter((text) => text !== '')),
  ],
  ['-print-dependencies', print((found, kext) => paths(found, found.dependencies(kext)))],
  ['-print-dependents', print((found, kext) => paths(found, found.dependents(kext)))],
  ['-print-plugins', print((found, kext) => paths(found, found.plugIns(kext)))],
  [
    '-px -print-executable',
    print((found, kext) => [executableOf(found, kext)].filter((path) => path !== undefined)),
  ],
  ['-pid -print-info-dictionary', print((found, kext) => [infoOf(found, kext)])],
  ['-print-integrity', print(() => ['n/a'])],
  [
    '-pdiag -print-diagnostics',
    ({ found, answer }) =>
      (kext) => {
        const all = found.diagnostics(kext);
        if (all.findings.length > 0) answer.out += `${all.body}\n`;
        return true;
      },
  ],
  ['-pp -print-property', printProperty],
  ['-pm -print-match-property', printMatchProperty],
  ['-echo', echo],
  ['-exec', exec],
];

const table = (rows: readonly (readonly [names: string, reader: Reader])[]): ReadonlyMap<string, Reader> =>
  new Map(rows.flatMap(([names, reader]) => names.split(' ').map((name) => [name, reader] as const)));

export const PREDICATES = table(READERS);
export const COMMAND_PREDICATES = table(COMMANDS);
