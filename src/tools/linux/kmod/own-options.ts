/**
 * Options that kmod does not have. They are taken out before a tool's own getopt(3) sees its words, and count only when
 * written in full: abbreviations and messages about wrong options stay as kmod has them.
 */

export interface OwnOptions {
  /** One JSON object in place of text. */
  readonly json: boolean;
  /** Names come from standard input, one command line a line. */
  readonly stdin: boolean;
  /** Exactly as kmod, where lkm would do more. */
  readonly compat: boolean;
  /** Configuration is that of the root which is given for the tree. */
  readonly reroot: boolean;
  /** Messages of one kind are counted after the first few. */
  readonly summary: boolean;
}

export const NO_OWN_OPTIONS: OwnOptions = {
  json: false,
  stdin: false,
  compat: false,
  reroot: false,
  summary: false,
};

/** Options of some tool whose value is the next word, whatever it looks like. */
const WITH_VALUE = new Set(
  ['-b', '-C', '-d', '-E', '-F', '-f', '-k', '-m', '-o', '-P', '-S', '-w'].concat(
    ['basedir', 'config', 'dirname', 'field', 'filesyms', 'format', 'moduledir', 'outdir', 'output'].map(
      (name) => `--${name}`,
    ),
    ['set-version', 'symbol-prefix', 'symvers', 'wait'].map((name) => `--${name}`),
  ),
);

/** -f takes a value in `kmod static-nodes` alone. */
const takesValue = (tool: string, word: string): boolean =>
  WITH_VALUE.has(word) && (word !== '-f' || tool === 'kmod');

/** Parts the words of a command line. */
export function takeOwnOptions(
  tool: string,
  words: readonly string[],
): { readonly own: OwnOptions; readonly rest: readonly string[] } {
  const given = new Set<string>();
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word === '--') {
      rest.push(...words.slice(i));
      break;
    }
    const name = word.slice(2);
    if (word.startsWith('--') && Object.hasOwn(NO_OWN_OPTIONS, name)) given.add(name);
    else {
      rest.push(word);
      if (takesValue(tool, word) && i + 1 < words.length) rest.push(words[++i]);
    }
  }
  const own = {
    json: given.has('json'),
    stdin: given.has('stdin'),
    compat: given.has('compat'),
    reroot: given.has('reroot'),
    summary: given.has('summary'),
  };
  return { own, rest };
}
