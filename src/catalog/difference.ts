/** What differs between two sets of module files: modules, what they offer, how they can be asked for and set. */
import type { CatalogEntry, CatalogSymbol } from './entry.ts';

export interface ListChange {
  readonly came: readonly string[];
  readonly went: readonly string[];
}

export interface ModuleChange {
  readonly name: string;
  readonly version: { readonly before: string; readonly after: string } | undefined;
  /** Symbols it offers. */
  readonly exports: ListChange;
  /** Symbols whose version is another: modules built for the one do not load with the other. */
  readonly versions: readonly { readonly name: string; readonly before: string; readonly after: string }[];
  readonly parameters: ListChange;
  readonly aliases: ListChange;
  readonly depends: ListChange;
}

export interface TreeDifference {
  readonly came: readonly string[];
  readonly went: readonly string[];
  /** Only modules in which something differs, by name. */
  readonly changed: readonly ModuleChange[];
  /** Symbols that another module offers now. */
  readonly moved: readonly { readonly name: string; readonly before: string; readonly after: string }[];
}

const listChange = (before: readonly string[], after: readonly string[]): ListChange => {
  const [old, now] = [new Set(before), new Set(after)];
  return { came: [...now].filter((one) => !old.has(one)), went: [...old].filter((one) => !now.has(one)) };
};

const isEmpty = ({ came, went }: ListChange): boolean => came.length === 0 && went.length === 0;

export function diffTrees(before: readonly CatalogEntry[], after: readonly CatalogEntry[]): TreeDifference {
  const [old, now] = [byName(before), byName(after)];
  const { came, went } = listChange([...old.keys()].sort(), [...now.keys()].sort());
  const changed: ModuleChange[] = [];
  for (const [name, entry] of [...old].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const other = now.get(name);
    const change = other === undefined ? undefined : moduleChange(name, entry, other);
    if (change !== undefined) changed.push(change);
  }
  return { came, went, changed, moved: movedSymbols(before, after) };
}

/** The first file of a name counts, as for a loader. */
function byName(entries: readonly CatalogEntry[]): Map<string, CatalogEntry> {
  const map = new Map<string, CatalogEntry>();
  for (const entry of entries) if (!map.has(entry.name)) map.set(entry.name, entry);
  return map;
}

function moduleChange(name: string, before: CatalogEntry, after: CatalogEntry): ModuleChange | undefined {
  const names = (symbols: readonly CatalogSymbol[]) => symbols.map((symbol) => symbol.name);
  const parameters = ({ parameters: list }: CatalogEntry) => list.map((one) => `${one.name}:${one.type}`);
  const change: ModuleChange = {
    name,
    version: before.version === after.version ? undefined : { before: before.version, after: after.version },
    exports: listChange(names(before.offers), names(after.offers)),
    versions: changedVersions(before.offers, after.offers),
    parameters: listChange(parameters(before), parameters(after)),
    aliases: listChange(before.aliases, after.aliases),
    depends: listChange(before.depends, after.depends),
  };
  const same =
    change.version === undefined &&
    change.versions.length === 0 &&
    [change.exports, change.parameters, change.aliases, change.depends].every(isEmpty);
  return same ? undefined : change;
}

function changedVersions(before: readonly CatalogSymbol[], after: readonly CatalogSymbol[]) {
  const now = new Map(after.map((symbol) => [symbol.name, symbol.version]));
  return before.flatMap(({ name, version }) => {
    const other = now.get(name);
    return version === undefined || other === undefined || version === other
      ? []
      : [{ name, before: version, after: other }];
  });
}

function movedSymbols(before: readonly CatalogEntry[], after: readonly CatalogEntry[]) {
  const owners = (entries: readonly CatalogEntry[]) =>
    new Map(entries.flatMap(({ name, offers }) => offers.map((symbol) => [symbol.name, name] as const)));
  const now = owners(after);
  return [...owners(before)].flatMap(([name, owner]) => {
    const other = now.get(name);
    return other === undefined || other === owner ? [] : [{ name, before: owner, after: other }];
  });
}
