/** The few commands for files that kexts are installed, looked at and used with. */
import { readDevice, writeDevice } from '../../systems/macos/devfile.ts';
import { ERRNO, strerror } from '../../systems/macos/errno.ts';
import { type DeviceNode, devices, majorOf, minorOf } from '../../systems/macos/functions/devices.ts';
import { baseName, joinPath, type Owner, ROOT_WHEEL, type TreeNode } from '../../systems/macos/tree.ts';
import {
  type Attributes,
  listFolder,
  mountOf,
  readFile,
  statFile,
  writeMounted,
} from '../../systems/macos/vfs.ts';
import type { ToolResult } from '../system.ts';
import { Answer, type Tool } from './answer.ts';
import { DEVELOPER } from './import.ts';
import type { MacosSession } from './session.ts';

const USERS: ReadonlyMap<string, number> = new Map([
  ['root', 0],
  ['lkm', 501],
]);
const GROUPS: ReadonlyMap<string, number> = new Map([
  ['wheel', 0],
  ['staff', 20],
  ['admin', 80],
]);

const nameIn = (table: ReadonlyMap<string, number>, id: number): string =>
  [...table].find(([, value]) => value === id)?.[0] ?? String(id);

function idIn(table: ReadonlyMap<string, number>, word: string): number | undefined {
  return /^\d+$/.test(word) ? Number(word) : table.get(word);
}

const ownerOf = (session: MacosSession): Owner => (session.uid === 0 ? ROOT_WHEEL : DEVELOPER);

function device(session: MacosSession, word: string): DeviceNode | undefined {
  const path = session.absolute(word);
  return path.startsWith('/dev/')
    ? session.kernel.state(devices).find(path.slice('/dev/'.length))
    : undefined;
}

/** Bytes as text when they are; otherwise each byte as a character. */
function shown(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return [...bytes].map((byte) => String.fromCharCode(byte)).join('');
  }
}

/** The shell's `command > path`. */
export function writeFile(
  session: MacosSession,
  word: string,
  bytes: Uint8Array,
  append: boolean,
): ToolResult {
  const answer = new Answer();
  const node = device(session, word);
  if (node !== undefined) {
    const outcome = session.perform('sh', writeDevice(session.kernel, node, bytes), answer);
    if (outcome !== undefined && outcome.error !== 0) failed(answer, '-sh: echo: write error', outcome.error);
    return answer.result();
  }
  const path = session.absolute(word);
  if (mountOf(session.kernel, path) !== undefined) {
    const error = session.perform('sh', writeMounted(session.kernel, path, bytes, append), answer);
    if (error !== undefined && error !== 0) failed(answer, `-sh: ${word}`, error);
    return answer.result();
  }
  if (path.startsWith('/dev/')) failed(answer, `-sh: ${word}`, ERRNO.ENOENT);
  else if (session.tree.isFolder(path)) failed(answer, `-sh: ${word}`, ERRNO.EISDIR);
  else {
    const before = append ? (session.tree.read(path) ?? new Uint8Array()) : new Uint8Array();
    const whole = new Uint8Array([...before, ...bytes]);
    session.tree.writeFile(path, whole, ownerOf(session));
  }
  return answer.result();
}

function failed(answer: Answer, what: string, errno: number): void {
  answer.complain(`${what}: ${strerror(errno)}`);
  answer.code = 1;
}

const cat: Tool = {
  name: 'cat',
  usage: 'FILE...',
  summary: 'print files and what devices give',
  run: (session, args) => {
    const answer = new Answer();
    for (const word of args) {
      const node = device(session, word);
      if (node !== undefined) {
        const outcome = session.perform('cat', readDevice(session.kernel, node), answer);
        if (outcome === undefined) break;
        answer.out += shown(outcome.bytes);
        if (outcome.error !== 0) failed(answer, `cat: ${word}`, outcome.error);
        continue;
      }
      const mounted = session.absolute(word);
      if (mountOf(session.kernel, mounted) !== undefined) {
        const found = session.perform('cat', readFile(session.kernel, mounted), answer);
        if (found === undefined) break;
        if (typeof found === 'number') failed(answer, `cat: ${word}`, found);
        else answer.out += shown(found);
        continue;
      }
      const path = session.locate(word);
      const bytes = path === undefined ? undefined : session.tree.read(path);
      if (bytes !== undefined) answer.out += shown(bytes);
      else failed(answer, `cat: ${word}`, path === undefined ? ERRNO.ENOENT : ERRNO.EISDIR);
    }
    return answer.result();
  },
};

function modeText(kind: string, mode: number): string {
  const bits = [8, 7, 6, 5, 4, 3, 2, 1, 0].map((bit, i) => ((mode >> bit) & 1 ? 'rwx'[i % 3] : '-'));
  return kind + bits.join('');
}

/** The clock stands still for files: they all carry the date of the machine's first start. */
const DATE = 'Sep  9  2001';

function longLine(
  name: string,
  node: TreeNode,
  links: number,
  size = node.bytes?.length ?? links * 32,
): string {
  const kind = node.kind === 'folder' ? 'd' : node.kind === 'link' ? 'l' : '-';
  const owner = `${nameIn(USERS, node.uid).padEnd(5)} ${nameIn(GROUPS, node.gid).padEnd(6)}`;
  const target = node.kind === 'link' ? ` -> ${node.target}` : '';
  return `${modeText(kind, node.mode)} ${String(links).padStart(3)} ${owner} ${String(size).padStart(8)} ${DATE} ${name}${target}`;
}

function deviceLine(node: DeviceNode): string {
  const owner = `${nameIn(USERS, node.uid).padEnd(5)} ${nameIn(GROUPS, node.gid).padEnd(6)}`;
  const numbers = `${String(majorOf(node.device)).padStart(3)}, ${String(minorOf(node.device)).padStart(3)}`;
  return `${modeText(node.block ? 'b' : 'c', node.mode)}   1 ${owner} ${numbers} ${DATE} ${node.name}`;
}

const ls: Tool = {
  name: 'ls',
  usage: '[-l] [-d] [-R] [PATH]...',
  summary: 'list files and devices',
  run: (session, args) => {
    const letters = args.filter((word) => word.startsWith('-')).join('');
    const words = args.filter((word) => !word.startsWith('-'));
    const answer = new Answer();
    for (const word of words.length === 0 ? ['.'] : words) listOne(session, word, letters, answer);
    return answer.result();
  },
};

/** A line of ls for a file of a mounted file system. */
function mountedLine(name: string, { folder, links, uid, gid, size, mode }: Attributes): string {
  const node: TreeNode = { kind: folder ? 'folder' : 'file', uid, gid, mode, bytes: new Uint8Array(0) };
  return longLine(name, node, links, size);
}

function listMounted(session: MacosSession, word: string, letters: string, answer: Answer): void {
  const { kernel } = session;
  const path = session.absolute(word);
  const long = letters.includes('l') || letters.includes('n');
  const one = session.perform('ls', statFile(kernel, path), answer);
  if (one === undefined) return;
  if (typeof one === 'number') {
    failed(answer, `ls: ${word}`, one);
    return;
  }
  if (!one.folder || letters.includes('d')) {
    answer.print(long ? mountedLine(word, one) : word);
    return;
  }
  const names = session.perform('ls', listFolder(kernel, path), answer);
  if (typeof names === 'number') failed(answer, `ls: ${word}`, names);
  else if (names !== undefined) {
    for (const name of names) {
      const each = long ? session.perform('ls', statFile(kernel, `${path}/${name}`), answer) : undefined;
      answer.print(typeof each === 'object' ? mountedLine(name, each) : name);
    }
  }
}

function listOne(session: MacosSession, word: string, letters: string, answer: Answer): void {
  if (mountOf(session.kernel, session.absolute(word)) !== undefined) {
    listMounted(session, word, letters, answer);
    return;
  }
  const long = letters.includes('l') || letters.includes('n');
  const path = session.locate(word) ?? session.absolute(word);
  const nodes = session.kernel.state(devices).nodes;
  if (path === '/dev' || path.startsWith('/dev/')) {
    const chosen = [...nodes.values()].filter(({ name }) => path === '/dev' || `/dev/${name}` === path);
    if (chosen.length === 0 && path !== '/dev') failed(answer, `ls: ${word}`, ERRNO.ENOENT);
    for (const node of chosen) answer.print(long ? deviceLine(node) : node.name);
    return;
  }
  const node = session.tree.get(path);
  if (node === undefined) {
    failed(answer, `ls: ${word}`, ERRNO.ENOENT);
    return;
  }
  const line = (at: string, name: string): string => {
    const one = session.tree.lookUp(at);
    if (one === undefined || !long) return name;
    return longLine(name, one, one.kind === 'folder' ? session.tree.list(at).length + 2 : 1);
  };
  if (node.kind !== 'folder' || letters.includes('d')) answer.print(line(path, word));
  else if (letters.includes('R'))
    for (const at of session.tree.walk(path))
      answer.print(line(at, at.slice(path.length - baseName(path).length)));
  else for (const name of session.tree.list(path)) answer.print(line(joinPath(path, name), name));
}

const cp: Tool = {
  name: 'cp',
  usage: '-R FROM TO',
  summary: 'copy a file or a bundle; the copy belongs to who makes it',
  run: (session, args) => transfer(session, args, 'cp'),
};

const mv: Tool = {
  name: 'mv',
  usage: 'FROM TO',
  summary: 'move a file or a bundle',
  run: (session, args) => transfer(session, args, 'mv'),
};

function transfer(session: MacosSession, args: readonly string[], name: 'cp' | 'mv'): ToolResult {
  const answer = new Answer();
  const keep = name === 'mv' || args.some((word) => /^-\w*p/.test(word));
  const words = args.filter((word) => !word.startsWith('-'));
  const to = words.pop();
  if (to === undefined || words.length === 0)
    return { code: 64, out: '', err: `usage: ${name} ${name === 'cp' ? '[-R] ' : ''}source target\n` };
  for (const word of words) {
    const from = session.locate(word.replace(/\/$/, ''));
    if (from === undefined) {
      failed(answer, `${name}: ${word}`, ERRNO.ENOENT);
      continue;
    }
    const folder = session.absolute(to);
    if (session.uid !== 0 && /^\/(System|Library)\//.test(folder)) {
      failed(answer, `${name}: ${to}`, ERRNO.EACCES);
      continue;
    }
    const target = session.tree.isFolder(folder) ? joinPath(folder, baseName(from)) : folder;
    session.tree.copy(session.tree, from, target, keep ? undefined : ownerOf(session));
    if (name === 'mv') session.tree.remove(from);
  }
  return answer.result();
}

const rm: Tool = {
  name: 'rm',
  usage: '-R PATH...',
  summary: 'remove files and bundles',
  run: (session, args) => {
    const answer = new Answer();
    for (const word of args.filter((one) => !one.startsWith('-'))) {
      const path = session.absolute(word);
      if (session.tree.lookUp(path) === undefined) failed(answer, `rm: ${word}`, ERRNO.ENOENT);
      else session.tree.remove(path);
    }
    return answer.result();
  },
};

/** chown and chmod walk a tree with -R. */
function change(
  session: MacosSession,
  args: readonly string[],
  name: string,
  apply: (path: string, node: TreeNode) => void,
): ToolResult {
  const answer = new Answer();
  const deep = args.some((word) => /^-R/.test(word));
  const [, ...paths] = args.filter((word) => !/^-R/.test(word));
  for (const word of paths) {
    const path = session.locate(word);
    if (path === undefined) {
      failed(answer, `${name}: ${word}`, ERRNO.ENOENT);
      continue;
    }
    if (session.uid !== 0) {
      failed(answer, `${name}: ${word}`, ERRNO.EPERM);
      continue;
    }
    for (const at of deep ? session.tree.walk(path) : [path]) {
      const node = session.tree.lookUp(at);
      if (node !== undefined) apply(at, node);
    }
  }
  return answer.result();
}

const chown: Tool = {
  name: 'chown',
  usage: '[-R] OWNER[:GROUP] PATH...',
  summary: 'change owner and group',
  run: (session, args) => {
    const [owner = ''] = args.filter((word) => !/^-R/.test(word));
    const [user, group] = owner.split(/[:.]/);
    const uid = user === '' ? undefined : idIn(USERS, user);
    const gid = group === undefined || group === '' ? undefined : idIn(GROUPS, group);
    if (user !== '' && uid === undefined)
      return { code: 1, out: '', err: `chown: ${user}: illegal user name\n` };
    if (group !== undefined && group !== '' && gid === undefined)
      return { code: 1, out: '', err: `chown: ${group}: illegal group name\n` };
    return change(session, args, 'chown', (path) =>
      session.tree.change(path, {
        ...(uid === undefined ? {} : { uid }),
        ...(gid === undefined ? {} : { gid }),
      }),
    );
  },
};

const WHO: Readonly<Record<string, number>> = { u: 0o700, g: 0o070, o: 0o007, a: 0o777 };
const WHAT: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111 };

/** `755`, `go-w`, `u+rwx,o=r` */
export function newMode(text: string, mode: number): number | undefined {
  if (/^[0-7]{1,4}$/.test(text)) return Number.parseInt(text, 8);
  let result = mode;
  for (const clause of text.split(',')) {
    const match = /^([ugoa]*)([-+=])([rwx]*)$/.exec(clause);
    if (match === null) return undefined;
    const who = [...(match[1] === '' ? 'a' : match[1])].reduce((bits, letter) => bits | WHO[letter], 0);
    const what = [...match[3]].reduce((bits, letter) => bits | WHAT[letter], 0) & who;
    if (match[2] === '+') result |= what;
    else if (match[2] === '-') result &= ~what;
    else result = (result & ~who) | what;
  }
  return result;
}

const chmod: Tool = {
  name: 'chmod',
  usage: '[-R] MODE PATH...',
  summary: 'change permissions',
  run: (session, args) => {
    const [mode = ''] = args.filter((word) => !/^-R/.test(word));
    if (newMode(mode, 0) === undefined)
      return { code: 1, out: '', err: `chmod: Invalid file mode: ${mode}\n` };
    return change(session, args, 'chmod', (path, node) =>
      session.tree.change(path, { mode: newMode(mode, node.mode) }),
    );
  },
};

export const FILE_TOOLS: readonly Tool[] = [cat, chmod, chown, cp, ls, mv, rm];
