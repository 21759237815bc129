/** Writes "newc" cpio, the form of an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst). */
import { joinBytes } from '../../bytes/join.ts';

const FILE = 0o100644;
const FOLDER = 0o040755;

/** An archive of these files by their paths, with the folders they are in; nothing of it is packed. */
export function writeCpio(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const parts: Uint8Array[] = [];
  const folders = new Set<string>();
  let inode = 1;
  const add = (name: string, mode: number, data: Uint8Array): void => {
    // inode, mode, uid, gid, links, time, size, device (2), special device (2), size of the name with its NUL, checksum
    const fields = [inode++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, encodedLength(name) + 1, 0];
    const head = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}${name}\0`;
    parts.push(aligned(new TextEncoder().encode(head)), aligned(data));
  };
  for (const [path, bytes] of files) {
    for (const folder of foldersOf(path)) {
      if (!folders.has(folder)) add(folder, FOLDER, new Uint8Array(0));
      folders.add(folder);
    }
    add(path, FILE, bytes);
  }
  add('TRAILER!!!', 0, new Uint8Array(0));
  return joinBytes(parts);
}

const encodedLength = (name: string): number => new TextEncoder().encode(name).length;

/** `a/b/c` is in `a` and `a/b`. */
function foldersOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, i) => names.slice(0, i + 1).join('/'));
}

/** Headers with their name, and data, end at a multiple of 4. */
function aligned(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array((bytes.length + 3) & ~3);
  whole.set(bytes);
  return whole;
}
