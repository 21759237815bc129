/** Escaping of arbitrary bytes: %pE and string_escape_mem (include/linux/string_helpers.h). */

/** ESCAPE_* flags as the kernel numbers them. */
export const ESCAPE = {
  SPACE: 1,
  SPECIAL: 2,
  NULL: 4,
  OCTAL: 8,
  ANY: 15,
  NP: 16,
  ANY_NP: 31,
  HEX: 32,
  NA: 64,
  NAP: 128,
  APPEND: 256,
} as const;

const LETTERS: Record<string, number> = {
  a: ESCAPE.ANY,
  c: ESCAPE.SPECIAL,
  h: ESCAPE.HEX,
  n: ESCAPE.NULL,
  o: ESCAPE.OCTAL,
  p: ESCAPE.NP,
  s: ESCAPE.SPACE,
};

/** Flags for the letters behind %pE; without any, everything that does not print is escaped. */
export function escapeFlags(letters: string): number {
  let flags = 0;
  for (const letter of letters) flags |= LETTERS[letter] ?? 0;
  return flags === 0 ? ESCAPE.ANY_NP : flags;
}

const SPACES: Record<string, string> = { '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v', '\f': 'f' };
const SPECIALS: Record<string, string> = { '\\': '\\', '\x07': 'a', '\x1b': 'e', '"': '"' };

/** Escapes a string of bytes; characters in `only`, when given, are the sole candidates. */
export function escapeBytes(source: string, flags: number, only = ''): string {
  let text = '';
  for (const c of source) text += escapeOne(c, flags, only);
  return text;
}

function escapeOne(c: string, flags: number, only: string): string {
  const code = c.charCodeAt(0);
  const ascii = code < 0x80;
  const prints = code >= 0x20 && code < 0x7f;
  const inOnly = only.includes(c) && only !== '';
  const appended = (flags & ESCAPE.APPEND) !== 0 && inOnly;
  if (!appended && passes(only, inOnly, flags, ascii, prints)) return c;
  if ((flags & ESCAPE.SPACE) !== 0 && SPACES[c] !== undefined) return `\\${SPACES[c]}`;
  if ((flags & ESCAPE.SPECIAL) !== 0 && SPECIALS[c] !== undefined) return `\\${SPECIALS[c]}`;
  if ((flags & ESCAPE.NULL) !== 0 && code === 0) return '\\0';
  if ((flags & ESCAPE.OCTAL) !== 0) return `\\${code.toString(8).padStart(3, '0')}`;
  if ((flags & ESCAPE.HEX) !== 0) return `\\x${code.toString(16).padStart(2, '0')}`;
  return c;
}

/** Does the character stay as it is whatever escapes are on? */
function passes(only: string, inOnly: boolean, flags: number, ascii: boolean, prints: boolean): boolean {
  const append = (flags & ESCAPE.APPEND) !== 0;
  if (only !== '' && !append && !inOnly) return true;
  if ((flags & ESCAPE.NAP) !== 0 && ascii && prints) return true;
  if ((flags & ESCAPE.NP) !== 0 && prints && (flags & ESCAPE.NA) === 0) return true;
  return (flags & ESCAPE.NA) !== 0 && ascii;
}
