/** mount(8) and umount(8), as far as file systems of kexts go: mount(2) is called without a helper of the file system's own. */
import { ERRNO, strerror } from '../../systems/macos/errno.ts';
import {
  MNT,
  type MountFacts,
  mountFacts,
  mountFileSystem,
  mounts,
  unmountFileSystem,
} from '../../systems/macos/vfs.ts';
import type { ToolResult } from '../system.ts';
import { Answer, type Tool } from './answer.ts';
import type { MacosSession } from './session.ts';
import { EX_USAGE } from './sysexits.ts';

const USAGE = 'usage: mount [-r] [-t type] [-o options] special node\n';

const line = ({ from, on, type, readOnly }: MountFacts): string =>
  `${from} on ${on} (${[type, ...(readOnly ? ['read-only'] : [])].join(', ')})`;

const mount: Tool = {
  name: 'mount',
  usage: '[-r] [-t TYPE] [-o OPTIONS] FROM FOLDER',
  summary: 'mount a file system that a kext has brought, or list those that are mounted',
  run: (session, args): ToolResult => {
    const answer = new Answer();
    const { kernel } = session;
    const words: string[] = [];
    let type: string | undefined;
    let readOnly = false;
    for (let i = 0; i < args.length; i++) {
      if (args[i] === '-t') type = args[++i];
      else if (args[i] === '-r') readOnly = true;
      else if (args[i] === '-o') {
        const options = (args[++i] ?? '').split(',');
        readOnly ||= options.includes('ro') || options.includes('rdonly');
      } else words.push(args[i]);
    }
    if (words.length === 0 && type === undefined) {
      for (const one of kernel.state(mounts).all.values()) answer.print(line(mountFacts(kernel, one)));
      return answer.result();
    }
    const [from, node] = words;
    if (words.length !== 2 || type === undefined) return { code: EX_USAGE, out: '', err: USAGE };
    const on = session.absolute(node);
    const error = session.tree.isFolder(on)
      ? session.perform(
          'mount',
          mountFileSystem(kernel, { type, from, on, flags: readOnly ? MNT.RDONLY : 0 }),
          answer,
        )
      : ERRNO.ENOENT;
    if (error !== undefined && error !== 0) failed(answer, `mount: ${node}: ${strerror(error)}`);
    if (error === ERRNO.ENODEV) answer.explain(`no kext that is loaded has registered a file system ${type}`);
    return answer.result();
  },
};

const umount: Tool = {
  name: 'umount',
  usage: '[-f] FOLDER...',
  summary: 'unmount a file system',
  run: (session, args): ToolResult => {
    const answer = new Answer();
    const words = args.filter((word) => word !== '-f');
    if (words.length === 0) return { code: EX_USAGE, out: '', err: 'usage: umount [-f] special | node\n' };
    for (const word of words) unmount(session, word, args.includes('-f') ? MNT.FORCE : 0, answer);
    return answer.result();
  },
};

function unmount(session: MacosSession, word: string, flags: number, answer: Answer): void {
  const on = session.absolute(word);
  if (!session.kernel.state(mounts).all.has(on)) {
    failed(answer, `umount: ${word}: not currently mounted`);
    return;
  }
  const error = session.perform('umount', unmountFileSystem(session.kernel, on, flags), answer);
  if (error === ERRNO.EBUSY) failed(answer, `umount(${on}): Resource busy -- try 'diskutil unmount'`);
  else if (error !== undefined && error !== 0) failed(answer, `umount(${on}): ${strerror(error)}`);
}

function failed(answer: Answer, text: string): void {
  answer.complain(text);
  answer.code = 1;
}

export const MOUNT_TOOLS: readonly Tool[] = [mount, umount];
