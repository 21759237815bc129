/** Lines as cmd.exe reads them: words in double quotes, backslashes that are only backslashes, &, &&, ||, > and >>. */

export interface CmdStep {
  readonly when: 'always' | 'succeeded' | 'failed';
  readonly words: readonly string[];
  readonly redirect: { readonly path: string; readonly append: boolean } | undefined;
}

const OPERATORS = ['&&', '||', '&', '>>', '>', '|', '<'] as const;
type Operator = (typeof OPERATORS)[number];
type Token = { readonly word: string } | { readonly operator: Operator };

/** A line that cmd.exe would read but that is not read here. */
export class CmdSyntax extends Error {}

function tokens(line: string): Token[] {
  const out: Token[] = [];
  let at = 0;
  while (at < line.length) {
    const here = at;
    const operator = OPERATORS.find((one) => line.startsWith(one, here));
    if (/\s/.test(line[at])) at++;
    else if (operator !== undefined) {
      out.push({ operator });
      at += operator.length;
    } else {
      let word = '';
      let quoted = false;
      // ^ takes the next character for itself, outside of quotes.
      for (; at < line.length && (quoted || !/[\s&|<>]/.test(line[at])); at++) {
        if (line[at] === '"') quoted = !quoted;
        else if (line[at] === '^' && !quoted && at + 1 < line.length) word += line[++at];
        else word += line[at];
      }
      out.push({ word });
    }
  }
  return out;
}

/** @throws CmdSyntax */
export function readCmdLine(line: string): CmdStep[] {
  if (/^\s*(rem\b|::)/i.test(line)) return [];
  const steps: CmdStep[] = [];
  let words: string[] = [];
  let redirect: CmdStep['redirect'];
  let when: CmdStep['when'] = 'always';
  const list = tokens(line);
  for (let i = 0; i < list.length; i++) {
    const token = list[i];
    if ('word' in token) words.push(token.word);
    else if (token.operator === '>' || token.operator === '>>') {
      const target = list[++i];
      if (target === undefined || !('word' in target))
        throw new CmdSyntax('The syntax of the command is incorrect.');
      redirect = { path: target.word, append: token.operator === '>>' };
    } else if (token.operator === '|' || token.operator === '<')
      throw new CmdSyntax(`'${token.operator}' is not read here: there are no pipes, and no input to take`);
    else {
      if (words.length === 0) throw new CmdSyntax(`${token.operator} was unexpected at this time.`);
      steps.push({ when, words, redirect });
      [words, redirect] = [[], undefined];
      when = token.operator === '&&' ? 'succeeded' : token.operator === '||' ? 'failed' : 'always';
    }
  }
  if (words.length > 0) steps.push({ when, words, redirect });
  return steps;
}
