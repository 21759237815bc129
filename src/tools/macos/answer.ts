/** What a tool says and how it ends. */
import { passes } from '../../systems/macos/words.ts';
import type { Ending, ToolCommand, ToolResult } from '../system.ts';
import { DEFAULT_FILTER } from './options.ts';
import type { MacosSession } from './session.ts';

export interface Tool extends ToolCommand {
  run(session: MacosSession, args: readonly string[]): ToolResult | Promise<ToolResult>;
}

/** A message that is about no single kext. */
const ALL_KEXTS = 8;

export class Answer {
  code = 0;
  out = '';
  err = '';
  /** Which messages of the tool are written (`-v`). */
  filter: number = DEFAULT_FILTER;
  /** What broke a request to the kernel off. */
  ended: Ending['ended'];
  private readonly notes: string[] = [];

  print(line: string): void {
    this.out += `${line}\n`;
  }

  complain(line: string): void {
    this.err += `${line}\n`;
  }

  /** A message of the kext tools, which write all of them to standard error. */
  log(loudness: number, line: string): void {
    if (passes(this.filter | ALL_KEXTS, loudness)) this.complain(line);
  }

  explain(note: string | undefined): void {
    if (note !== undefined && note !== '' && !this.notes.includes(note)) this.notes.push(note);
  }

  result(): ToolResult {
    const { code, out, err, notes } = this;
    return notes.length === 0 ? { code, out, err } : { code, out, err, note: notes.join('\n  ') };
  }
}
