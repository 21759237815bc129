/** kldload(8) */
import { Errno, errorText } from '../../systems/freebsd/errno.ts';
import { kldload as load } from '../../systems/freebsd/syscalls.ts';
import { Answer, fail, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';

const USAGE = 'usage: kldload [-nqv] file ...\n';

export const kldload: Tool = {
  name: 'kldload',
  usage: '[-nqv] FILE...',
  summary: 'load a file into the kernel',
  run(session, args) {
    const answer = new Answer();
    const { flags, operands, problem } = getopt(args, 'nqv');
    if (problem !== undefined || operands.length === 0) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `kldload: ${problem}\n`) + USAGE;
      return answer.result();
    }
    const [quiet, verbose] = [flags.has('q'), flags.has('v')];
    for (const name of operands) {
      const result = session.call('kldload', load(session.booted, name, session.who));
      if (result.outcome === 'done') {
        if (verbose) answer.out += `Loaded ${name}, id=${result.value}\n`;
        continue;
      }
      const errno = result.outcome === 'failed' ? result.error.errno : 0;
      if (errno === Errno.EEXIST && flags.has('n')) {
        if (verbose) answer.out += `${name} is already loaded\n`;
        continue;
      }
      if (result.outcome !== 'failed') {
        fail(answer, result, 'kldload');
        break;
      }
      answer.code = 1;
      answer.explain(result.error.why, result.error.hint);
      if (!quiet) answer.err += `kldload: ${failure(name, errno)}\n`;
    }
    return answer.result();
  },
};

function failure(name: string, errno: number): string {
  if (errno === Errno.EEXIST) return `can't load ${name}: module already loaded or in kernel`;
  if (errno === Errno.ENOEXEC)
    return `an error occurred while loading module ${name}. Please check dmesg(8) for more details.`;
  return `can't load ${name}: ${errorText(errno)}`;
}
