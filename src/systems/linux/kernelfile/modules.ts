/** What a kernel's own modules export: enough to say which of them another module needs, and whether it fits. */

export interface ExportingModule {
  readonly name: string;
  /** It is proprietary, which its users would inherit. */
  readonly proprietary: boolean;
  /** Names of modules it needs itself; empty where nobody knows. */
  readonly depends: readonly string[];
}

export interface ModuleExportRow {
  readonly name: string;
  /** Name of the module. */
  readonly owner: string;
  readonly crc: number | undefined;
  readonly gplOnly: boolean;
  readonly namespace: string;
}

export class ModuleExports {
  readonly modules: ReadonlyMap<string, ExportingModule>;
  readonly rows: readonly ModuleExportRow[];
  #byName: Map<string, ModuleExportRow> | undefined;

  constructor(modules: Iterable<ExportingModule>, rows: readonly ModuleExportRow[]) {
    this.modules = new Map([...modules].map((module) => [module.name, module]));
    this.rows = rows;
  }

  find(symbol: string): ModuleExportRow | undefined {
    if (this.#byName === undefined) {
      this.#byName = new Map();
      // The first of two is taken, as depmod takes it.
      for (const row of this.rows) if (!this.#byName.has(row.name)) this.#byName.set(row.name, row);
    }
    return this.#byName.get(symbol);
  }
}

/** As it stands in a saved kernel: columns, since JSON repeats the names of fields. */
export interface SavedModules {
  readonly names: readonly string[];
  readonly proprietary: readonly number[];
  /** By module: indices of those it needs. */
  readonly depends: readonly (readonly number[])[];
  readonly namespaces: readonly string[];
  readonly symbols: readonly string[];
  /** By symbol: index of the module. */
  readonly owners: readonly number[];
  /** -1 for none. */
  readonly crcs: readonly number[];
  /** Twice the index of the namespace, one more for GPL-only. */
  readonly flags: readonly number[];
}

export function saveModules({ modules, rows }: ModuleExports): SavedModules {
  const names = [...modules.keys()];
  const index = new Map(names.map((name, i) => [name, i]));
  const namespaces = [...new Set(['', ...rows.map(({ namespace }) => namespace)])];
  const spaces = new Map(namespaces.map((name, i) => [name, i]));
  const known = rows.filter(({ owner }) => index.has(owner));
  return {
    names,
    proprietary: [...modules.values()].flatMap(({ proprietary }, i) => (proprietary ? [i] : [])),
    depends: [...modules.values()].map(({ depends }) => depends.flatMap((name) => index.get(name) ?? [])),
    namespaces,
    symbols: known.map(({ name }) => name),
    owners: known.map(({ owner }) => index.get(owner) ?? 0),
    crcs: known.map(({ crc }) => crc ?? -1),
    flags: known.map(({ gplOnly, namespace }) => (spaces.get(namespace) ?? 0) * 2 + (gplOnly ? 1 : 0)),
  };
}

export function loadModules(saved: SavedModules): ModuleExports {
  const proprietary = new Set(saved.proprietary);
  const modules = saved.names.map((name, i) => ({
    name,
    proprietary: proprietary.has(i),
    depends: (saved.depends[i] ?? []).flatMap((other) => saved.names[other] ?? []),
  }));
  const rows = saved.symbols.map((name, i) => ({
    name,
    owner: saved.names[saved.owners[i]] ?? '',
    crc: saved.crcs[i] < 0 ? undefined : saved.crcs[i],
    gplOnly: (saved.flags[i] & 1) !== 0,
    namespace: saved.namespaces[saved.flags[i] >> 1] ?? '',
  }));
  return new ModuleExports(modules, rows);
}

const isStrings = (value: unknown): boolean =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');
const isNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((one) => Number.isInteger(one));

export function isSavedModules(value: unknown): value is SavedModules {
  if (typeof value !== 'object' || value === null) return false;
  const saved = value as Partial<Record<keyof SavedModules, unknown>>;
  const { symbols, owners, crcs, flags, depends, proprietary } = saved;
  const columns = [owners, crcs, flags];
  return (
    isStrings(saved.names) &&
    isStrings(saved.namespaces) &&
    isStrings(symbols) &&
    isNumbers(proprietary) &&
    Array.isArray(depends) &&
    depends.every(isNumbers) &&
    columns.every((column) => isNumbers(column) && column.length === (symbols as string[]).length)
  );
}
