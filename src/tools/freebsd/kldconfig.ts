/** kldconfig(8): the module search path. */
import { Errno, errorText } from '../../systems/freebsd/errno.ts';
import { Answer, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';
import type { FreeBsdSession } from './session.ts';

const USAGE = 'usage:\tkldconfig [-dfimnUv] [-S sysctlname] [path ...]\n\tkldconfig -r\n';
const PATH_NAME = 'kern.module_path';

export const kldconfig: Tool = {
  name: 'kldconfig',
  usage: '[-dfimnUv] [-S NAME] [PATH...] | -r',
  summary: 'show or change the module search path',
  run(session, args) {
    const answer = new Answer();
    const options = getopt(args, 'dfimnrS:Uv');
    const { order, values, operands, problem } = options;
    const misused = contradicts(order) || (order.includes('r') && operands.length > 0);
    if (problem !== undefined || misused) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `kldconfig: ${problem}\n`) + USAGE;
      return answer.result();
    }
    const name = values.get('S') ?? PATH_NAME;
    if (name !== PATH_NAME) {
      answer.code = 1;
      answer.err = `kldconfig: sysctlnametomib(${name}): ${errorText(Errno.ENOENT)}\n`;
      return answer.result();
    }
    change(session, answer, args.length === 0 ? ['m'] : order, operands);
    return answer.result();
  },
};

/** Removing does not go with inserting and merging, whichever comes first. */
function contradicts(order: readonly string[]): boolean {
  return order.includes('d') && (order.includes('i') || order.includes('m'));
}

function change(
  session: FreeBsdSession,
  answer: Answer,
  order: readonly string[],
  operands: readonly string[],
): void {
  const { search } = session.booted.linker;
  const flags = new Set(order);
  const paths = operands.map((path) => (path.length > 1 ? path.replace(/\/+$/, '') : path));
  const next = newPath(answer, search.path.split(';'), paths, flags);
  if (next === undefined) return;
  const { list, changed } = next;
  const text = list.join(';');
  const old = search.path;
  if (changed && !flags.has('n')) {
    if (session.who.uid !== 0) {
      answer.code = 1;
      answer.err += `kldconfig: setting path: sysctl(${PATH_NAME}): ${errorText(Errno.EPERM)}\n`;
      return;
    }
    search.path = text;
  }
  const verbose = order.filter((letter) => letter === 'v').length;
  if (!flags.has('r') && !(changed && verbose > 0)) return;
  answer.out += `${changed && verbose > 1 ? `${old} -> ` : ''}${text}\n`;
}

/**
 * The list after all operands, and whether it counts as changed. Without one of -d, -m, -r and -U the old path is dropped,
 * which is a change even when no path is given.
 */
function newPath(
  answer: Answer,
  old: readonly string[],
  paths: readonly string[],
  flags: ReadonlySet<string>,
): { list: string[]; changed: boolean } | undefined {
  const kept = ['d', 'm', 'r', 'U'].some((letter) => flags.has(letter));
  const unique = flags.has('U');
  const list = !kept ? [] : unique ? [...new Set(old)] : [...old];
  let changed = unique || (!kept && old.join('') !== '');
  let inserted = 0;
  for (const path of paths) {
    const there = list.includes(path);
    if (flags.has('d') ? !there : there) {
      if (flags.has('f')) continue;
      answer.code = 1;
      const what = flags.has('d') ? 'not in module search path' : 'already in the module search path';
      answer.err += `kldconfig: ${what}: ${path}\n`;
      return undefined;
    }
    if (flags.has('d')) list.splice(list.indexOf(path), 1);
    else if (flags.has('i')) list.splice(inserted++, 0, path);
    else list.push(path);
    changed = true;
  }
  return { list, changed };
}
