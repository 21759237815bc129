/** `kextfind -report`: a line a kext, columns between tabs, with the words of its table of labels. */
import type { Kext } from '../../../systems/macos/library.ts';
import { isDict, type PlistValue } from '../../../systems/macos/plist.ts';
import { baseName } from '../../../systems/macos/tree.ts';
import type { FoundKexts } from './facts.ts';
import { executableOf, infoOf, machines, QueryError } from './predicates.ts';

export interface Column {
  readonly label: string;
  readonly cell: (kext: Kext) => string;
}

const yes = (value: boolean): string => (value ? 'yes' : 'no');

type Flags = readonly (readonly [
  names: string,
  label: string,
  test: (found: FoundKexts, kext: Kext) => boolean,
])[];

const FLAGS: Flags = [
  ['-loaded', 'Loaded', (found, kext) => found.loaded(kext)],
  ['-v -valid', 'Valid', (found, kext) => found.valid(kext)],
  ['-a -authentic', 'Authentic', (found, kext) => found.authentic(kext)],
  ['-d -dependencies-met', 'Dependencies Met', (found, kext) => found.dependenciesMet(kext)],
  ['-l -loadable', 'Loadable', (found, kext) => found.loadable(kext)],
  ['-w -warnings', 'Warnings', (found, kext) => found.diagnostics(kext).has('warnings')],
  ['-lib -library', 'Library', (_, { info }) => info.compatibleVersion > 0n],
  ['-has-plugins', 'Plugins', (found, kext) => found.plugIns(kext).length > 0],
  ['-plugin', 'Is Plugin', (found, kext) => found.isPlugIn(kext)],
  ['-debug', 'Debug', (found, kext) => found.debug(kext)],
  ['-kernel-resource', 'Kernel Resource', (_, { info }) => info.isKernelComponent],
  ['-x -executable', 'Has Executable', (_, { info }) => info.executable !== undefined],
  ['-dup -duplicate-id -duplicate-identifier', 'Has Duplicates', (found, kext) => found.duplicate(kext)],
];

type Values = readonly (readonly [
  names: string,
  label: string,
  cell: (found: FoundKexts, kext: Kext) => string,
])[];

const VALUES: Values = [
  ['-b -bundle-id', 'CFBundleIdentifier', (_, { info }) => valueText(info.value('CFBundleIdentifier'))],
  ['-V -version', 'CFBundleVersion', (_, { info }) => valueText(info.value('CFBundleVersion'))],
  ['-B -bundle-name', 'Bundle', (_, { path }) => baseName(path)],
  ['-print', 'Bundle', (found, kext) => found.path(kext)],
  ['-pa -print-arches', 'Arches', (found, kext) => found.architectures(kext).join(',')],
  ['-print-dependencies', '# Dependencies', (found, kext) => String(found.dependencies(kext).length)],
  ['-print-dependents', '# Dependents', (found, kext) => String(found.dependents(kext).length)],
  ['-print-plugins', '# Plugins', (found, kext) => String(found.plugIns(kext).length)],
  ['-integrity -print-integrity', 'Integrity', () => 'n/a'],
  ['-pid -print-info-dictionary', 'Info Dictionary', infoOf],
  ['-px -print-executable', 'Executable', (found, kext) => executableOf(found, kext) ?? ''],
];

/** `<null>`, `<dict of 3>`, or the value itself. */
function valueText(value: PlistValue | undefined): string {
  if (value === undefined || value === null) return '<null>';
  if (Array.isArray(value)) return `<array of ${value.length}>`;
  if (value instanceof Uint8Array) return `<data of ${value.length}>`;
  if (value instanceof Date) return '<unknown CF type>';
  if (isDict(value)) return `<dict of ${Object.keys(value).length}>`;
  return String(value);
}

/** @throws QueryError */
export function readColumns(words: readonly string[], found: FoundKexts): Column[] {
  const columns: Column[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const own = (names: string): boolean => names.split(' ').includes(word);
    const flag = FLAGS.find(([names]) => own(names));
    const value = VALUES.find(([names]) => own(names));
    if (flag !== undefined) columns.push({ label: flag[1], cell: (kext) => yes(flag[2](found, kext)) });
    else if (value !== undefined) columns.push({ label: value[1], cell: (kext) => value[2](found, kext) });
    else columns.push(withArgument(word, words[++i], found));
  }
  if (columns.length === 0) throw new QueryError('No report predicates given.');
  return columns;
}

function withArgument(word: string, argument: string | undefined, found: FoundKexts): Column {
  const known = [
    '-p',
    '-property',
    '-pp',
    '-print-property',
    '-sym',
    '-symbol',
    '-arch',
    '-ax',
    '-arch-exact',
  ];
  if (!known.includes(word)) throw new QueryError(`Invalid report predicate: ${word}`);
  if (argument === undefined) throw new QueryError(`Missing argument for ${word}.`);
  if (/^-(sym|symbol)$/.test(word))
    return { label: `symbol ${argument}`, cell: (kext) => found.symbol(kext, argument) };
  if (/^-p/.test(word)) return { label: argument, cell: ({ info }) => valueText(info.value(argument)) };
  const wanted = machines(argument);
  const exact = word !== '-arch';
  return {
    label: exact ? `${argument} (only)` : argument,
    cell: (kext) => {
      const own = found.architectures(kext);
      return yes(wanted.every((one) => own.includes(one)) && (!exact || own.length === wanted.length));
    },
  };
}
