/** getopt_long_only(3) as the kext tools use it: `-b ID`, `-bundle-id ID`, `--bundle-id ID`, `-v`, `-v4`. */

export interface OptionSpec {
  /** One letter; empty when there is only a long name. */
  readonly letter: string;
  readonly long: string;
  readonly value?: boolean;
}

export interface Parsed {
  readonly flags: ReadonlySet<string>;
  /** Values in order, by long name. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
  /** What `-v` says: a filter as the kext tools have it (0xff2 when nothing was said). */
  readonly filter: number;
  /** The word that is no option of the tool. */
  readonly unknown: string | undefined;
}

/** What is heard when nothing is said: errors and warnings of all activities. */
export const DEFAULT_FILTER = 0xff2;
/** Of -v 0 to -v 6 (kext_tools kext_tools_util.c); -v alone is -v 1. */
const FILTERS = [0xff1, 0xff3, 0xff4, 0xff5, 0xff6, 0xff7, 0xfff] as const;

const VERBOSE = /^--?v(?:erbose)?([0-6]|0x[0-9a-f]+)?$/;

/** Options may stand after operands, as getopt_long permutes them. */
export function parseOptions(args: readonly string[], specs: readonly OptionSpec[]): Parsed {
  const flags = new Set<string>();
  const values = new Map<string, string[]>();
  const operands: string[] = [];
  let filter: number = DEFAULT_FILTER;
  for (let i = 0; i < args.length; i++) {
    const word = args[i];
    if (word === '--') {
      operands.push(...args.slice(i + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word);
      continue;
    }
    const verbose = VERBOSE.exec(word);
    if (verbose !== null) {
      const apart = verbose[1] === undefined && /^(?:[0-6]|0x[0-9a-f]+)$/.test(args[i + 1] ?? '');
      const level = apart ? args[++i] : (verbose[1] ?? '1');
      filter = FILTERS[Number(level)] ?? Number(level);
      continue;
    }
    const found = match(word, specs);
    if (found === undefined) return { flags, values, operands, filter, unknown: word };
    for (const spec of found) {
      flags.add(spec.long);
      if (spec.value !== true) continue;
      const value = args[++i];
      if (value === undefined) return { flags, values, operands, filter, unknown: word };
      values.set(spec.long, [...(values.get(spec.long) ?? []), value]);
    }
  }
  return { flags, values, operands, filter, unknown: undefined };
}

/** A long name after one or two hyphens, or a bundle of letters. */
function match(word: string, specs: readonly OptionSpec[]): OptionSpec[] | undefined {
  const name = word.replace(/^--?/, '');
  const long = specs.find((spec) => spec.long === name);
  if (long !== undefined) return [long];
  if (word.startsWith('--')) return undefined;
  const letters = [...name].map((letter) => specs.find((spec) => spec.letter === letter));
  return letters.every((spec) => spec !== undefined) ? letters : undefined;
}
