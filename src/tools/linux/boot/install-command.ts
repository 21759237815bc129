/**
 * What a command of modprobe.d does to modules, for a start that runs no programs: the commands that are usual there are
 * understood (true, false, exit, modprobe, between `&&`, `||` and `;`), any other is told.
 */

export interface InstallActions {
  /** Loads the module that the command stands for, or others by name; true when they are there. */
  readonly load: (names: readonly string[], parameters: string, ignoreInstall: boolean) => boolean;
  /** A program that is not run here. */
  readonly unknown: (text: string) => void;
}

interface Part {
  /** What stands before it. */
  readonly operator: string;
  readonly words: readonly string[];
}

/** Options of modprobe that take a word. */
const WITH_WORD: readonly string[] = [
  '-C',
  '--config',
  '-S',
  '--set-version',
  '-d',
  '--dirname',
  '-w',
  '--wait',
];

/** Returns the exit code; undefined when nothing in it was understood. */
export function runInstallCommand(
  command: string,
  options: string,
  actions: InstallActions,
): number | undefined {
  let code = 0;
  let understood = false;
  for (const { operator, words } of partsOf(command.replaceAll('$CMDLINE_OPTS', () => options))) {
    if ((operator === '&&' && code !== 0) || (operator === '||' && code === 0)) continue;
    const name = words[0]?.replace(/^.*\//, '') ?? '';
    if (name === 'exit') return Number(words[1] ?? code) || 0;
    const result = runOne(name, words, actions);
    if (result === undefined) actions.unknown(words.join(' '));
    else understood = true;
    code = result ?? 0;
  }
  return understood ? code : undefined;
}

function runOne(name: string, words: readonly string[], actions: InstallActions): number | undefined {
  if (name === 'true' || name === ':' || name === '') return 0;
  if (name === 'false') return 1;
  return name === 'modprobe' ? runModprobe(words.slice(1), actions) : undefined;
}

function runModprobe(words: readonly string[], { load }: InstallActions): number | undefined {
  const names: string[] = [];
  let [all, ignore] = [false, false];
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (/^-[a-zA-Z]*r|^--(remove|show|resolve)/.test(word)) return undefined;
    if (word === '-a' || word === '--all') all = true;
    else if (word === '--ignore-install' || /^-[qvbs]*i[qvbs]*$/.test(word)) ignore = true;
    else if (WITH_WORD.includes(word)) i++;
    else if (!word.startsWith('-')) names.push(word);
  }
  if (names.length === 0) return 1;
  const [first, ...rest] = names;
  return (all ? load(names, '', ignore) : load([first], rest.join(' '), ignore)) ? 0 : 1;
}

/** Words between blanks and operators; what is redirected, or taken from elsewhere, makes a command that is not known. */
function partsOf(command: string): Part[] {
  const parts: { operator: string; words: string[] }[] = [{ operator: ';', words: [] }];
  for (const word of command.match(/&&|\|\||;|"[^"]*"|'[^']*'|[^\s;&|]+|[&|]/g) ?? []) {
    if (word === '&&' || word === '||' || word === ';') parts.push({ operator: word, words: [] });
    else if (/^[0-9]*>+(&[0-9])?(\/dev\/null)?$/.test(word) || word === '/dev/null') continue;
    else parts[parts.length - 1].words.push(word.replace(/^(["'])(.*)\1$/s, '$2'));
  }
  return parts.filter(({ words }) => words.length > 0);
}
