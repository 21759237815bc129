/** Reading directories of mounted filesystems: the module's iterate_shared with a callback of ours. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { kernelFunctions } from '../functions/define.ts';
import type { Linux } from '../linux.ts';
import { getDentry, putDentry } from './dentry.ts';
import * as F from './file.ts';
import { guestMethods, operation, takeOperations } from './guestfile.ts';
import type { Place } from './namespace.ts';

/** Names collected so far, by struct dir_context. */
const collected = perKernel(() => new Map<Address, string[]>());

/** The actor that directory methods hand each entry to. */
export const readdirFunctions = kernelFunctions({
  'bool lkm_collect_entry(struct dir_context *context, const char *name, int length, loff_t offset, u64 inode, unsigned int type)':
    (k, context, name, length) => {
      const names = k.state(collected).get(context);
      const text = new TextDecoder().decode(k.memory.bytes(name, length));
      if (text !== '.' && text !== '..') names?.push(text);
      return true;
    },
});

/** Entries a single directory may give: bounds a method that never ends. */
const MAX_ENTRIES = 1_000_000;

export function* listDirectory(
  k: Linux,
  place: Place & { kind: 'dentry' },
  path: string,
): Steps<string[] | number> {
  const inode = k.read('dentry.d_inode', place.dentry);
  if (!F.isDirectory(k.read('inode.i_mode', inode))) return [path];
  const operations = k.read('inode.i_fop', inode);
  if (!takeOperations(k, operations)) return -Errno.ENOTDIR;
  const dentry = getDentry(k, place.dentry);
  const file = F.makeFile(k, {
    flags: F.O_DIRECTORY,
    inode,
    dentry,
    mount: place.mount.vfsmount,
    operations,
  });
  const opened = { file, methods: guestMethods, path, node: undefined, dentry, directory: true };
  k.state(F.openFiles).set(file, opened);
  const error = yield* guestMethods.open?.(k, file) ?? none();
  const names = error === 0 ? yield* iterate(k, file) : error;
  yield* F.closeFile(k, opened);
  yield* putDentry(k, dentry);
  return names;
}

function* none(): Steps<number> {
  return 0;
}

function* iterate(k: Linux, file: Address): Steps<string[] | number> {
  const method = operation(k, file, 'iterate_shared') || operation(k, file, 'iterate');
  if (method === 0) return -Errno.ENOTDIR;
  const context = k.heap.allocateZeroed(k.sizeof('dir_context'));
  const names: string[] = [];
  k.state(collected).set(context, names);
  k.write('dir_context.actor', context, k.addressOf('lkm_collect_entry'));
  let result = 0;
  // Called until a call adds nothing, as getdents does until it returns zero.
  for (let before = -1; before !== names.length && result >= 0 && names.length < MAX_ENTRIES; ) {
    before = names.length;
    k.write('dir_context.pos', context, k.read('file.f_pos', file));
    result = yield* k.callInt(method, file, context);
    k.write('file.f_pos', file, k.read('dir_context.pos', context));
  }
  k.state(collected).delete(context);
  k.heap.free(context);
  return result < 0 ? result : names;
}
