/** The words of the console's commands: for `help`, for completion, and for those who leave some out. */

/** Usage and summary of each. */
export const CONSOLE_WORDS: Readonly<Record<string, readonly [usage: string, summary: string]>> = {
  insmod: ['[-f] FILE [PARAMETER=VALUE]...', 'load a module file'],
  rmmod: ['[-f] NAME', 'unload a module'],
  modprobe: ['[-arDRnqv] NAME [PARAMETER=VALUE]...', 'load a module with what it depends on, or remove it'],
  lsmod: ['', 'list the loaded modules'],
  modinfo: ['FILE...', 'show what a module says about itself'],
  finit_module: ['FILE FLAGS [PARAMETERS]', 'the bare system call'],
  delete_module: ['NAME [FLAGS]', 'the bare system call'],
  dmesg: ['', 'show the kernel log'],
  cat: ['FILE...', 'show files'],
  ls: ['[-l] [PATH]...', 'list a directory'],
  grep: ['[-A N] TEXT FILE', 'show the lines that hold a text'],
  head: ['-c BYTES FILE', 'show the beginning of a file'],
  mount: ['-t TYPE [-o OPTIONS] SOURCE DIRECTORY', 'mount a filesystem'],
  umount: ['DIRECTORY', 'unmount it'],
  mkdir: ['DIRECTORY', 'make a directory'],
  rmdir: ['DIRECTORY', 'remove an empty directory'],
  rm: ['FILE', 'remove a file'],
  mv: ['FROM TO', 'rename a file or directory'],
  ln: ['[-s] TARGET LINK', 'make a link, with -s a symbolic one'],
  readlink: ['LINK', 'show where a symbolic link leads'],
  touch: ['FILE', 'make an empty file'],
  mknod: ['FILE c|b MAJOR MINOR', 'make a device file'],
  open: ['FILE [r|w|rw][n]', 'open a file and keep it open; prints its number'],
  read: ['N [BYTES]', 'read from an open file'],
  write: ['N TEXT [BYTES]', 'write to an open file: a text, or (TEXT being hex) bytes in hexadecimal'],
  seek: ['N OFFSET [WHENCE]', 'move in an open file'],
  poll: ['N', 'ask what an open file is ready for'],
  ioctl: ['N COMMAND [NUMBER|fd:N|u32:N|buf:BYTES@OFFSET=KIND:VALUE]', 'control an open device'],
  close: ['N', 'close an open file'],
  syscall: ['NUMBER [ARGUMENT]...', 'make a system call'],
  sysctl: ['[-w] NAME[=VALUE]', 'show or set a kernel setting'],
  ip: ['link [show|set|add|del] [NAME] [OPTION]...', 'show, switch on, make or delete network devices'],
  frame: ['NAME [BYTES]', 'send a frame in hexadecimal, or show those that came (ours)'],
  interrupt: ['LINE', 'let an interrupt happen (ours: there is no hardware)'],
  sleep: ['SECONDS', 'let virtual time pass'],
  uname: ['', 'show the release'],
};

/** Those that say in their own words what is missing. */
const SAY_THEMSELVES = ['insmod', 'rmmod', 'modprobe', 'modinfo'];

/** The usage of a command that was given fewer words than it needs; undefined when there are enough. */
export function tooFewWords(name: string, args: readonly string[]): string | undefined {
  const usage = Object.hasOwn(CONSOLE_WORDS, name) ? CONSOLE_WORDS[name][0] : '';
  if (SAY_THEMSELVES.includes(name)) return undefined;
  // Options may be left out, and do not count as what may not.
  const needed = usage
    .replace(/\[[^\]]*\](\.\.\.)?/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '');
  const options = needed.some((word) => word.startsWith('-'))
    ? []
    : args.filter((word) => /^-[a-zA-Z]/.test(word));
  return args.length - options.length < needed.length ? `usage: ${name} ${usage}` : undefined;
}
