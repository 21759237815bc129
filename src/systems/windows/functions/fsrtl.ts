/** What file systems and filters share: patterns of names, sizes. */
import { Status } from '../status.ts';
import { unicodeString, upcase } from '../strings.ts';
import { kernelFunctions } from './define.ts';

/**
 * FsRtlIsNameInExpression: `*` and `?`, and the three that DOS programs need: `<` (DOS_STAR) up to the last dot, `>`
 * (DOS_QM) a character or nothing before a dot or the end, `"` (DOS_DOT) a dot or the end.
 */
export const nameMatches = (expression: string, name: string): boolean =>
  matches(upcase(expression), upcase(name));

function matches(e: string, n: string): boolean {
  const lastDot = n.lastIndexOf('.');
  // States are positions in the expression that what was read so far can lead to.
  let states = closure(new Set([0]), e, n, 0, lastDot);
  for (let at = 0; at < n.length; at++) {
    const next = new Set<number>();
    for (const s of states) {
      const c = e[s];
      if (c === '*') next.add(s);
      else if (c === '<') {
        next.add(s);
        if (n[at] === '.' && at === lastDot) next.add(s + 1);
      } else if (c === '?' || c === n[at] || (c === '>' && n[at] !== '.') || (c === '"' && n[at] === '.'))
        next.add(s + 1);
    }
    states = closure(next, e, n, at + 1, lastDot);
    if (states.size === 0) return false;
  }
  return states.has(e.length);
}

/** Adds the positions that need no character. */
function closure(states: Set<number>, e: string, n: string, at: number, lastDot: number): Set<number> {
  const end = at >= n.length;
  const out = new Set<number>();
  for (const start of states) {
    for (let s = start; ; s++) {
      out.add(s);
      const c = e[s];
      const skips =
        c === '*' ||
        (c === '<' && (end || at > lastDot)) ||
        (c === '>' && (end || n[at] === '.')) ||
        (c === '"' && end);
      if (!skips) break;
    }
  }
  return out;
}

/** Statuses that a file system may hand to its callers; what is not expected is replaced by the generic one. */
const UNEXPECTED = new Set<number>([
  Status.ACCESS_VIOLATION,
  Status.ILLEGAL_INSTRUCTION,
  Status.DATATYPE_MISALIGNMENT,
  0xc00000aa | 0,
]);

export const fsrtlFunctions = kernelFunctions({
  'BOOLEAN FsRtlIsNameInExpression(PVOID expression, PVOID name, BOOLEAN fold, PVOID table)': (
    k,
    expression,
    name,
    fold,
  ) => {
    // With `fold` the caller has put the expression into upper case already.
    const text = unicodeString(k, name);
    return matches(unicodeString(k, expression), fold ? upcase(text) : text);
  },
  'BOOLEAN FsRtlDoesNameContainWildCards(PVOID name)': (k, name) => /[*?<>"]/.test(unicodeString(k, name)),
  'BOOLEAN FsRtlIsNtstatusExpected(NTSTATUS status)': (_k, status) => !UNEXPECTED.has(status),
  'NTSTATUS FsRtlNormalizeNtstatus(NTSTATUS exception, NTSTATUS generic)': (_k, exception, generic) =>
    UNEXPECTED.has(exception) ? generic : exception,
});
