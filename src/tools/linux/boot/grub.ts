/** grub.cfg as far as it says what Linux is started with (GRUB manual, "Writing your own configuration file"). */

export interface GrubEntry {
  /** As --entry takes it: `0`, `1>2`. */
  readonly number: string;
  readonly title: string;
  /** What `--id` names it; empty without. */
  readonly id: string;
  /** Path of the kernel as the file has it. */
  readonly kernel: string;
  readonly commandLine: string;
  readonly initrds: readonly string[];
}

export interface GrubConfig {
  readonly entries: readonly GrubEntry[];
  /** What `set default=` says; a number or a title. */
  readonly chosen: string;
}

interface Menu {
  readonly prefix: string;
  count: number;
}

interface Open {
  readonly kind: 'entry' | 'menu' | 'other';
  readonly number: string;
  readonly title: string;
  readonly id: string;
  kernel: string;
  commandLine: string;
  initrds: string[];
}

const QUOTED = /'([^']*)'|"((?:[^"\\]|\\.)*)"|(\S+)/;
/** More nesting than any menu has. */
const MAX_DEPTH = 32;

/** What becomes of the lines of a branch (`done`: one before it was taken); of a condition that asks the machine nobody knows. */
type Branch = 'taken' | 'left' | 'done' | 'unknown';

/** Conditions on variables are decided; of others both branches count, and the last `set` of a variable. */
export function readGrub(text: string): GrubConfig {
  const variables = new Map<string, string>();
  const entries: GrubEntry[] = [];
  const stack: Open[] = [];
  const menus: Menu[] = [{ prefix: '', count: 0 }];
  const branches: Branch[] = [];
  for (const raw of text.replace(/\\\n/g, ' ').split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (isBranch(line, branches, variables) || branches.some((one) => one === 'left' || one === 'done'))
      continue;
    const set = /^set\s+(\w+)=(.*)$/.exec(line);
    if (set !== null) variables.set(set[1], expand(unquote(set[2]), variables));
    const [word] = line.split(/\s+/, 1);
    if (word === 'menuentry' || word === 'submenu') open(line, word, stack, menus);
    else if (/^linux(16|efi)?$/.test(word)) takeLinux(line, stack, variables);
    else if (/^initrd(16|efi)?$/.test(word)) takeInitrd(line, stack, variables);
    else if (line.endsWith('{') && stack.length < MAX_DEPTH) stack.push(frame('other', '', ''));
    if (line === '}') close(stack, menus, entries);
  }
  return { entries, chosen: variables.get('default') ?? '0' };
}

/** `if`, `elif`, `else`, `fi`: what follows is taken, left out or (for files and devices) not known. */
function isBranch(line: string, branches: Branch[], variables: ReadonlyMap<string, string>): boolean {
  const [word] = line.split(/[\s;]+/, 1);
  const condition = () => decide(expand(line.slice(word.length).replace(/;?\s*then\s*;?$/, ''), variables));
  if (word === 'if') branches.push(condition());
  else if (word === 'fi') branches.pop();
  else if (word === 'elif' || word === 'else') {
    const before = branches.pop();
    if (before === 'taken' || before === 'done') branches.push('done');
    else if (before === 'unknown') branches.push('unknown');
    else branches.push(word === 'else' ? 'taken' : condition());
  } else return word === 'then';
  return true;
}

/** `[ a = b ]`, `[ a != b ]`, `[ -n a ]`, `[ -z a ]`, `[ a ]`, with the variables put in. */
function decide(text: string): Branch {
  const inside = /^\s*\[\s+(.*?)\s*\]\s*$/.exec(text)?.[1];
  if (inside === undefined) return 'unknown';
  const words = [...inside.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) =>
    word.replace(/['"]/g, ''),
  );
  const [first = '', operator, second = ''] = words;
  const is = (yes: boolean): Branch => (yes ? 'taken' : 'left');
  if (words.length === 3 && (operator === '=' || operator === '==')) return is(first === second);
  if (words.length === 3 && operator === '!=') return is(first !== second);
  if (words.length === 2 && first === '-n') return is(operator !== '');
  if (words.length === 2 && first === '-z') return is(operator === '');
  return words.length === 1 ? is(first !== '') : 'unknown';
}

const frame = (kind: Open['kind'], number: string, title: string, id = ''): Open => ({
  kind,
  number,
  title,
  id,
  kernel: '',
  commandLine: '',
  initrds: [],
});

function open(line: string, word: string, stack: Open[], menus: Menu[]): void {
  const [, single, double, bare] = QUOTED.exec(line.slice(word.length)) ?? [];
  const title = single ?? double ?? bare ?? '';
  const menu = menus.at(-1);
  if (menu === undefined || stack.length >= MAX_DEPTH) return;
  const number = `${menu.prefix}${menu.count++}`;
  const named = /(?:--id|\$\{?menuentry_id_option\}?)[\s=]+(?:'([^']*)'|"([^"]*)"|(\S+))/.exec(line);
  const id = named?.[1] ?? named?.[2] ?? named?.[3] ?? '';
  stack.push(frame(word === 'submenu' ? 'menu' : 'entry', number, title, id));
  if (word === 'submenu') menus.push({ prefix: `${number}>`, count: 0 });
}

function close(stack: Open[], menus: Menu[], entries: GrubEntry[]): void {
  const done = stack.pop();
  if (done?.kind === 'menu') menus.pop();
  if (done?.kind !== 'entry' || done.kernel === '') return;
  const { number, title, id, kernel, commandLine, initrds } = done;
  entries.push({ number, title, id, kernel, commandLine, initrds });
}

const current = (stack: readonly Open[]): Open | undefined => stack.findLast(({ kind }) => kind === 'entry');

function takeLinux(line: string, stack: Open[], variables: ReadonlyMap<string, string>): void {
  const entry = current(stack);
  const [, kernel = '', rest = ''] = /^\S+\s+(\S+)\s*(.*)$/.exec(line) ?? [];
  if (entry === undefined) return;
  entry.kernel = expand(kernel, variables);
  entry.commandLine = expand(rest, variables).replace(/\s+/g, ' ').trim();
}

function takeInitrd(line: string, stack: Open[], variables: ReadonlyMap<string, string>): void {
  current(stack)?.initrds.push(
    ...line
      .split(/\s+/)
      .slice(1)
      .map((path) => expand(path, variables)),
  );
}

const unquote = (text: string): string => text.trim().replace(/^(['"])(.*)\1$/, '$2');

const expand = (text: string, variables: ReadonlyMap<string, string>): string =>
  text.replace(/\$\{?(\w+)\}?/g, (_all, name: string) => variables.get(name) ?? '');

/** The entry of that number or title; undefined when there is none. */
export function chooseEntry({ entries, chosen }: GrubConfig, wanted = chosen): GrubEntry | undefined {
  return entries.find(
    ({ number, title, id }) => number === wanted || title === wanted || (id !== '' && id === wanted),
  );
}
