/** Which of two module files with one name is taken (depmod.d(5): override, search; "built-in" is the rest of the tree). */
import type { DepmodConfig } from './depmod-config.ts';
import { baseName, normalizeName } from './names.ts';

/** Path without the ending: `override` names a module, however its file is compressed. */
function withoutEnding(path: string): string {
  const name = baseName(path);
  return (
    path.slice(0, path.length - name.length) +
    path.slice(path.length - name.length).slice(0, normalizeName(name).length)
  );
}

/** The path below the tree; undefined when it is outside. */
const below = (path: string, tree: string): string | undefined =>
  path.startsWith(tree) ? path.slice(tree.length + 1) : undefined;

/** Does the file that was found first stay, rather than give way to the new one? */
export function keepsPriority(config: DepmodConfig, tree: string, found: string, newer: string): boolean {
  const [oldPath, newPath] = [withoutEnding(found), withoutEnding(newer)];
  const [oldBelow, newBelow] = [below(oldPath, tree), below(newPath, tree)];
  for (const override of config.overrides) {
    if (newBelow === override) return false;
    if (oldBelow === override) return true;
  }
  return searchPlaceOf(config, newPath, newBelow, oldPath, oldBelow);
}

/** Positions in the list of searches; a higher one wins, and of equal ones the file that was there. */
function searchPlaceOf(
  config: DepmodConfig,
  newPath: string,
  newBelow: string | undefined,
  oldPath: string,
  oldBelow: string | undefined,
): boolean {
  let [builtin, older, newer] = [-1, -1, -1];
  let place = 0;
  for (const search of config.searches) {
    if (search.kind === 'built-in') builtin = place;
    else if (search.kind === 'external') {
      // Each external folder has a place of its own.
      for (const folder of config.externals) {
        if (newPath.startsWith(`${folder}/`)) newer = place;
        if (oldPath.startsWith(`${folder}/`)) older = place;
        place++;
      }
    } else if (newBelow?.startsWith(`${search.path}/`)) newer = place;
    else if (oldBelow?.startsWith(`${search.path}/`)) older = place;
    place++;
  }
  if (newer < 0) newer = builtin;
  if (older < 0) older = builtin;
  return newer <= older;
}
