/** Just enough of DER (X.690) to name the signer of a PKCS#7 message: tags, lengths and nesting. */

export interface DerNode {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Contents in lower-case hexadecimal. */
  readonly hex: string;
  /** Empty for a primitive. */
  readonly children: readonly DerNode[];
}

/** Deeper than any real signature; ends a crafted one. */
const MAX_DEPTH = 16;
const MAX_CHILDREN = 64;

/** The first value in the bytes, or undefined when they are not well-formed DER. */
export function readDer(bytes: Uint8Array): DerNode | undefined {
  return readAt(bytes, 0, MAX_DEPTH)?.node;
}

function readAt(bytes: Uint8Array, at: number, depth: number): { node: DerNode; end: number } | undefined {
  if (depth === 0 || at + 2 > bytes.length || (bytes[at] & 0x1f) === 0x1f) return undefined;
  const length = readLength(bytes, at + 1);
  if (length === undefined || length.start + length.value > bytes.length) return undefined;
  const end = length.start + length.value;
  const content = bytes.subarray(length.start, end);
  const constructed = (bytes[at] & 0x20) !== 0;
  const children = constructed ? readChildren(content, depth) : [];
  if (children === undefined) return undefined;
  return { node: new Node(bytes[at], content, children), end };
}

class Node implements DerNode {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly children: readonly DerNode[];

  constructor(tag: number, content: Uint8Array, children: readonly DerNode[]) {
    this.tag = tag;
    this.content = content;
    this.children = children;
  }

  get hex(): string {
    return Array.from(this.content, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
}

function readChildren(bytes: Uint8Array, depth: number): DerNode[] | undefined {
  const children: DerNode[] = [];
  for (let at = 0; at < bytes.length; ) {
    const child = readAt(bytes, at, depth - 1);
    if (child === undefined || children.length === MAX_CHILDREN) return undefined;
    children.push(child.node);
    at = child.end;
  }
  return children;
}

function readLength(bytes: Uint8Array, at: number): { value: number; start: number } | undefined {
  const first = bytes[at];
  if (first < 0x80) return { value: first, start: at + 1 };
  const count = first & 0x7f;
  if (count === 0 || count > 4 || at + 1 + count > bytes.length) return undefined;
  let value = 0;
  for (let i = 1; i <= count; i++) value = value * 256 + bytes[at + i];
  return { value, start: at + 1 + count };
}

/** An INTEGER as hexadecimal, without leading zeros. */
export function derInteger(node: DerNode): string {
  return node.hex.replace(/^0+(?=.)/, '');
}

export function derText(node: DerNode): string {
  return new TextDecoder('utf-8').decode(node.content);
}
