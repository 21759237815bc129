/** Property lists, XML or binary, from bytes that nobody has checked yet. */
import { parse } from 'plist';
import { FormatError, Invalid, Unsupported } from '../../bytes/errors.ts';
import { readBinaryPlist } from './plist-binary.ts';
import { BIG_INTEGER, rootOfPlistXml } from './plist-xml.ts';

export type PlistValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Date
  | Uint8Array
  | readonly PlistValue[]
  | PlistDict;
export interface PlistDict {
  readonly [key: string]: PlistValue;
}

/** No Info.plist of a kext comes near: the largest known, with hundreds of personalities, have 1 MB. */
const MAX_BYTES = 16 * 1024 * 1024;
const BINARY_MAGIC = 'bplist';

/** Reads a property list whose root is a dictionary. `what` names it in errors. @throws Invalid, Unsupported */
export function readPlist(bytes: Uint8Array, what: string): PlistDict {
  if (bytes.length > MAX_BYTES)
    throw new Unsupported(what, 'is larger than any property list', { value: bytes.length });
  const root = parsed(bytes, what);
  if (!isDict(root)) throw new Invalid(what, 'the root of the property list is no dictionary');
  return root;
}

function parsed(bytes: Uint8Array, what: string): unknown {
  const head = String.fromCharCode(...bytes.subarray(0, BINARY_MAGIC.length));
  try {
    if (head === BINARY_MAGIC) return readBinaryPlist(bytes, what);
    const text = new TextDecoder(encodingOf(bytes)).decode(bytes).replaceAll('\ufffd', '?');
    // The old form of NeXT's, which CFPropertyList reads as well, begins like this.
    return withBigIntegers(parse(/^\s*[{(]/.test(text) ? text : rootOfPlistXml(text, what)));
  } catch (error) {
    if (error instanceof FormatError) throw error;
    const problem = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new Invalid(what, `is no property list: ${problem}`);
  }
}

/** UTF-16 with a byte order mark is read as well; anything else is taken for UTF-8. */
function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  return first === 0xff && second === 0xfe ? 'utf-16le' : 'utf-8';
}

/** Integers beyond 53 bits come through the parser as strings (plist-xml.ts). */
function withBigIntegers(value: unknown): unknown {
  if (typeof value === 'string')
    return value.startsWith(BIG_INTEGER) ? BigInt(value.slice(BIG_INTEGER.length)) : value;
  if (Array.isArray(value)) return value.map(withBigIntegers);
  if (!isDict(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withBigIntegers(one)]));
}

export function isDict(value: unknown): value is PlistDict {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array) &&
    !(value instanceof Date)
  );
}

/** An XML comment may not hold two hyphens; plutil lets it pass, the kernel's parser does not. */
export function badComment(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes);
  return [...text.matchAll(/<!--([\s\S]*?)-->/g)].some(
    ([, inside]) => inside.includes('--') || inside.endsWith('-'),
  );
}
