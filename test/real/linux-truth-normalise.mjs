// What differs between two runs of the same steps, even on the same kernel, is replaced by a word in angle brackets:
// addresses, process numbers, register contents. Used on what a real kernel said and on what the sandbox says, so that
// the two can be compared as text.

const REGISTERS = /^(?:R[A-Z0-9]{2}|FS|CS|CR2|DR\d|EFLAGS|RSP|ORIG_RAX): ?/;

/** The words of the C library for error numbers, as tools print them after a colon. */
const ERRORS = new Map(
  Object.entries({
    'Operation not permitted': 1,
    'No such file or directory': 2,
    'Unknown symbol in module': 2,
    'No such process': 3,
    'Interrupted system call': 4,
    'Input/output error': 5,
    'No such device or address': 6,
    'Argument list too long': 7,
    'Exec format error': 8,
    'Invalid module format': 8,
    'Bad file descriptor': 9,
    'Resource temporarily unavailable': 11,
    'Cannot allocate memory': 12,
    'Permission denied': 13,
    'Bad address': 14,
    'Device or resource busy': 16,
    'File exists': 17,
    'No such device': 19,
    'Not a directory': 20,
    'Is a directory': 21,
    'Invalid argument': 22,
    'Invalid parameters': 22,
    'Inappropriate ioctl for device': 25,
    'File too large': 27,
    'No space left on device': 28,
    'Illegal seek': 29,
    'Read-only file system': 30,
    'Numerical argument out of domain': 33,
    'Numerical result out of range': 34,
    'File name too long': 36,
    'Function not implemented': 38,
    'Directory not empty': 39,
    'Level 2 halted': 51,
    'No data available': 61,
    'Bad message': 74,
    'Operation not supported': 95,
    'Key was rejected by service': 129,
  }),
);

/** The error number that a tool's message ends in, or undefined. `rmmod` says "in use" in its own words. */
export function errnoOf(output) {
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  const words = last.slice(last.lastIndexOf(': ') + 2);
  const unknown = /^Unknown (?:symbol in module, or unknown parameter|error (\d+))/.exec(words);
  if (unknown?.[1]) return Number(unknown[1]);
  return ERRORS.get(words) ?? ERRORS.get(words.replace(/\W+$/, ''));
}

function isKernelAddress(hex) {
  return /^ffff[89a-f]/.test(hex);
}

function addresses(text) {
  return text
    .replace(/\b(?:0x)?([0-9a-f]{16})\b/g, (all, hex) => {
      if (isKernelAddress(hex)) return '<address>';
      return /^0000(?:5[56]|7[ef])/.test(hex) ? '<user address>' : all;
    })
    .replace(/\b0x(ffff[89a-f][0-9a-f]{11}|[57][0-9a-f]{11})\b/g, '<address>');
}

function registers(text) {
  if (!REGISTERS.test(text)) return text;
  if (text.startsWith('CS:')) return text.replace(/CR0: [0-9a-f]+/, 'CR0: <value>');
  if (text.startsWith('CR2:')) return text.replace(/CR([34]): [0-9a-f]+/g, 'CR$1: <value>');
  return text.replace(
    /\b(R[A-Z0-9]{2}|DR\d|EFLAGS|FS|GS|knlGS|ORIG_RAX): *[0-9a-f]+(\([0-9a-f]+\))?/g,
    '$1: <value>',
  );
}

/** One line of the kernel's log or of a tool's output. */
export function normalise(line) {
  let text = line.replace(/\s+$/, '');
  if (/^RIP: |^RSP: [0-9a-f]+:[0-9a-f]{16} EFLAGS/.test(text)) {
    return addresses(text)
      .replace(/(RSP: [0-9a-f]+):\S+( \S+>)?/, '$1:<value>')
      .replace(/(EFLAGS|ORIG_RAX): [0-9a-f]+/g, '$1: <value>');
  }
  text = registers(text);
  return addresses(text)
    .replace(/\b(PID|pid): \d+/g, '$1: <pid>')
    .replace(/\[([a-z_]+):\d+\]/g, '[$1:<pid>]')
    .replace(/\bCPU: \d+ /, 'CPU: <n> ')
    .replace(/CPU#\d+ stuck for \d+s/, 'CPU#<n> stuck for <n>s')
    .replace(/^(note: [^[]+)\[\d+\]/, '$1[<pid>]')
    .replace(/(scheduling while atomic: [^/]+)\/\d+\//, '$1/<pid>/')
    .replace(/^(Hardware name:) .*/, '$1 <machine>')
    .replace(/^(Code:) .*/, '$1 <bytes>')
    .replace(/^PGD .*/, (line) => line.replace(/ [1-9a-f][0-9a-f]*\b/g, ' <value>'))
    .replace(/(?<!address: |CR2: )\b0{8}(?!0000)[0-9a-f]{8}\b/g, '<hashed>')
    .replace(/\bUID: (\d+)/, 'UID: $1');
}
