/** cat, ls and ioctl: what a person uses a module's devices with. */
import { hexOf } from '../../bytes/hex.ts';
import type { Steps } from '../../kernel/steps.ts';
import { closeDevice, ioctlDevice, openDevice } from '../../systems/freebsd/device-calls.ts';
import { Errno, errorText } from '../../systems/freebsd/errno.ts';
import type { FreeBsd } from '../../systems/freebsd/freebsd.ts';
import type { Device } from '../../systems/freebsd/functions/devices.ts';
import type { Credential } from '../../systems/freebsd/syscalls.ts';
import { listFolder, mountOf } from '../../systems/freebsd/vfs.ts';
import { Answer, fail, type Tool } from './answer.ts';

const cat: Tool = {
  name: 'cat',
  usage: 'FILE...',
  summary: 'show files and what devices give',
  run(session, args) {
    const answer = new Answer();
    for (const path of args) {
      const result = session.call('cat', session.files.readAll(path, session.who));
      if (result.outcome === 'done') answer.out += new TextDecoder('latin1').decode(result.value);
      else fail(answer, result, `cat: ${path}`);
    }
    return answer.result();
  },
};

const ls: Tool = {
  name: 'ls',
  usage: '[-l] [PATH]',
  summary: 'list a folder; /dev has the devices',
  run(session, args) {
    const answer = new Answer();
    const long = args[0] === '-l';
    const [path = '/dev'] = args.filter((word) => word !== '-l');
    if (mountOf(session.kernel, path) !== undefined) {
      const listed = session.call('ls', listFolder(session.kernel, path));
      if (listed.outcome === 'done') answer.out = listed.value.map((name) => `${name}\n`).join('');
      else fail(answer, listed, `ls: ${path}`);
      return answer.result();
    }
    const device = session.files.device(path);
    const names = device === undefined ? session.files.list(path) : [path];
    if (names === undefined) {
      answer.code = 1;
      answer.err = `ls: ${path}: ${errorText(Errno.ENOENT)}\n`;
      return answer.result();
    }
    for (const name of names) {
      const one = device ?? session.files.device(`${path.replace(/\/$/, '')}/${name}`);
      answer.out += long && one !== undefined ? `${listing(one)} ${name}\n` : `${name}\n`;
    }
    return answer.result();
  },
};

function listing({ mode, uid, gid }: Device): string {
  const bits = 'rwxrwxrwx';
  const text = [...bits].map((letter, i) => ((mode >> (8 - i)) & 1 ? letter : '-')).join('');
  const user = uid === 0 ? 'root' : `${uid}`;
  const group = gid === 0 ? 'wheel' : `${gid}`;
  return `c${text}  1 ${user}  ${group}`;
}

const ioctl: Tool = {
  name: 'ioctl',
  usage: 'DEVICE COMMAND [HEX]',
  summary: 'make an ioctl(2) on a device; shows what comes back in hexadecimal',
  run(session, args) {
    const answer = new Answer();
    const [path = '', command = '', hex = ''] = args;
    const device = session.files.device(path);
    const number = Number(command);
    if (device === undefined || !Number.isInteger(number) || !/^([0-9a-f]{2})*$/i.test(hex)) {
      answer.code = 1;
      answer.err =
        device === undefined
          ? `ioctl: ${path}: ${errorText(Errno.ENOENT)}\n`
          : 'usage: ioctl DEVICE COMMAND [HEX]\n';
      return answer.result();
    }
    const parameter = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    const { k } = session.booted;
    const result = session.call('ioctl', ioctlOnce(k, device, number, parameter, session.who));
    if (result.outcome !== 'done') fail(answer, result, `ioctl: ${path}`);
    else if (result.value.length > 0) answer.out = `${hexOf(result.value, ' ')}\n`;
    return answer.result();
  },
};

function* ioctlOnce(
  k: FreeBsd,
  device: Device,
  command: number,
  parameter: Uint8Array,
  who: Credential,
): Steps<Uint8Array> {
  const open = yield* openDevice(k, device, 'both', who);
  try {
    return yield* ioctlDevice(k, open, command, parameter);
  } finally {
    yield* closeDevice(k, open);
  }
}

export const fileTools: readonly Tool[] = [cat, ls, ioctl];
