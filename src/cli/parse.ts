/**
 * Command lines, read by a table of options. The rules are the usual ones: `--name VALUE`, `--name=VALUE`, `-n VALUE`,
 * `-nVALUE`, `-abc` for three options without a value; options and arguments may be mixed; `--` ends the options;
 * `-` alone is an argument. Nothing is guessed: an unknown or abbreviated option is refused with the nearest name.
 */

import { usageError } from './failure.ts';
import { nearest } from './nearest.ts';
import type { OptionSpec } from './option.ts';

type Value = true | string | number | readonly (string | number)[];

/** The options that were given, by name. Asking for one that is not in the table is a defect and throws. */
export class Values {
  readonly #specs: ReadonlyMap<string, OptionSpec>;
  readonly #values: ReadonlyMap<string, Value>;

  constructor(specs: readonly OptionSpec[], values: ReadonlyMap<string, Value>) {
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]));
    this.#values = values;
  }

  /** Was it given? */
  flag(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  /** The value of a text option, the last one when it was given twice. */
  text(name: string): string | undefined {
    const value = this.#get(name);
    return typeof value === 'string' ? value : undefined;
  }

  integer(name: string): number | undefined {
    const value = this.#get(name);
    return typeof value === 'number' ? value : undefined;
  }

  /** All values of an option that may be repeated, in order. */
  list(name: string): readonly string[] {
    const value = this.#get(name);
    return Array.isArray(value) ? value : [];
  }

  #get(name: string): Value | undefined {
    if (!this.#specs.has(name)) throw new RangeError(`option --${name} is not in the command's table`);
    return this.#values.get(name);
  }
}

export interface Parsed {
  readonly args: readonly string[];
  readonly options: Values;
}

/**
 * Reads `argv` by `specs`. `who` is how messages name the command (`lkm run`), `reserved` are option names that exist
 * elsewhere, for a better message. `native`: what follows the first argument belongs to another tool and is left alone.
 */
export function parseArguments(
  argv: readonly string[],
  specs: readonly OptionSpec[],
  who: string,
  reserved: readonly string[] = [],
  { native = false }: { readonly native?: boolean } = {},
): Parsed {
  const reader = new Reader(argv, specs, who, reserved, native);
  return reader.read();
}

class Reader {
  #at = 0;
  readonly #args: string[] = [];
  readonly #values = new Map<string, Value>();

  constructor(
    readonly argv: readonly string[],
    readonly specs: readonly OptionSpec[],
    readonly who: string,
    readonly reserved: readonly string[],
    readonly native: boolean,
  ) {}

  read(): Parsed {
    while (this.#at < this.argv.length) {
      const word = this.argv[this.#at++];
      if (word === '--') {
        this.#args.push(...this.argv.slice(this.#at));
        break;
      }
      if (word.startsWith('--')) this.#long(word);
      else if (word.startsWith('-') && word.length > 1) this.#short(word);
      else {
        this.#args.push(word);
        if (!this.native) continue;
        this.#args.push(...this.argv.slice(this.#at));
        break;
      }
    }
    return { args: this.#args, options: new Values(this.specs, this.#values) };
  }

  #long(word: string): void {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
    const spec = this.specs.find((one) => one.name === name) ?? this.#unknown(`--${name}`);
    if (spec.value === undefined) {
      if (equals >= 0) throw usageError(`${this.who}: --${name} takes no value`);
      this.#values.set(name, true);
    } else {
      this.#store(spec, equals < 0 ? this.#next(spec, `--${name}`) : word.slice(equals + 1));
    }
  }

  #short(word: string): void {
    for (let i = 1; i < word.length; i++) {
      const spec = this.specs.find((one) => one.short === word[i]) ?? this.#unknown(`-${word[i]}`);
      if (spec.value === undefined) {
        this.#values.set(spec.name, true);
        continue;
      }
      this.#store(spec, i + 1 < word.length ? word.slice(i + 1) : this.#next(spec, `-${word[i]}`));
      return;
    }
  }

  #next(spec: OptionSpec, given: string): string {
    if (this.#at >= this.argv.length)
      throw usageError(`${this.who}: ${given} needs a value: ${given} ${spec.value}`);
    const word = this.argv[this.#at];
    // Its value was forgotten: nobody means a file called --json.
    const option = /^--([^=]+)/.exec(word)?.[1];
    if (option !== undefined && this.specs.some(({ name }) => name === option))
      throw usageError(
        `${this.who}: ${given} needs a value: ${given} ${spec.value}`,
        `--${option} is an option; --${spec.name}=${word} takes it as a value all the same`,
      );
    this.#at++;
    return word;
  }

  #store(spec: OptionSpec, text: string): void {
    if (spec.choices && !spec.choices.includes(text)) {
      const guess = nearest(text, spec.choices);
      const hint = guess ? `did you mean ${guess}?` : undefined;
      throw usageError(
        `${this.who}: --${spec.name} is one of ${spec.choices.join(', ')}, not '${text}'`,
        hint,
      );
    }
    const value = spec.type === 'integer' ? this.#integer(spec, text) : text;
    if (!spec.repeat) {
      this.#values.set(spec.name, value);
      return;
    }
    const earlier = this.#values.get(spec.name);
    this.#values.set(spec.name, [...(Array.isArray(earlier) ? earlier : []), value]);
  }

  #integer(spec: OptionSpec, text: string): number {
    const value = /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value <= (spec.most ?? Number.MAX_SAFE_INTEGER)) return value;
    const most = spec.most ?? '2^53-1';
    throw usageError(`${this.who}: --${spec.name} is a whole number from 0 to ${most}, not '${text}'`);
  }

  #unknown(given: string): never {
    const name = given.replace(/^--?/, '');
    if (given.startsWith('--') && this.reserved.includes(name)) {
      throw usageError(
        `${this.who}: ${given} means nothing here`,
        `'${this.who} --help' lists what it takes`,
      );
    }
    const guess = given.startsWith('--')
      ? nearest(
          name,
          this.specs.map((one) => one.name),
        )
      : undefined;
    const hint = guess ? `did you mean --${guess}?` : `'${this.who} --help' lists what it takes`;
    throw usageError(`${this.who}: unknown option ${given}`, hint);
  }
}
