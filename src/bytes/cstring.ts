/**
 * C strings. Names in object files are bytes; nearly all are ASCII. Those that are not are taken as UTF-8, and as Latin-1
 * when they are not valid UTF-8, so that no bytes are replaced by a question mark.
 */

const strictUtf8 = /* @__PURE__ */ new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Offset of the terminating NUL at or after `at`, or -1 when none is before `end`. */
export function nulAt(bytes: Uint8Array, at: number, end = bytes.length): number {
  for (let i = at; i < end; i++) if (bytes[i] === 0) return i;
  return -1;
}

/** The string from `at` to its NUL, or to `end` when it has none. */
export function cstring(bytes: Uint8Array, at: number, end = bytes.length): string {
  const nul = nulAt(bytes, at, end);
  return text(bytes, at, nul < 0 ? end : nul);
}

/** The bytes from `at` to `end` as text. Short names are built by hand: a call of TextDecoder costs more than they do. */
export function text(bytes: Uint8Array, at: number, end: number): string {
  if (end - at > 64) return longText(bytes.subarray(at, end));
  let out = '';
  for (let i = at; i < end; i++) {
    const byte = bytes[i];
    if (byte >= 0x80) return longText(bytes.subarray(at, end));
    out += String.fromCharCode(byte);
  }
  return out;
}

/** The entries of a table of NUL-terminated strings (.modinfo, an argument block); empty entries (padding) are left out. */
export function* cstrings(bytes: Uint8Array): Generator<{ readonly offset: number; readonly text: string }> {
  let at = 0;
  while (at < bytes.length) {
    const nul = nulAt(bytes, at);
    const end = nul < 0 ? bytes.length : nul;
    if (end > at) yield { offset: at, text: text(bytes, at, end) };
    at = end + 1;
  }
}

function longText(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    let out = '';
    for (const byte of bytes) out += String.fromCharCode(byte);
    return out;
  }
}
