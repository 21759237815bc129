/** Names that are one and the same where a disk does not tell upper case from lower case. */

/** Groups of different paths that such a disk takes for one, each in the order of `paths`. */
export function caseCollisions(paths: Iterable<string>): readonly (readonly string[])[] {
  const groups = new Map<string, string[]>();
  for (const path of paths) {
    const folded = path.toLowerCase();
    const group = groups.get(folded);
    if (group === undefined) groups.set(folded, [path]);
    else if (!group.includes(path)) group.push(path);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}
