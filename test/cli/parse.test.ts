import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/cli/failure.ts';
import type { OptionSpec } from '../../src/cli/option.ts';
import { parseArguments } from '../../src/cli/parse.ts';
import fc from '../properties.ts';

const specs: readonly OptionSpec[] = [
  { name: 'all', short: 'a', summary: '' },
  { name: 'brief', short: 'b', summary: '' },
  { name: 'output', short: 'o', value: 'FILE', summary: '' },
  { name: 'do', value: 'COMMAND', repeat: true, summary: '' },
  { name: 'seed', value: 'N', type: 'integer', summary: '' },
  { name: 'color', value: 'WHEN', choices: ['auto', 'always', 'never'], summary: '' },
];
const parse = (...argv: string[]) => parseArguments(argv, specs, 'lkm x', ['kernel']);

function refusal(...argv: string[]): Failure {
  try {
    parse(...argv);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error(`${argv.join(' ')} was accepted`);
}

describe('parseArguments', () => {
  it('reads every way of giving a value', () => {
    for (const argv of [['-o', 'f'], ['-of'], ['--output', 'f'], ['--output=f'], ['-abof']]) {
      expect(parse(...argv).options.text('output')).toBe('f');
    }
    expect(parse('--output=').options.text('output')).toBe('');
    expect(parse('-o', '-a').options.text('output')).toBe('-a');
  });

  it('mixes options and arguments, and ends options at --', () => {
    const { args, options } = parse('one', '-a', '-', 'p=v', '--', '-b', '--nothing');
    expect(args).toEqual(['one', '-', 'p=v', '-b', '--nothing']);
    expect(options.flag('all')).toBe(true);
    expect(options.flag('brief')).toBe(false);
  });

  it('collects repeated options in order; otherwise the last one wins', () => {
    expect(parse('--do', 'x', '--do=y').options.list('do')).toEqual(['x', 'y']);
    expect(parse().options.list('do')).toEqual([]);
    expect(parse('-o1', '-o2').options.text('output')).toBe('2');
  });

  it('checks whole numbers', () => {
    expect(parse('--seed', '0x10').options.integer('seed')).toBe(16);
    expect(parse('--seed', '9007199254740991').options.integer('seed')).toBe(Number.MAX_SAFE_INTEGER);
    for (const bad of ['', '-1', '1e3', '1.5', 'x', '9007199254740992', ' 1']) {
      expect(refusal('--seed', bad).message).toContain(`not '${bad}'`);
    }
  });

  it('names the nearest option, and what belongs elsewhere', () => {
    expect(refusal('--ouptut').hint).toBe('did you mean --output?');
    expect(refusal('--kernel', 'x').message).toBe('lkm x: --kernel means nothing here');
    expect(refusal('-z').message).toBe('lkm x: unknown option -z');
    expect(refusal('--color', 'alwais').hint).toBe('did you mean always?');
    expect(refusal('--all=1').message).toContain('takes no value');
    expect(refusal('-o').message).toContain('needs a value');
    expect(refusal('--out').exitCode).toBe(2);
  });

  it('loses nothing and never throws anything else, whatever the words are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom('-a', '-o', '--', '-ab', '--do=x'))),
        (argv) => {
          try {
            const { args } = parse(...argv);
            expect(args.every((word) => argv.includes(word))).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(Failure);
          }
        },
      ),
    );
  });

  it('takes everything behind -- as arguments', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        expect(parse('--', ...words).args).toEqual(words);
      }),
    );
  });

  it('refuses a body that asks for an option outside its table', () => {
    expect(() => parse().options.flag('nothing')).toThrow(RangeError);
  });
});
