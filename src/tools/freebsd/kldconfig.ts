/** kldconfig(8): the module search path. */
import { Errno, errorText } from '../../systems/freebsd/errno.ts';
import { Answer, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';

const USAGE = 'usage:\tkldconfig [-dfimnUv] [-S sysctlname] [path ...]\n\tkldconfig -r\n';

export const kldconfig: Tool = {
  name: 'kldconfig',
  usage: '[-dfimnUv] [-S NAME] [PATH...] | -r',
  summary: 'show or change the module search path',
  run(session, args) {
    const answer = new Answer();
    const { flags, operands, problem } = getopt(args, 'dfimnrS:Uv');
    if (problem !== undefined) {
      answer.code = 1;
      answer.err = `kldconfig: ${problem}\n${USAGE}`;
      return answer.result();
    }
    const { search } = session.booted.linker;
    if (flags.has('r')) {
      answer.out = `${search.path}\n`;
      return answer.result();
    }
    const paths = operands.map((path) => (path.length > 1 ? path.replace(/\/+$/, '') : path));
    const next = newPath(answer, search.folders, paths, flags);
    if (answer.code !== 0) return answer.result();
    const text = next.join(';');
    if (flags.has('v')) answer.out += `${search.path} -> ${text}\n`;
    if (flags.has('n') || text === search.path) return answer.result();
    if (session.who.uid !== 0) {
      answer.code = 1;
      answer.err = `kldconfig: setting module search path: ${errorText(Errno.EPERM)}\n`;
      return answer.result();
    }
    search.path = text;
    return answer.result();
  },
};

function newPath(
  answer: Answer,
  old: readonly string[],
  paths: readonly string[],
  flags: ReadonlySet<string>,
): string[] {
  const merge = flags.has('m') || flags.has('i') || flags.has('d') || flags.has('U') || paths.length === 0;
  let list = merge ? [...old] : [];
  if (flags.has('U')) list = [...new Set(list)];
  for (const path of flags.has('i') ? [...paths].reverse() : paths) {
    const there = list.includes(path);
    if (flags.has('d')) {
      if (!there) complain(answer, flags, `not in module search path: ${path}`);
      list = list.filter((one) => one !== path);
    } else if (there && merge) complain(answer, flags, `already in the module search path: ${path}`);
    else if (flags.has('i')) list.unshift(path);
    else list.push(path);
  }
  return list;
}

function complain(answer: Answer, flags: ReadonlySet<string>, text: string): void {
  if (flags.has('f') || answer.code !== 0) return;
  answer.code = 1;
  answer.err += `kldconfig: ${text}\n`;
}
