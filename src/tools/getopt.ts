/**
 * Command lines as getopt_long(3) of the GNU C library reads them: options and arguments mixed (or not, with a leading
 * `+`), long names that may be cut short while they stay clear, and its messages word for word.
 */

export interface LongOption {
  readonly name: string;
  readonly value: 'none' | 'required';
  /** What the option is reported as: usually its letter. */
  readonly as: string;
}

export interface Given {
  readonly option: string;
  readonly value: string;
}

export interface GetoptResult {
  readonly options: readonly Given[];
  readonly rest: readonly string[];
  /** What it says about options that are wrong, each a line; parsing went on after it. */
  readonly messages: readonly string[];
}

/** The option that stands for every wrong one. */
export const WRONG = '?';

export class Getopt {
  private readonly tool: string;
  private readonly letters: string;
  private readonly long: readonly LongOption[];
  private readonly ordered: boolean;

  /** `letters` as in getopt(3): `ab:` is -a, and -b with a value; a leading `+` stops at the first argument. */
  constructor(tool: string, letters: string, long: readonly LongOption[]) {
    this.tool = tool;
    this.ordered = letters.startsWith('+');
    this.letters = letters.replace(/^\+/, '');
    this.long = long;
  }

  parse(argv: readonly string[]): GetoptResult {
    const options: Given[] = [];
    const rest: string[] = [];
    const messages: string[] = [];
    const wrong = (text: string): undefined => {
      messages.push(`${this.tool}: ${text}\n`);
      options.push({ option: WRONG, value: '' });
    };
    let at = 0;
    const next = () => (at < argv.length ? argv[at++] : undefined);
    while (at < argv.length) {
      const word = argv[at++];
      if (word === '--') break;
      if (word.startsWith('--')) this.readLong(word, next, options, wrong);
      else if (word.startsWith('-') && word.length > 1) this.readShort(word, next, options, wrong);
      else {
        rest.push(word);
        if (this.ordered) break;
      }
    }
    return { options, rest: [...rest, ...argv.slice(at)], messages };
  }

  private readLong(
    word: string,
    next: () => string | undefined,
    options: Given[],
    wrong: (text: string) => undefined,
  ): undefined {
    const equals = word.indexOf('=');
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const fitting = this.long.filter((one) => one.name.startsWith(name));
    const option = fitting.find((one) => one.name === name) ?? this.onlyOne(fitting);
    if (option === undefined) {
      if (fitting.length === 0) return wrong(`unrecognized option '${word}'`);
      const all = fitting.map((one) => ` '--${one.name}'`).join('');
      return wrong(`option '${word}' is ambiguous; possibilities:${all}`);
    }
    if (option.value === 'none') {
      if (equals >= 0) return wrong(`option '--${option.name}' doesn't allow an argument`);
      options.push({ option: option.as, value: '' });
      return undefined;
    }
    const value = equals >= 0 ? word.slice(equals + 1) : next();
    if (value === undefined) return wrong(`option '--${option.name}' requires an argument`);
    options.push({ option: option.as, value });
    return undefined;
  }

  /** Several names for one and the same option are not ambiguous. */
  private onlyOne(fitting: readonly LongOption[]): LongOption | undefined {
    const [first] = fitting;
    return fitting.every((one) => one.as === first.as && one.value === first.value) ? first : undefined;
  }

  private readShort(
    word: string,
    next: () => string | undefined,
    options: Given[],
    wrong: (text: string) => undefined,
  ): undefined {
    for (let i = 1; i < word.length; i++) {
      const letter = word[i];
      const at = letter === ':' ? -1 : this.letters.indexOf(letter);
      if (at < 0) {
        wrong(`invalid option -- '${letter}'`);
        continue;
      }
      if (this.letters[at + 1] !== ':') {
        options.push({ option: letter, value: '' });
        continue;
      }
      const value = i + 1 < word.length ? word.slice(i + 1) : next();
      if (value === undefined) wrong(`option requires an argument -- '${letter}'`);
      else options.push({ option: letter, value });
      return undefined;
    }
    return undefined;
  }
}
