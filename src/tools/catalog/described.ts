/** Module files of the other systems as entries of a catalogue, from what their readers say of them. */
import { BARE_ENTRY, type CatalogEntry, type CatalogSymbol } from '../../catalog/entry.ts';
import type { Description } from '../system.ts';

type Facts = Readonly<Record<string, unknown>>;

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const records = (value: unknown): readonly Facts[] =>
  list(value).filter((one): one is Facts => typeof one === 'object' && one !== null);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const texts = (value: unknown): string[] => list(value).filter((one) => typeof one === 'string');
/** Symbols are names, or records with one. */
const symbols = (value: unknown): CatalogSymbol[] =>
  list(value).flatMap((one) => {
    if (typeof one === 'string') return [{ name: one }];
    const { name, weak } = (one ?? {}) as Facts;
    return typeof name === 'string' ? [{ name, ...(weak === true ? { weak } : {}) }] : [];
  });
const baseOf = (path: string): string => path.replace(/\/+$/, '').replace(/^.*\//, '');

/** Systems whose names of modules are those of a disk that does not tell upper from lower case. */
const ANY_CASE: readonly string[] = ['netware', 'windows'];

/** The kernel's own files, by name, where the file does not say so itself. */
const KERNELS: Readonly<Record<string, RegExp>> = {
  solaris: /^(unix|genunix)$/,
  windows: /^(nt(oskrnl|krnl\w*)|hal\w*)\.(exe|dll)$/i,
};

type Reader = (facts: Facts, path: string) => Partial<CatalogEntry>;

const READERS: Readonly<Record<string, Reader>> = {
  freebsd: (facts) => ({
    ...(records(facts.metadata).some(({ kind, name }) => kind === 'version' && name === 'kernel') && {
      kernel: true,
    }),
    offers: symbols(facts.exports),
    needs: symbols(facts.imports),
    names: records(facts.metadata).flatMap(({ kind, name }) =>
      kind === 'module' || kind === 'version' ? [text(name)] : [],
    ),
    depends: records(facts.metadata).flatMap(({ kind, name }) =>
      kind === 'depend' && name !== 'kernel' ? [text(name)] : [],
    ),
    version: text(facts.version),
  }),
  solaris: (facts) => ({
    name: text(facts.name),
    offers: symbols(facts.exports),
    needs: symbols(facts.imports),
    depends: texts((facts.dependencies as Facts | undefined)?.names),
  }),
  netware: (facts) => ({
    name: text(facts.name),
    offers: symbols(facts.publics),
    needs: symbols(facts.imports),
    depends: texts(facts.dependencies),
  }),
  windows: (facts) => ({
    offers: symbols(facts.exports),
    needs: records(facts.imports).flatMap(({ library, names }) =>
      texts(names).map((name) => ({ name, from: text(library) })),
    ),
    version: text(facts.osVersion),
  }),
  macos: (facts, path) => ({
    name: text(facts.identifier) || baseOf(path),
    names: [baseOf(path)],
    version: text(facts.version),
    offers: records(facts.code).flatMap((code) => symbols(code.exports)),
    needs: records(facts.imports).map(({ name, owner, weak }) => ({
      name: text(name),
      weak: weak === true,
      ...(typeof owner === 'string' ? { from: owner } : {}),
    })),
    depends: Object.keys((facts.libraries as Facts | undefined) ?? {}).filter(
      // Those that the kernel itself brings are no bundles.
      (name) => !name.startsWith('com.apple.kpi.'),
    ),
  }),
  vxworks: (facts) => ({
    offers: records(facts.defined).flatMap(({ name, local }) =>
      local === true ? [] : [{ name: text(name) }],
    ),
    needs: symbols(facts.needs),
  }),
};

export function describedEntry(path: string, { system, facts }: Description): CatalogEntry {
  const base = {
    ...BARE_ENTRY,
    system,
    path,
    name: baseOf(path).replace(/\.(ko|sys|o|out)$/i, ''),
    ...(ANY_CASE.includes(system) && { anyCase: true }),
    ...(KERNELS[system]?.test(baseOf(path)) && { kernel: true }),
  };
  const found = READERS[system]?.(facts, path) ?? {};
  return { ...base, ...found, name: found.name || base.name };
}
