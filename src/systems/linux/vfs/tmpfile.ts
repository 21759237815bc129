/** Plain files of the base kernel's own tree, below /tmp: their content is the file system's own, as tmpfs keeps it. */
import { Errno } from '../errno.ts';
import { type Node, regular } from './node.ts';

/** A file larger than this is refused (EFBIG), so that a loop of writes stays bounded. */
const MAX_BYTES = 16 << 20;

export function temporaryFile(name: string, permissions: number): Node {
  let content = new Uint8Array(0);
  const node = regular(name, permissions, {
    *read(k, _file, buffer, count, position) {
      const at = k.memory.ptr(position);
      const part = content.subarray(at, at + count);
      k.memory.write(buffer, part);
      k.memory.setPtr(position, at + part.length);
      return part.length;
    },
    *write(k, file, buffer, count, position) {
      const appending = (k.read('file.f_flags', file) & O_APPEND) !== 0;
      const at = appending ? content.length : k.memory.ptr(position);
      if (at + count > MAX_BYTES) return -Errno.EFBIG;
      const grown = new Uint8Array(Math.max(content.length, at + count));
      grown.set(content);
      grown.set(k.memory.bytes(buffer, count), at);
      content = grown;
      node.size = content.length;
      k.write('inode.i_size', k.read('file.f_inode', file), content.length);
      k.memory.setPtr(position, at + count);
      return count;
    },
    *open(k, file) {
      if ((k.read('file.f_flags', file) & O_TRUNC) !== 0) {
        content = new Uint8Array(0);
        node.size = 0;
        k.write('inode.i_size', k.read('file.f_inode', file), 0);
      }
      return 0;
    },
  });
  return node;
}

/** include/uapi/asm-generic/fcntl.h */
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
