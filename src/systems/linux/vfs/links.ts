/** rename, link, symlink and readlink on mounted filesystems (fs/namei.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { userSpace } from '../user.ts';
import { dropDentry, entryFor, moveDentry, putDentry } from './dentry.ts';
import { leave, linkTarget, namespace, type Place } from './namespace.ts';

type DentryPlace = Place & { kind: 'dentry' };

/** The directory and the name of a path on a mounted filesystem; EPERM elsewhere: our own tree has no links to make. */
function* target(k: Linux, path: string): Steps<{ place: DentryPlace; name: string } | number> {
  const parent = yield* k.state(namespace).parent(k, path);
  if (typeof parent === 'number') return parent;
  if (parent.place.kind === 'node') return -Errno.EPERM;
  return { place: parent.place, name: parent.name };
}

const inodeOf = (k: Linux, dentry: Address): Address => k.read('dentry.d_inode', dentry);

function operation(k: Linux, directory: Address, name: string): Address {
  const operations = k.read('inode.i_op', directory);
  return operations === 0 ? 0 : k.read(`inode_operations.${name}`, operations);
}

/** rename(2) within one filesystem. */
export function* rename(k: Linux, from: string, to: string): Steps<number> {
  const old = yield* target(k, from);
  if (typeof old === 'number') return old;
  const fresh = yield* target(k, to);
  if (typeof fresh === 'number') return fresh;
  if (old.place.mount !== fresh.place.mount) return -Errno.EXDEV;
  const source = yield* entryFor(k, old.place.dentry, old.name);
  const destination = yield* entryFor(k, fresh.place.dentry, fresh.name);
  if (isError(source) || isError(destination)) return isError(source) ? source : destination;
  const result = yield* renameEntry(k, old.place.dentry, source, fresh.place.dentry, destination);
  yield* putDentry(k, source);
  yield* putDentry(k, destination);
  yield* leave(k, old.place);
  yield* leave(k, fresh.place);
  return result;
}

function* renameEntry(
  k: Linux,
  oldParent: Address,
  source: Address,
  newParent: Address,
  destination: Address,
): Steps<number> {
  if (inodeOf(k, source) === 0) return -Errno.ENOENT;
  const directory = inodeOf(k, oldParent);
  const method = operation(k, directory, 'rename');
  if (method === 0) return -Errno.EPERM;
  const user = k.addressOf('init_user_ns');
  const error = yield* k.callInt(method, user, directory, source, inodeOf(k, newParent), destination, 0);
  if (error !== 0) return error;
  // d_move: the entry takes the place and the name of its target.
  dropDentry(k, destination);
  moveDentry(k, source, destination, newParent);
  return 0;
}

/** symlink(2). */
export function* symbolicLink(k: Linux, text: string, path: string): Steps<number> {
  return yield* make(k, path, 'symlink', (method, user, directory, dentry) => {
    const at = k.state(userSpace).putString(text);
    return k.callInt(method, user, directory, dentry, at);
  });
}

/** link(2). */
export function* hardLink(k: Linux, existing: string, path: string): Steps<number> {
  const found = yield* k.state(namespace).walk(k, existing);
  if (typeof found === 'number') return found;
  if (found.kind === 'node') return -Errno.EXDEV;
  const result = yield* make(k, path, 'link', (method, _user, directory, dentry) =>
    k.callInt(method, found.dentry, directory, dentry),
  );
  yield* leave(k, found);
  return result;
}

type Method = (method: Address, user: Address, directory: Address, dentry: Address) => Steps<number>;

function* make(k: Linux, path: string, name: string, call: Method): Steps<number> {
  const at = yield* target(k, path);
  if (typeof at === 'number') return at;
  const user = k.state(userSpace);
  const mark = user.mark();
  const directory = inodeOf(k, at.place.dentry);
  const method = operation(k, directory, name);
  const dentry = yield* entryFor(k, at.place.dentry, at.name);
  if (isError(dentry)) return dentry;
  let result: number = -Errno.EPERM;
  if (inodeOf(k, dentry) !== 0) result = -Errno.EEXIST;
  else if (method !== 0) result = yield* call(method, k.addressOf('init_user_ns'), directory, dentry);
  user.release(mark);
  yield* putDentry(k, dentry);
  yield* leave(k, at.place);
  return result;
}

/** readlink(2); EINVAL for what is no link. */
export function* readLink(k: Linux, path: string): Steps<string | number> {
  const place = yield* k.state(namespace).walk(k, path, false);
  if (typeof place === 'number') return place;
  const text = yield* linkTarget(k, place);
  yield* leave(k, place);
  return text ?? -Errno.EINVAL;
}
