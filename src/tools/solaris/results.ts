/** What commands give, and how they report a system call that failed. */
import { errorText } from '../../systems/solaris/errno.ts';
import type { ToolCommand, ToolResult } from '../system.ts';
import type { SolarisSession } from './session.ts';

export type Command = (session: SolarisSession, args: readonly string[]) => ToolResult | Promise<ToolResult>;

export interface CommandRow extends ToolCommand {
  readonly run: Command;
}

export const done = (out = ''): ToolResult => ({ code: 0, out, err: '' });
export const failed = (err: string, code = 1, note?: string): ToolResult => ({
  code,
  out: '',
  err: err === '' || err.endsWith('\n') ? err : `${err}\n`,
  note,
});

/** A system call that failed, as a command that has no words of its own reports it. */
export const errno = (subject: string, number: number): ToolResult =>
  failed(`${subject}: ${errorText(number)}`);
