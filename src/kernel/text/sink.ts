/**
 * Text under construction: bytes (one character each) of which only the first `limit` are kept, while all are
 * counted, as snprintf's return value wants.
 */
export class Sink {
  private kept = '';
  private counted = 0;
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Appends a string whose characters are bytes. */
  put(text: string): void {
    if (this.counted < this.limit) this.kept += text.slice(0, this.limit - this.counted);
    this.counted += text.length;
  }

  /** Appends one character `count` times; nothing when the count is not positive. */
  pad(character: string, count: number): void {
    if (!(count > 0)) return;
    const room = Math.max(0, Math.min(count, this.limit - this.counted));
    this.kept += character.repeat(room);
    this.counted += count;
  }

  /** Bytes that the whole text has, kept or not. */
  get length(): number {
    return this.counted;
  }

  get text(): string {
    return this.kept;
  }
}

/** The bytes of a string whose characters are bytes. */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A string whose characters are the given bytes. */
export function textOf(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return text;
}

/** A string whose characters are the UTF-8 bytes of `text`. */
export function encoded(text: string): string {
  return textOf(new TextEncoder().encode(text));
}

/** What people read: bytes taken as UTF-8, or as Latin-1 where they are not. */
export function readable(text: string): string {
  if (!/[\x80-\xff]/.test(text)) return text;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(text));
  } catch {
    return text;
  }
}
