/** What a tool says and how it ends. */
import type { ToolCommand, ToolResult } from '../system.ts';
import type { MacosSession } from './session.ts';

export interface Tool extends ToolCommand {
  run(session: MacosSession, args: readonly string[]): ToolResult | Promise<ToolResult>;
}

export class Answer {
  code = 0;
  out = '';
  err = '';
  private readonly notes: string[] = [];

  print(line: string): void {
    this.out += `${line}\n`;
  }

  complain(line: string): void {
    this.err += `${line}\n`;
  }

  explain(note: string | undefined): void {
    if (note !== undefined && note !== '' && !this.notes.includes(note)) this.notes.push(note);
  }

  result(): ToolResult {
    const { code, out, err, notes } = this;
    return notes.length === 0 ? { code, out, err } : { code, out, err, note: notes.join('\n  ') };
  }
}
