import { BadMagic, Invalid, Truncated, Unsupported } from '../bytes/errors.ts';
import { BTF_HEADER_BYTES, BTF_MAGIC, BTF_VERSION } from './btf-layout.ts';

/** The two sections of a BTF blob. */
export interface BtfParts {
  /** The type section as words of the host. */
  readonly words: Uint32Array;
  readonly strings: Uint8Array;
  /** Byte order of the kernel it describes. */
  readonly littleEndian: boolean;
}

/** btf.rst section 2: the magic number tells the byte order. Throws BadMagic, Truncated, Invalid or Unsupported. */
export function readBtf(bytes: Uint8Array): BtfParts {
  if (bytes.length < BTF_HEADER_BYTES) {
    throw new Truncated('BTF', `${bytes.length} bytes, the header alone has ${BTF_HEADER_BYTES}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = view.getUint16(0, true) === BTF_MAGIC;
  if (!littleEndian && view.getUint16(0, false) !== BTF_MAGIC) {
    throw new BadMagic('BTF', `magic 0x${view.getUint16(0, true).toString(16)}, expected 0xeb9f`);
  }
  if (view.getUint8(2) !== BTF_VERSION) {
    throw new Unsupported('BTF', `version ${view.getUint8(2)}, this reader knows 1`);
  }
  const headerLength = view.getUint32(4, littleEndian);
  const section = (what: string, at: number): Uint8Array => {
    const from = headerLength + view.getUint32(at, littleEndian);
    const length = view.getUint32(at + 4, littleEndian);
    if (headerLength < BTF_HEADER_BYTES || from + length > bytes.length) {
      throw new Truncated('BTF', `${what} end at ${from + length}, the data at ${bytes.length}`);
    }
    return bytes.subarray(from, from + length);
  };
  const types = section('types', 8);
  if (types.length % 4 !== 0) throw new Invalid('BTF', `${types.length} bytes of types, not whole words`);
  return { words: toWords(types, littleEndian), strings: section('strings', 16), littleEndian };
}

/** A blob with these two sections, in the byte order they say. */
export function writeBtf({ words, strings, littleEndian }: BtfParts): Uint8Array {
  const typeBytes = words.length * 4;
  const bytes = new Uint8Array(BTF_HEADER_BYTES + typeBytes + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, BTF_MAGIC, littleEndian);
  view.setUint8(2, BTF_VERSION);
  const header = [BTF_HEADER_BYTES, 0, typeBytes, typeBytes, strings.length];
  for (const [i, value] of header.entries()) view.setUint32(4 + i * 4, value, littleEndian);
  for (let i = 0; i < words.length; i++) view.setUint32(BTF_HEADER_BYTES + i * 4, words[i]!, littleEndian);
  bytes.set(strings, BTF_HEADER_BYTES + typeBytes);
  return bytes;
}

const HOST_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** The type section as words: a view when it is aligned and in the host's order, else a converted copy. */
function toWords(types: Uint8Array, littleEndian: boolean): Uint32Array {
  const count = types.length / 4;
  if (littleEndian === HOST_LITTLE_ENDIAN) {
    if (types.byteOffset % 4 === 0) return new Uint32Array(types.buffer, types.byteOffset, count);
    return new Uint32Array(types.slice().buffer, 0, count);
  }
  const words = new Uint32Array(count);
  const view = new DataView(types.buffer, types.byteOffset, types.byteLength);
  for (let i = 0; i < count; i++) words[i] = view.getUint32(i * 4, littleEndian);
  return words;
}
