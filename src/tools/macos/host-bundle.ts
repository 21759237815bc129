/** A bundle on the user's own machine, read into a tree. */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { FileTree } from '../../systems/macos/tree.ts';
import { statIfAny } from '../stat-if-any.ts';

const MAX_FILES = 20_000;

/** The tree, and the bundle's path in it. */
export function hostBundle(path: string): { tree: FileTree; at: string } {
  const tree = new FileTree();
  const at = `/${basename(resolve(path))}`;
  const budget = { left: MAX_FILES };
  copy(tree, path, at, budget);
  return { tree, at };
}

function copy(tree: FileTree, from: string, to: string, budget: { left: number }): void {
  if (budget.left-- <= 0) throw new RangeError(`${from}: more than ${MAX_FILES} files`);
  const stat = lstatSync(from);
  const owner = { uid: stat.uid, gid: stat.gid, mode: stat.mode & 0o7777 };
  if (stat.isSymbolicLink()) tree.put(to, { kind: 'link', ...owner, target: readlinkSync(from) });
  else if (stat.isDirectory()) {
    tree.put(to, { kind: 'folder', ...owner });
    for (const name of readdirSync(from).sort()) copy(tree, join(from, name), `${to}/${name}`, budget);
  } else if (stat.isFile()) tree.put(to, { kind: 'file', ...owner, bytes: readFileSync(from) });
}

/** Is there a folder that looks like a bundle: with an Info.plist in either place? */
export function isBundle(path: string): boolean {
  const has = (name: string): boolean => statIfAny(join(path, name))?.isFile() === true;
  return has('Contents/Info.plist') || (path.replace(/\/$/, '').endsWith('.kext') && has('Info.plist'));
}

/** The bundle of an executable or a property list: `Foo.kext` of `Foo.kext/Contents/MacOS/Foo` or `.../Info.plist`. */
export function bundleAround(path: string): string | undefined {
  const above = basename(path) === 'Info.plist' ? ['..', '../..'] : ['../../..'];
  return above.map((up) => resolve(path, up)).find((one) => one.endsWith('.kext') && isBundle(one));
}
