/**
 * What stands in a kernel that somebody registered: files, timers, threads, devices. Compared before a module was loaded and after
 * it has gone, that is what it forgot to take back, and what will call code that is no longer there. Memory is told
 * apart: a system's own report of leaks.
 */

/** One thing that stands. */
export interface Standing {
  /** The kind, in the system's word: `timer`, `kernel thread`, `file`. */
  readonly what: string;
  readonly name: string;
}

/** One thing under a key that stays the same as long as it does, and that no other of its kind has. */
export interface StandingThing extends Standing {
  readonly key: string | number;
}

export type StandingNow = ReadonlyMap<string, Standing>;

/** A thing of this kind is known by its path, which is its name and its key. */
export const FILE = 'file';
/** A loaded module: it is never told as left, but what came with it and stays as long as it does is nobody's fault. */
export const MODULE = 'module';

/** What a system's generator gives, for comparing. */
export function standingNow(things: Iterable<StandingThing>): StandingNow {
  const found = new Map<string, Standing>();
  for (const { what, key, name } of things) found.set(`${what} ${key}`, { what, name });
  return found;
}

/** What stands in `after` and did not in `before`; the names are those of `during`, when they could still be read. */
export function newlyStanding(before: StandingNow, during: StandingNow, after: StandingNow): Standing[] {
  const left = [...after]
    .filter(([key, { what }]) => !before.has(key) && what !== MODULE)
    .map(([key, one]) => during.get(key) ?? one);
  const folders = (all: Iterable<Standing>) =>
    [...all].filter(({ what }) => what === FILE).map(({ name }) => folderOf(name));
  const old = new Set(folders(before.values()));
  const fresh = folders(left).filter((folder) => !old.has(folder));
  // Of a folder that has come with several files the files say no more than the folder.
  const told = new Set(fresh.filter((folder, i) => fresh.indexOf(folder) !== i));
  const files = left.filter(({ what, name }) => what === FILE && !told.has(folderOf(name)));
  const others = left.filter(({ what }) => what !== FILE);
  return [...files, ...[...told].map((name) => ({ what: 'folder', name })), ...others];
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

/** What modules of one run left, each thing told once: of several modules, by the first that is gone. */
export class LeftBehind {
  private readonly told = new Set<string>();

  /**
   * What stands since the module came, but for what those that came after it have left: they are gone already. Nothing
   * while a module stays that came later: somebody wants it, and what stands may be its own.
   */
  by(before: StandingNow, during: StandingNow, now: StandingNow): Standing[] {
    if ([...now].some(([key, { what }]) => what === MODULE && !before.has(key))) return [];
    const after = new Map([...now].filter(([key]) => !this.told.has(key)));
    for (const key of after.keys()) if (!before.has(key)) this.told.add(key);
    return newlyStanding(before, during, after);
  }
}
