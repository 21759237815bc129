/** getopt(3) as FreeBSD's tools use it: single letters, `:` behind those with a value, options end at the first operand. */
export interface Options {
  readonly flags: ReadonlySet<string>;
  /** Letters in the order they were given, each as often as it was. */
  readonly order: readonly string[];
  readonly values: ReadonlyMap<string, string>;
  readonly operands: readonly string[];
  /** What getopt says of a wrong letter or a value that is not there; undefined when all is well. */
  readonly problem: string | undefined;
}

export function getopt(args: readonly string[], letters: string): Options {
  const order: string[] = [];
  const values = new Map<string, string>();
  const done = (at: number, problem?: string): Options => ({
    flags: new Set(order),
    order,
    values,
    operands: args.slice(at),
    problem,
  });
  for (let at = 0; at < args.length; at++) {
    const word = args[at];
    if (word === '--') return done(at + 1);
    if (!word.startsWith('-') || word === '-') return done(at);
    for (let i = 1; i < word.length; i++) {
      const letter = word[i];
      const place = letter === ':' ? -1 : letters.indexOf(letter);
      if (place < 0) return done(at + 1, `illegal option -- ${letter}`);
      if (letters[place + 1] !== ':') {
        order.push(letter);
        continue;
      }
      const rest = word.slice(i + 1);
      const value = rest === '' ? args[++at] : rest;
      if (value === undefined) return done(at, `option requires an argument -- ${letter}`);
      order.push(letter);
      values.set(letter, value);
      break;
    }
  }
  return done(args.length);
}
