/** The console: what tasks print comes in pieces and is shown in lines. */
import { block, type Steps } from '../../kernel/steps.ts';
import { bytesOf } from '../../kernel/text/sink.ts';
import type { VxWorks } from './vxworks.ts';

const LEVEL = 6;
/** A line longer than this is shown in parts. */
const MAX_LINE = 4096;

export class Console {
  /** What was typed and nobody has read yet. */
  typed: string;
  private readonly k: VxWorks;
  private line = '';

  constructor(k: VxWorks, typed: string) {
    this.k = k;
    this.typed = typed;
  }

  /** A line of what was typed, or as much of it as fits: as a terminal in line mode hands it over. Waits when there is none. */
  *read(buffer: number, most: number): Steps<number> {
    if (this.typed === '') yield* block('somebody who types at the console', Number.POSITIVE_INFINITY);
    const end = this.typed.indexOf('\n') + 1;
    const part = bytesOf(this.typed.slice(0, Math.min(most, end === 0 ? this.typed.length : end)));
    this.typed = this.typed.slice(part.length);
    this.k.memory.write(buffer, part);
    return part.length;
  }

  /** Text as tasks write it. */
  write(text: string): void {
    this.line += text;
    for (let end = this.line.indexOf('\n'); end >= 0; end = this.line.indexOf('\n')) {
      this.k.log.write(LEVEL, this.line.slice(0, end).replace(/\r$/, ''));
      this.line = this.line.slice(end + 1);
    }
    if (this.line.length > MAX_LINE) this.flush();
  }

  /** A line of the system's own. */
  say(text: string): void {
    this.flush();
    for (const line of text.split('\n')) this.k.log.write(LEVEL, line);
  }

  /** Shows what has no line feed yet: a prompt comes next. */
  flush(): void {
    if (this.line === '') return;
    const { line } = this;
    this.line = '';
    this.k.log.write(LEVEL, line);
  }
}
