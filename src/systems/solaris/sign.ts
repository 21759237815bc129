/** Puts a `.SUNW_signature` section into an ELF file: at its end, with a new section table. */
import { Invalid } from '../../bytes/errors.ts';
import { EHDR, SHDR } from '../../formats/elf/layout.ts';
import { type ElfFile, readElf } from '../../formats/elf/read.ts';
import { SIGNATURE_SECTION, type Signature, signedBytes, writeSignatures } from './signature.ts';

/** SHT_SUNW_SIGNATURE, SHF_EXCLUDE */
const SHT_SUNW_SIGNATURE = 0x6ffffff6;
const SHF_EXCLUDE = 0x80000000;

/** Makes the signature of the bytes it is given. */
export type Signer = (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array;

export interface SignOptions {
  /** Distinguished name of the certificate. */
  readonly signer: string;
  /** Of the algorithm; SHA-256 with RSA unless said otherwise. */
  readonly oid?: string;
  /** 3 covers all sections, 4 those that are loaded. */
  readonly version?: 3 | 4;
  /** Seconds since 1970. */
  readonly time: number;
  /** Bytes that a signature of this key has. */
  readonly length: number;
}

/** @throws Invalid when the file is signed already, FormatError when it is no ELF file */
export async function signElf(bytes: Uint8Array, sign: Signer, options: SignOptions): Promise<Uint8Array> {
  const elf = readElf(bytes);
  if (elf.section(SIGNATURE_SECTION) !== undefined)
    throw new Invalid(SIGNATURE_SECTION, 'the file is signed already');
  const { signer, oid = '1.2.840.113549.1.1.11', version = 3, time, length } = options;
  const entry = (signature: Uint8Array): Signature => ({ version, time, signer, signature, oid });
  // The section's names and headers are part of what is signed, so the place is made first.
  const room = writeSignatures([entry(new Uint8Array(length))], elf.littleEndian);
  const { file, at } = withSection(elf, room);
  const signature = await sign(signedBytes(readElf(file), version));
  if (signature.length !== length)
    throw new Invalid('signature', `has ${signature.length} bytes, ${length} were announced`);
  file.set(writeSignatures([entry(signature)], elf.littleEndian), at);
  return file;
}

/** The file with one more section; its name goes to the end of a new table of names. */
function withSection(elf: ElfFile, contents: Uint8Array): { file: Uint8Array; at: number } {
  const { bits, littleEndian, bytes } = elf;
  const size = SHDR[bits].size;
  const oldNames = elf.data(elf.sections[elf.nameSection]);
  const names = new Uint8Array(oldNames.length + SIGNATURE_SECTION.length + 1);
  names.set(oldNames);
  names.set(new TextEncoder().encode(SIGNATURE_SECTION), oldNames.length);
  const align = (value: number) => Math.ceil(value / 8) * 8;
  const namesAt = align(bytes.length);
  const at = align(namesAt + names.length);
  const tableAt = align(at + contents.length);
  const count = elf.sections.length;
  const file = new Uint8Array(tableAt + (count + 1) * size);
  file.set(bytes);
  file.set(names, namesAt);
  file.set(contents, at);
  file.set(bytes.subarray(elf.header.shoff, elf.header.shoff + count * size), tableAt);
  const put = headerWriter(file, bits, littleEndian);
  put.address(tableAt + elf.nameSection * size + SHDR[bits].offset, namesAt);
  put.address(tableAt + elf.nameSection * size + SHDR[bits].bytes, names.length);
  const header = tableAt + count * size;
  put.word(header, oldNames.length);
  put.word(header + 4, SHT_SUNW_SIGNATURE);
  put.address(header + SHDR[bits].flags, SHF_EXCLUDE);
  put.address(header + SHDR[bits].offset, at);
  put.address(header + SHDR[bits].bytes, contents.length);
  put.address(header + SHDR[bits].addralign, 1);
  put.address(EHDR[bits].shoff, tableAt);
  put.half(EHDR[bits].shnum, count + 1);
  return { file, at };
}

function headerWriter(file: Uint8Array, bits: 32 | 64, little: boolean) {
  const view = new DataView(file.buffer);
  return {
    half: (at: number, value: number) => view.setUint16(at, value, little),
    word: (at: number, value: number) => view.setUint32(at, value, little),
    address: (at: number, value: number) =>
      bits === 64 ? view.setBigUint64(at, BigInt(value), little) : view.setUint32(at, value, little),
  };
}

/** Is there one signature at least whose bytes `verify` accepts? */
export function verifyElf(
  elf: ElfFile,
  signatures: readonly Signature[],
  verify: (bytes: Uint8Array, signature: Signature) => boolean,
): boolean {
  return signatures.some((signature) => verify(signedBytes(elf, signature.version), signature));
}
