/** Catalog files: a signed list of hashes of files, which signs them all ("Catalog Files and Digital Signatures"). */

import { Invalid } from '../../../bytes/errors.ts';
import { hexOf } from '../../../bytes/hex.ts';
import { children, type DerNode, oid, Tag } from '../../../formats/der.ts';
import { readSignedData, type SignedData } from './signed-data.ts';

const CTL = '1.3.6.1.4.1.311.10.1';
const INDIRECT_DATA = '1.3.6.1.4.1.311.2.1.4';

export interface Catalog {
  /** Authenticode hashes of its members in lower-case hexadecimal. */
  readonly hashes: ReadonlySet<string>;
  readonly signed: SignedData;
}

const HASH_BYTES = new Set([20, 32, 48, 64]);

/** @throws FormatError */
export function readCatalog(bytes: Uint8Array): Catalog {
  const signed = readSignedData(bytes);
  if (signed.contentType !== CTL) throw new Invalid('catalog', 'signs no list');
  const hashes = new Set<string>();
  // Subject usage, identifier, time and algorithm come first; the members are the one sequence of sequences.
  for (const list of children(signed.content, 'catalog')) {
    if (list.tag !== Tag.SEQUENCE) continue;
    for (const member of children(list, 'catalog'))
      if (member.tag === Tag.SEQUENCE) addMember(member, hashes);
  }
  return { hashes, signed };
}

/** A member is known by its tag, and has the digest once more among its attributes. */
function addMember(member: DerNode, hashes: Set<string>): void {
  const [tag, attributes] = children(member, 'catalog member');
  if (tag?.tag === Tag.OCTET_STRING) {
    const text = new TextDecoder('utf-16le').decode(tag.body).replace(/\0+$/, '');
    if (/^([0-9a-f]{40}|[0-9a-f]{64})$/i.test(text)) hashes.add(text.toLowerCase());
    else if (HASH_BYTES.has(tag.body.length)) hashes.add(hexOf(tag.body));
  }
  if (attributes?.tag !== Tag.SET) return;
  for (const attribute of children(attributes, 'catalog member')) {
    const [type, values] = children(attribute, 'catalog member');
    if (type?.tag !== Tag.OID || values === undefined || oid(type) !== INDIRECT_DATA) continue;
    const digest = children(children(values, 'indirect data')[0] ?? values, 'indirect data')[1];
    const value = digest === undefined ? undefined : children(digest, 'digest')[1];
    if (value !== undefined && HASH_BYTES.has(value.body.length)) hashes.add(hexOf(value.body));
  }
}
