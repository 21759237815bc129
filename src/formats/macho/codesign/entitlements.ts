/**
 * Entitlements in their DER form (slot 7): `[APPLICATION 16] { INTEGER 1, [16] { SEQUENCE { UTF8String, value } ... } }`, where a
 * value is a boolean, an integer, a text, a SEQUENCE (array) or again a `[16]` dictionary (libCoreEntitlements' format 1).
 */
import { Invalid, Unsupported } from '../../../bytes/errors.ts';
import { children, context, type DerNode, readDer, Tag } from '../../der.ts';

export type EntitlementValue =
  | boolean
  | bigint
  | string
  | Uint8Array
  | readonly EntitlementValue[]
  | { readonly [key: string]: EntitlementValue };

/** Those tags that certificates have no use for. */
const BOOLEAN = 0x01;
const TEXT = 0x0c;
const ENTITLEMENTS = 0x70;
const DICTIONARY = context(16);

const MAX_DEPTH = 100;
const WHAT = 'DER entitlements';

/** Reads the content of the blob. @throws Truncated, Invalid, Unsupported */
export function readDerEntitlements(bytes: Uint8Array): Readonly<Record<string, EntitlementValue>> {
  const outer = readDer(bytes, WHAT);
  // The first form of all was the bare set of pairs.
  if (outer.tag === Tag.SET) return dictionary(outer, 0);
  if (outer.tag !== ENTITLEMENTS) throw new Invalid(WHAT, 'the outer tag is wrong', { value: outer.tag });
  const [version, content] = children(outer, WHAT);
  if (version?.tag !== Tag.INTEGER || integer(version.body) !== 1n)
    throw new Unsupported(WHAT, 'their version is not 1');
  if (content?.tag !== DICTIONARY) throw new Invalid(WHAT, 'the root is no dictionary');
  return dictionary(content, 0);
}

function dictionary(node: DerNode, depth: number): Record<string, EntitlementValue> {
  const pairs = children(node, WHAT).map((pair) => {
    const [key, value] = children(pair, WHAT);
    if (pair.tag !== Tag.SEQUENCE || key?.tag !== TEXT || value === undefined)
      throw new Invalid(WHAT, 'a pair is no pair', { value: pair.tag });
    return [text(key.body), entitlementOf(value, depth + 1)] as const;
  });
  return Object.fromEntries(pairs);
}

function entitlementOf(node: DerNode, depth: number): EntitlementValue {
  if (depth > MAX_DEPTH) throw new Unsupported(WHAT, `are nested deeper than ${MAX_DEPTH} levels`);
  switch (node.tag) {
    case BOOLEAN:
      return node.body.some((byte) => byte !== 0);
    case Tag.INTEGER:
      return integer(node.body);
    case TEXT:
      return text(node.body);
    case Tag.OCTET_STRING:
      return node.body;
    case Tag.SEQUENCE:
      return children(node, WHAT).map((element) => entitlementOf(element, depth + 1));
    case DICTIONARY:
    case Tag.SET:
      return dictionary(node, depth);
    default:
      throw new Unsupported(WHAT, 'a value is of an unknown type', { value: node.tag });
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Longer than any machine's integer. */
const MAX_INTEGER = 16;

function integer(bytes: Uint8Array): bigint {
  if (bytes.length > MAX_INTEGER)
    throw new Unsupported(WHAT, 'an integer is longer than any', { value: bytes.length });
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return BigInt.asIntN(Math.max(1, bytes.length) * 8, value);
}
