/** dmesg, uname, kenv, syscall. */

import type { Steps } from '../../kernel/steps.ts';
import { kldsym, type SymbolStat } from '../../systems/freebsd/syscalls.ts';
import { callSystem } from '../../systems/freebsd/system-call.ts';
import { releaseOf } from '../../systems/freebsd/version.ts';
import { Answer, fail, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';

const dmesg: Tool = {
  name: 'dmesg',
  usage: '',
  summary: 'show the kernel message buffer',
  run(session) {
    const answer = new Answer();
    answer.out = session.kernel.log.records.map(({ text }) => `${text}\n`).join('');
    return answer.result();
  },
};

const uname: Tool = {
  name: 'uname',
  usage: '[-amrsKU]',
  summary: 'show which kernel this is; -K shows __FreeBSD_version',
  run(session, args) {
    const answer = new Answer();
    const { version } = session.choices;
    const release = `${releaseOf(version)}-RELEASE`;
    const letters = args.join('').replaceAll('-', '') || 's';
    const words: Record<string, string> = {
      s: 'FreeBSD',
      r: release,
      m: session.machine,
      K: `${version}`,
      U: `${version}`,
    };
    if (letters.includes('a'))
      answer.out = `FreeBSD freebsd ${release} FreeBSD ${release} GENERIC ${session.machine}\n`;
    else answer.out = `${[...letters].map((letter) => words[letter] ?? '').join(' ')}\n`;
    return answer.result();
  },
};

const kenv: Tool = {
  name: 'kenv',
  usage: '[-u] [NAME[=VALUE]]',
  summary: 'list or change the kernel environment',
  run(session, args) {
    const answer = new Answer();
    const { environment } = session.booted.k;
    const remove = args[0] === '-u';
    const [word] = args.filter((one) => one !== '-u');
    if (word === undefined) {
      answer.out = [...environment]
        .sort()
        .map(([name, value]) => `${name}="${value}"\n`)
        .join('');
      return answer.result();
    }
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    if (equals >= 0) {
      environment.set(name, word.slice(equals + 1));
      answer.out = `${name}="${word.slice(equals + 1)}"\n`;
    } else if (!environment.has(name)) {
      answer.code = 1;
      answer.err = `kenv: unable to get ${name}\n`;
    } else if (remove) environment.delete(name);
    else answer.out = `${environment.get(name)}\n`;
    return answer.result();
  },
};

const syscall: Tool = {
  name: 'syscall',
  usage: 'NUMBER [ARGUMENT...]',
  summary: 'make a system call that a module added, with numbers as its arguments',
  run(session, args) {
    const answer = new Answer();
    const [number, ...rest] = args.map(Number);
    if (args.length === 0 || [number, ...rest].some((value) => !Number.isSafeInteger(value))) {
      answer.code = 1;
      answer.err = 'usage: syscall NUMBER [ARGUMENT...]\n';
      return answer.result();
    }
    const result = session.call('syscall', callSystem(session.booted.k, number, rest));
    if (result.outcome === 'done') answer.out = `${result.value}\n`;
    else fail(answer, result, `syscall ${number}`);
    return answer.result();
  },
};

const id: Tool = {
  name: 'id',
  usage: '',
  summary: 'show who gives the commands',
  run(session) {
    const answer = new Answer();
    answer.out =
      session.who.uid === 0 ? 'uid=0(root) gid=0(wheel)\n' : `uid=${session.who.uid}(user) gid=1001(user)\n`;
    return answer.result();
  },
};

/** No command of the system's own: what a program sees that calls kldsym(2). */
const symbol: Tool = {
  name: 'kldsym',
  usage: '[-i ID] NAME',
  summary: 'show where a symbol is, as kldsym(2) tells it',
  run(session, args) {
    const answer = new Answer();
    const { values, operands, problem } = getopt(args, 'i:');
    const [name] = operands;
    if (problem !== undefined || operands.length !== 1) {
      answer.code = 1;
      answer.err = 'usage: kldsym [-i id] name\n';
      return answer.result();
    }
    const { booted } = session;
    const steps = function* (): Steps<SymbolStat> {
      return kldsym(booted, Number(values.get('i') ?? 0), name);
    };
    const result = session.call('kldsym', steps());
    if (result.outcome === 'done') {
      const { value, size, file } = result.value;
      const at = BigInt.asUintN(session.choices.bits, BigInt(value)).toString(16);
      answer.out = `0x${at} ${size.toString(16)} ${name} ${booted.linker.fileName(file)}\n`;
    } else fail(answer, result, `kldsym: ${name}`);
    return answer.result();
  },
};

export const systemTools: readonly Tool[] = [dmesg, uname, kenv, syscall, symbol, id];
