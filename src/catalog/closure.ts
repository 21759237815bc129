/** Which modules must be loaded before one, in an order that satisfies all: what modprobe does with modules.dep. */

/** What the order needs to know of a set of modules. */
export interface Catalog<T> {
  /** The module of that name, however the system spells it. */
  find(name: string): T | undefined;
  /** Names that the module says it depends on, in its own order. */
  depends(module: T): readonly string[];
}

export interface LoadPlan<T> {
  /** Dependencies first, the module itself last; each once. */
  readonly order: readonly T[];
  /** Names that some module of the plan depends on and the catalogue does not have. */
  readonly absent: readonly { readonly name: string; readonly neededBy: string }[];
  /** Dependency chains that come back to their start, by name: none of these can be loaded by order alone. */
  readonly cycles: readonly (readonly string[])[];
}

/** Plans the load of `name`; undefined when the catalogue does not have it. */
export function planLoad<T>(catalog: Catalog<T>, name: string): LoadPlan<T> | undefined {
  const first = catalog.find(name);
  if (first === undefined) return undefined;
  const order: T[] = [];
  const done = new Set<T>();
  const absent: { name: string; neededBy: string }[] = [];
  const cycles: string[][] = [];
  // An explicit stack: chains of made-up modules may be longer than the host's stack.
  const path: { module: T; name: string; rest: string[] }[] = [];
  const depth = new Map<T, number>();
  const enter = (module: T, as: string): void => {
    depth.set(module, path.length);
    path.push({ module, name: as, rest: [...catalog.depends(module)] });
  };
  enter(first, name);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const next = top.rest.shift();
    if (next === undefined) {
      path.pop();
      depth.delete(top.module);
      done.add(top.module);
      order.push(top.module);
      continue;
    }
    const module = catalog.find(next);
    if (module === undefined) {
      absent.push({ name: next, neededBy: top.name });
      continue;
    }
    const at = depth.get(module);
    if (at !== undefined) cycles.push(path.slice(at).map((entry) => entry.name));
    else if (!done.has(module)) enter(module, next);
  }
  return { order, absent, cycles };
}

/** A catalogue over a map of names; `-` and `_` are one and the same in Linux module names. */
export function mapCatalog<T>(
  modules: ReadonlyMap<string, T>,
  depends: (module: T) => readonly string[],
): Catalog<T> {
  const normal = (name: string) => name.replaceAll('-', '_');
  const byName = new Map([...modules].map(([name, module]) => [normal(name), module]));
  return { find: (name) => byName.get(normal(name)), depends };
}
