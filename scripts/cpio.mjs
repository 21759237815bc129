/** A "newc" archive (Documentation/driver-api/early-userspace/buffer-format.rst): what Linux takes its first filesystem from. */
import { dirname } from 'node:path';

const pad = (bytes) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

export class Archive {
  constructor() {
    this.parts = [];
    this.seen = new Set();
    this.inode = 1;
  }

  entry(name, mode, data) {
    const hex = (n) => n.toString(16).padStart(8, '0');
    const contents = Buffer.from(data);
    const path = Buffer.from(`${name}\0`);
    const fields = [this.inode++, mode, 0, 0, 1, 0, contents.length, 0, 0, 0, 0, path.length, 0];
    const head = Buffer.concat([Buffer.from(`070701${fields.map(hex).join('')}`), path]);
    this.parts.push(pad(head), pad(contents));
  }

  directory(path) {
    if (path === '.' || this.seen.has(path)) return;
    this.directory(dirname(path));
    this.seen.add(path);
    this.entry(path, 0o040755, Buffer.alloc(0));
  }

  file(path, data, mode = 0o100755) {
    this.directory(dirname(path));
    this.entry(path, mode, data);
  }

  link(path, target) {
    this.directory(dirname(path));
    this.entry(path, 0o120777, Buffer.from(target));
  }

  finish() {
    this.entry('TRAILER!!!', 0, Buffer.alloc(0));
    return Buffer.concat(this.parts);
  }
}
