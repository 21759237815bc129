/** grub.cfg as far as it says what Linux is started with (GRUB manual, "Writing your own configuration file"). */

export interface GrubEntry {
  /** As --entry takes it: `0`, `1>2`. */
  readonly number: string;
  readonly title: string;
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
  kernel: string;
  commandLine: string;
  initrds: string[];
}

const QUOTED = /'([^']*)'|"((?:[^"\\]|\\.)*)"|(\S+)/;
/** More nesting than any menu has. */
const MAX_DEPTH = 32;

/** Conditions are not decided: the last `set` of a variable counts, and entries in either branch are there. */
export function readGrub(text: string): GrubConfig {
  const variables = new Map<string, string>();
  const entries: GrubEntry[] = [];
  const stack: Open[] = [];
  const menus: Menu[] = [{ prefix: '', count: 0 }];
  for (const raw of text.replace(/\\\n/g, ' ').split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
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

const frame = (kind: Open['kind'], number: string, title: string): Open => ({
  kind,
  number,
  title,
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
  stack.push(frame(word === 'submenu' ? 'menu' : 'entry', number, title));
  if (word === 'submenu') menus.push({ prefix: `${number}>`, count: 0 });
}

function close(stack: Open[], menus: Menu[], entries: GrubEntry[]): void {
  const done = stack.pop();
  if (done?.kind === 'menu') menus.pop();
  if (done?.kind !== 'entry' || done.kernel === '') return;
  const { number, title, kernel, commandLine, initrds } = done;
  entries.push({ number, title, kernel, commandLine, initrds });
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
  return entries.find(({ number, title }) => number === wanted || title === wanted);
}
