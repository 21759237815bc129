/** mount and umount. */
import { mountFilesystem, mounts, unmountFilesystem } from '../../systems/freebsd/vfs.ts';
import { Answer, fail, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';

const mount: Tool = {
  name: 'mount',
  usage: '[-t TYPE SPECIAL NODE]',
  summary: 'mount a filesystem, or list what is mounted',
  run(session, args) {
    const answer = new Answer();
    const { values, operands, problem } = getopt(args, 't:');
    const [from, path] = operands;
    if (args.length === 0) {
      for (const one of session.kernel.state(mounts).values())
        answer.out += `${one.from} on ${one.path} (${one.type})\n`;
    } else if (problem !== undefined || path === undefined) {
      answer.code = 1;
      answer.err = 'usage: mount [-t fstype] special node\n';
    } else {
      const result = session.call(
        'mount',
        mountFilesystem(session.kernel, values.get('t') ?? 'ufs', from, path),
      );
      if (result.outcome !== 'done') fail(answer, result, `mount: ${from}`);
    }
    return answer.result();
  },
};

const umount: Tool = {
  name: 'umount',
  usage: 'NODE',
  summary: 'unmount a filesystem',
  run(session, args) {
    const answer = new Answer();
    const [path = ''] = args;
    const result = session.call('umount', unmountFilesystem(session.kernel, path));
    if (result.outcome !== 'done') fail(answer, result, `umount: unmount of ${path} failed`);
    return answer.result();
  },
};

export const mountTools: readonly Tool[] = [mount, umount];
