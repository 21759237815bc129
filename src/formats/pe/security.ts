/** The attribute certificate table, and which bytes of the file an Authenticode hash covers. */
import { ByteView } from '../../bytes/view.ts';
import { DIRECTORY } from './layout.ts';
import type { PeFile } from './read.ts';

export interface PeCertificate {
  readonly revision: number;
  /** 2: PKCS#7 SignedData. */
  readonly type: number;
  readonly data: Uint8Array;
}

/** File offset and size of the table; undefined when there is none. */
export function certificateTable(pe: PeFile): { offset: number; size: number } | undefined {
  const { address, size } = pe.directory(DIRECTORY.SECURITY);
  return address === 0 || size === 0 ? undefined : { offset: address, size };
}

/** @throws Truncated when the table lies outside the file */
export function readCertificates(pe: PeFile): PeCertificate[] {
  const table = certificateTable(pe);
  if (table === undefined) return [];
  const view = new ByteView(pe.view.slice(table.offset, table.size, 'certificate table'), true);
  const out: PeCertificate[] = [];
  for (let at = 0; at + 8 <= view.length; ) {
    const length = view.u32(at);
    if (length < 8) break;
    const data = view.slice(at + 8, length - 8, 'attribute certificate');
    out.push({ revision: view.u16(at + 4), type: view.u16(at + 6), data });
    at += (length + 7) & ~7;
  }
  return out;
}

/**
 * The bytes that the signature's hash is made of, in file order: all but the checksum, the security directory's entry and
 * the certificate table.
 */
export function hashedRanges(pe: PeFile): Uint8Array[] {
  const entry = pe.header.directoryOffset + DIRECTORY.SECURITY * 8;
  const table = certificateTable(pe);
  const end = pe.bytes.length;
  const tableStart = table === undefined ? end : Math.min(table.offset, end);
  const tableEnd = table === undefined ? end : Math.min(table.offset + table.size, end);
  const holes = [
    [pe.header.checksumOffset, pe.header.checksumOffset + 4],
    ...(pe.header.directories.length > DIRECTORY.SECURITY ? [[entry, entry + 8]] : []),
    [tableStart, tableEnd],
  ];
  const ranges: Uint8Array[] = [];
  let at = 0;
  for (const [from, to] of holes) {
    if (from > at) ranges.push(pe.bytes.subarray(at, from));
    at = Math.max(at, to);
  }
  if (at < end) ranges.push(pe.bytes.subarray(at, end));
  return ranges;
}
