/** Strings in guest memory: UNICODE_STRING, ANSI_STRING and NUL-terminated text of 16-bit units. */
import type { Kernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';

export function utf16(k: Kernel, at: Address, bytes: number): string {
  const raw = k.memory.bytes(at, bytes & ~1);
  let text = '';
  for (let i = 0; i + 1 < raw.length; i += 2) text += String.fromCharCode(raw[i] | (raw[i + 1] << 8));
  return text;
}

/** The text of a UNICODE_STRING; a NULL pointer reads as the empty string. */
export function unicodeString(k: Kernel, at: Address): string {
  if (at === 0) return '';
  const length = k.read('UNICODE_STRING.Length', at);
  return length === 0 ? '' : utf16(k, k.read('UNICODE_STRING.Buffer', at), length);
}

export function ansiString(k: Kernel, at: Address): string {
  const length = k.read('STRING.Length', at);
  return latin1(k.memory.bytes(k.read('STRING.Buffer', at), length));
}

/** Longest text that is looked through for its end. */
const MAX_TEXT = 1 << 20;

export function wideText(k: Kernel, at: Address): string {
  let text = '';
  for (let i = 0; i < MAX_TEXT; i++) {
    const unit = k.memory.u16(at + i * 2);
    if (unit === 0) return text;
    text += String.fromCharCode(unit);
  }
  return text;
}

export function encodeUtf16(text: string): Uint8Array {
  const out = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    out[i * 2] = unit & 0xff;
    out[i * 2 + 1] = unit >> 8;
  }
  return out;
}

export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export const encodeLatin1 = (text: string): Uint8Array =>
  Uint8Array.from(text, (c) => (c.charCodeAt(0) > 0xff ? 0x3f : c.charCodeAt(0)));

/** Writes the three fields of a UNICODE_STRING or ANSI_STRING, which are laid out alike. */
export function setCounted(k: Kernel, at: Address, length: number, maximum: number, buffer: Address): void {
  k.write('UNICODE_STRING.Length', at, length);
  k.write('UNICODE_STRING.MaximumLength', at, maximum);
  k.write('UNICODE_STRING.Buffer', at, buffer);
}

/** Case does not count in the names of the kernel: upper case by simple mapping, as RtlUpcaseUnicodeChar. */
export function upcase(text: string): string {
  let out = '';
  for (const unit of text.split('')) {
    const upper = unit.toUpperCase();
    out += upper.length === 1 ? upper : unit;
  }
  return out;
}

export const sameName = (a: string, b: string): boolean => a.length === b.length && upcase(a) === upcase(b);
