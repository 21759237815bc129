/**
 * Matching with `*` and `?`, and with sets in brackets where they are wanted (lib/parser.c match_wildcard, fnmatch(3)).
 * Only the last star is ever tried again, so that no pattern takes longer than its length times that of the text.
 */

/** One place of a pattern: a character it must be, any text, or a test of one character. */
export type GlobPart = string | typeof ANY_TEXT | ((character: string) => boolean);

const ANY_TEXT = Symbol('*');

/** Reads a pattern. A bracket without its end is a character like others. */
export function parseGlob(pattern: string, options: { readonly sets?: boolean } = {}): GlobPart[] {
  const parts: GlobPart[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    const end = options.sets === true && character === '[' ? pattern.indexOf(']', at + 2) : -1;
    if (character === '*') parts.push(ANY_TEXT);
    else if (character === '?') parts.push(() => true);
    else if (end > 0) {
      parts.push(setOf(pattern.slice(at + 1, end)));
      at = end;
    } else parts.push(character);
  }
  return parts;
}

/** `a-f0`, or `!a-f0` for all others. */
function setOf(text: string): (character: string) => boolean {
  const negated = text.startsWith('!') || text.startsWith('^');
  const members = negated ? text.slice(1) : text;
  return (character) => {
    let inside = false;
    for (let at = 0; at < members.length; at++) {
      const range = members[at + 1] === '-' && at + 2 < members.length;
      const last = range ? members[at + 2] : members[at];
      inside ||= character >= members[at] && character <= last;
      if (range) at += 2;
    }
    return inside !== negated;
  };
}

export function matchesGlob(parts: readonly GlobPart[], text: string): boolean {
  let [at, part, star, resume] = [0, 0, -1, 0];
  while (at < text.length) {
    const wanted = parts[part];
    if (wanted === ANY_TEXT) {
      star = part++;
      resume = at;
    } else if (typeof wanted === 'function' ? wanted(text[at]) : wanted === text[at]) {
      at++;
      part++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++resume;
    } else return false;
  }
  while (parts[part] === ANY_TEXT) part++;
  return part === parts.length;
}
