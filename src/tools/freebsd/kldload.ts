/** kldload(8) */
import { Errno, errorText } from '../../systems/freebsd/errno.ts';
import { kldload as load } from '../../systems/freebsd/syscalls.ts';
import { majorOf } from '../../systems/freebsd/version.ts';
import { Answer, fail, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';

/** -n, and words of its own for two of the errors, are in 9.3, 10.4 and all later ones (sbin/kldload); 10.1 is assumed. */
const isOld = (version: number): boolean => version < 903000 || (version >= 1000000 && version < 1001000);

export const kldload: Tool = {
  name: 'kldload',
  usage: '[-nqv] FILE...',
  summary: 'load a file into the kernel',
  run(session, args) {
    const answer = new Answer();
    const { version } = session.choices;
    const letters = isOld(version) ? 'qv' : 'nqv';
    const { flags, order, operands, problem } = getopt(args, letters);
    if (problem !== undefined || operands.length === 0) {
      answer.code = 1;
      answer.err =
        (problem === undefined ? '' : `kldload: ${problem}\n`) + `usage: kldload [-${letters}] file ...\n`;
      return answer.result();
    }
    // The last of -q and -v counts; what a load failed of is said by -q as well, up to 12 at least.
    const last = order.filter((letter) => letter !== 'n').at(-1);
    const [quiet, verbose] = [last === 'q', last === 'v'];
    const { standIns } = session.booted.linker;
    const before = standIns.length;
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
      answer.blame(result);
      answer.explain(result.error.why, result.error.hint);
      if (!quiet || majorOf(version) < 13) answer.err += `kldload: ${failure(name, errno, version)}\n`;
    }
    for (const name of standIns.slice(before))
      answer.explain(`No file brings the interface ${name}: a stand-in takes its place.`);
    return answer.result();
  },
};

function failure(name: string, errno: number, version: number): string {
  if (isOld(version)) return `can't load ${name}: ${errorText(errno)}`;
  if (errno === Errno.EEXIST) return `can't load ${name}: module already loaded or in kernel`;
  if (errno === Errno.ENOEXEC)
    return `an error occurred while loading ${majorOf(version) < 12 ? 'the module' : `module ${name}`}. Please check dmesg(8) for more details.`;
  return `can't load ${name}: ${errorText(errno)}`;
}
