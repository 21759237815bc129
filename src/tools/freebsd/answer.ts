/** What a tool says and how it ends. */
import { errorText } from '../../systems/freebsd/errno.ts';
import type { CallResult } from '../../systems/freebsd/syscalls.ts';
import type { Ending, ToolCommand } from '../system.ts';
import type { FreeBsdSession } from './session.ts';

/** A command of the session: what it is called, and what it does. */
export interface Tool extends ToolCommand {
  run(session: FreeBsdSession, args: readonly string[]): Ending;
}

/** Collects what a tool says. */
export class Answer {
  code = 0;
  out = '';
  err = '';
  note: string | undefined;
  /** Of the last system call that was not done. */
  private cause: Pick<Ending, 'ended' | 'errno'> = {};

  result(): Ending {
    const { code, out, err, note, cause } = this;
    return note === undefined || note === ''
      ? { code, out, err, ...cause }
      : { code, out, err, note, ...cause };
  }

  /** Notes how a system call ended that was not done. */
  blame<T>(result: CallResult<T>): void {
    if (result.outcome === 'failed') this.cause = { errno: result.error.errno };
    else if (result.outcome !== 'done') this.cause = { ended: result.outcome };
  }

  /** Notes what a failed call means, for a person. */
  explain(...texts: string[]): void {
    const text = texts.filter((one) => one !== '').join(' ');
    if (text !== '') this.note = this.note === undefined ? text : `${this.note}\n  ${text}`;
  }
}

/** Puts a call that failed into the words of a tool: `what: strerror`. */
export function fail<T>(answer: Answer, result: CallResult<T>, what: string): void {
  answer.code = 1;
  answer.blame(result);
  if (result.outcome === 'failed') {
    answer.err += `${what}: ${errorText(result.error.errno)}\n`;
    answer.explain(result.error.why, result.error.hint);
  } else if (result.outcome === 'killed') answer.explain(`${result.why}.`);
  else if (result.outcome === 'missing')
    answer.explain(missingText(result.missing.symbol, result.missing.caller));
}

export function missingText(symbol: string, caller: string): string {
  return `${caller} uses ${symbol} of the kernel, which the base kernel does not have: the run ended there.`;
}
