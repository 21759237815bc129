/** A DER value with all below it, read at once: what is malformed anywhere is malformed as a whole, as OpenSSL sees it. */
import { FormatError } from '../../../bytes/errors.ts';
import { children, type DerNode, readDer } from '../../../formats/der.ts';

export interface DerTree {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Empty for a primitive. */
  readonly children: readonly DerTree[];
}

/** Deeper than any real signature; ends a crafted one. */
const MAX_DEPTH = 16;
const MAX_CHILDREN = 64;
const CONSTRUCTED = 0x20;
const WHAT = 'PKCS#7 message';

/** The first value in the bytes, or undefined when they are not well-formed DER. */
export function readDerTree(bytes: Uint8Array): DerTree | undefined {
  try {
    return treeOf(readDer(bytes, WHAT), MAX_DEPTH);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** undefined where it is nested too deeply, or has too much in it. */
function treeOf(node: DerNode, depth: number): DerTree | undefined {
  const own: DerTree[] = [];
  const inside = (node.tag & CONSTRUCTED) === 0 ? [] : children(node, WHAT);
  if (depth === 0 || inside.length > MAX_CHILDREN) return undefined;
  for (const child of inside) {
    const tree = treeOf(child, depth - 1);
    if (tree === undefined) return undefined;
    own.push(tree);
  }
  return { tag: node.tag, content: node.body, children: own };
}
