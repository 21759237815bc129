/**
 * `.SUNW_signature`: what elfsign(1) puts into a file. Read, and made, here; who is trusted is decided in
 * rules/signature.ts. Layout: sys/crypto/elfsign.h of illumos for versions 1 to 4; the files that Oracle signs today
 * are of higher versions with the fields of version 3.
 */

import { Invalid } from '../../bytes/errors.ts';
import { joinBytes } from '../../bytes/join.ts';
import { type ByteView, Cursor, ByteView as View } from '../../bytes/view.ts';
import type { ElfSection } from '../../formats/elf/headers.ts';
import { SHF } from '../../formats/elf/layout.ts';
import type { ElfFile } from '../../formats/elf/read.ts';

export const SIGNATURE_SECTION = '.SUNW_signature';

export interface Signature {
  readonly version: number;
  /** Seconds since 1970; undefined in versions 1 and 2, which have none, and 0 where nobody set it. */
  readonly time: number | undefined;
  /** Distinguished name of the signer's certificate. */
  readonly signer: string;
  readonly signature: Uint8Array;
  /** Of the signature algorithm. */
  readonly oid: string;
}

/** Names of the algorithms by object identifier (RFC 8017, appendix C). */
export const ALGORITHMS: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'MD5 with RSA',
  '1.2.840.113549.1.1.5': 'SHA-1 with RSA',
  '1.2.840.113549.1.1.11': 'SHA-256 with RSA',
  '1.2.840.113549.1.1.12': 'SHA-384 with RSA',
  '1.2.840.113549.1.1.13': 'SHA-512 with RSA',
};

/** More signatures than any file has; ends a count that is made up. */
const MAX_SIGNATURES = 64;
/** filesig_cnt and its padding. */
const HEAD = 8;
/** Size, version; time from version 3 on; three lengths. */
const FIXED = { plain: 20, timed: 28 } as const;

/** Versions 1 and 2 have no time (elfsign.h). */
const isTimed = (version: number): boolean => version >= 3;

/** The signatures of a file, in order; empty when it has none. @throws Invalid, Truncated */
export function readSignatures(elf: ElfFile): Signature[] {
  const section = elf.section(SIGNATURE_SECTION);
  return section === undefined ? [] : parseSignatures(elf.data(section), elf.littleEndian);
}

/** @throws Invalid, Truncated */
export function parseSignatures(bytes: Uint8Array, littleEndian: boolean): Signature[] {
  const view = new View(bytes, littleEndian);
  const count = view.u32(0, 'filesig_cnt');
  if (count > MAX_SIGNATURES) {
    throw new Invalid('filesig_cnt', `more than ${MAX_SIGNATURES} signatures`, { offset: 0, value: count });
  }
  const signatures: Signature[] = [];
  let at = HEAD;
  for (let i = 0; i < count; i++) {
    const size = view.u32(at, 'filesig_size');
    signatures.push(parseOne(view, at, size));
    at += Math.ceil(size / 8) * 8;
  }
  return signatures;
}

function parseOne(view: ByteView, at: number, size: number): Signature {
  view.need(at, size, `signature of ${size} bytes`);
  const cursor = new Cursor(view, at + 4, at + Math.max(size, 4));
  const version = cursor.u32('filesig_version');
  const time = isTimed(version) ? Number(cursor.u64('filesig_time')) : undefined;
  const lengths = [cursor.u32('name size'), cursor.u32('signature size'), cursor.u32('identifier size')];
  const [signer, signature, oid] = lengths.map((length) => cursor.bytes(length, 'signature data'));
  return { version, time, signer: text(signer), signature, oid: text(oid) };
}

/** Strings end at a NUL where there is one. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** The contents of the section. */
export function writeSignatures(signatures: readonly Signature[], littleEndian: boolean): Uint8Array {
  const parts = signatures.map(encodeOne);
  const bytes = new Uint8Array(HEAD + parts.reduce((sum, part) => sum + Math.ceil(part.size / 8) * 8, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signatures.length, littleEndian);
  let at = HEAD;
  for (const part of parts) {
    part.write(bytes, view, at, littleEndian);
    at += Math.ceil(part.size / 8) * 8;
  }
  return bytes;
}

function encodeOne(one: Signature) {
  const signer = new TextEncoder().encode(one.signer);
  const oid = new TextEncoder().encode(one.oid);
  const timed = isTimed(one.version);
  const fixed = timed ? FIXED.timed : FIXED.plain;
  const size = fixed + signer.length + one.signature.length + oid.length;
  return {
    size,
    write(bytes: Uint8Array, view: DataView, at: number, littleEndian: boolean): void {
      view.setUint32(at, size, littleEndian);
      view.setUint32(at + 4, one.version, littleEndian);
      if (timed) view.setBigUint64(at + 8, BigInt(one.time ?? 0), littleEndian);
      const lengths = [signer.length, one.signature.length, oid.length];
      for (const [i, length] of lengths.entries())
        view.setUint32(at + fixed - 12 + i * 4, length, littleEndian);
      bytes.set(signer, at + fixed);
      bytes.set(one.signature, at + fixed + signer.length);
      bytes.set(oid, at + fixed + signer.length + one.signature.length);
    },
  };
}

/**
 * The bytes that a signature covers: the contents of all sections but the signature's own in file order; versions 2
 * and 4 take those that are loaded alone. (libelfsign also mixes in parts of the headers in some releases; which, the
 * public sources do not say, so this is exact for signatures made here.)
 */
export function signedBytes(elf: ElfFile, version: number): Uint8Array {
  const loadedOnly = version === 2 || version === 4;
  const parts = elf.sections
    .filter((section) => section.name !== SIGNATURE_SECTION && (!loadedOnly || isLoaded(section)))
    .map((section) => elf.data(section));
  return joinBytes(parts);
}

const isLoaded = (section: ElfSection): boolean => (section.flags & SHF.ALLOC) !== 0;
