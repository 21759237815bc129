/** Universal files from thin ones, in either width of the header. */
import { readFileSync } from 'node:fs';

const ALIGNMENT = 12;

export function writeFat(paths: readonly string[], bits: 32 | 64): Uint8Array {
  const files = paths.map((path) => readFileSync(path));
  const entry = bits === 32 ? 20 : 32;
  const head = Buffer.alloc(8 + files.length * entry);
  head.writeUInt32BE(bits === 32 ? 0xcafebabe : 0xcafebabf, 0);
  head.writeUInt32BE(files.length, 4);
  const parts: Buffer[] = [];
  let at = 2 ** ALIGNMENT;
  for (const [i, file] of files.entries()) {
    const place = 8 + i * entry;
    head.writeUInt32BE(file.readUInt32LE(4), place);
    head.writeUInt32BE(file.readUInt32LE(8), place + 4);
    if (bits === 32)
      for (const [k, word] of [at, file.length, ALIGNMENT].entries())
        head.writeUInt32BE(word, place + 8 + k * 4);
    else {
      head.writeBigUInt64BE(BigInt(at), place + 8);
      head.writeBigUInt64BE(BigInt(file.length), place + 16);
      head.writeUInt32BE(ALIGNMENT, place + 24);
    }
    const padded = Math.ceil(file.length / 2 ** ALIGNMENT) * 2 ** ALIGNMENT;
    parts.push(Buffer.concat([file, Buffer.alloc(padded - file.length)]));
    at += padded;
  }
  return new Uint8Array(Buffer.concat([head, Buffer.alloc(2 ** ALIGNMENT - head.length), ...parts]));
}
