/** kldunload(8) */

import type { Steps } from '../../kernel/steps.ts';
import { UNLOAD } from '../../systems/freebsd/linker.ts';
import { kldfind, kldstat, kldunload as unload } from '../../systems/freebsd/syscalls.ts';
import { Answer, fail, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';
import type { FreeBsdSession } from './session.ts';

const USAGE = 'usage: kldunload [-fv] -i id ...\n       kldunload [-fv] [-n] name ...\n';
/** EX_USAGE of sysexits(3). */
const EX_USAGE = 64;

export const kldunload: Tool = {
  name: 'kldunload',
  usage: '[-fv] {-i ID | [-n] NAME}...',
  summary: 'unload a file from the kernel',
  run(session, args) {
    const answer = new Answer();
    const { flags, operands, problem } = getopt(args, 'finv');
    if (problem !== undefined || operands.length === 0) {
      answer.code = EX_USAGE;
      answer.err = (problem === undefined ? '' : `kldunload: ${problem}\n`) + USAGE;
      return answer.result();
    }
    for (const operand of operands) {
      if (!one(session, answer, operand, flags)) break;
    }
    return answer.result();
  },
};

function one(session: FreeBsdSession, answer: Answer, operand: string, flags: ReadonlySet<string>): boolean {
  const { booted, who } = session;
  const id = flags.has('i') ? parseId(answer, operand) : findId(session, answer, operand);
  if (id === undefined) return false;
  const stat = kldstat(booted).find((file) => file.id === id);
  if (flags.has('v') && stat === undefined) {
    answer.code = 1;
    answer.err += `kldunload: can't stat file: No such file or directory\n`;
    return false;
  }
  if (flags.has('v') && stat !== undefined) answer.out += `Unloading ${stat.name}, id=${id}\n`;
  const how = flags.has('f') ? UNLOAD.FORCE : UNLOAD.NORMAL;
  const result = session.call('kldunload', unload(booted, id, how, who));
  if (result.outcome === 'done') return true;
  fail(answer, result, `kldunload: can't unload file`);
  return false;
}

/** atoi(3): what is no number is 0, which no file has. A negative one is refused, with a word that the tool has lost. */
function parseId(answer: Answer, operand: string): number | undefined {
  const id = Number(/^\s*[-+]?\d+/.exec(operand)?.[0] ?? 0) | 0;
  if (id >= 0) return id;
  answer.code = 1;
  answer.err += 'kldunload: Invalid ID (null)\n';
  return undefined;
}

function findId(session: FreeBsdSession, answer: Answer, name: string): number | undefined {
  const steps = function* (): Steps<number> {
    return kldfind(session.booted, name);
  };
  const result = session.call('kldunload', steps());
  if (result.outcome === 'done') return result.value;
  answer.code = 1;
  answer.blame(result);
  answer.err += `kldunload: can't find file ${name}\n`;
  if (result.outcome === 'failed') answer.explain(result.error.why, result.error.hint);
  return undefined;
}
