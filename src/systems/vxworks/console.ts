/** The console: what tasks print comes in pieces and is shown in lines. */
import type { VxWorks } from './vxworks.ts';

const LEVEL = 6;
/** A line longer than this is shown in parts. */
const MAX_LINE = 4096;

export class Console {
  private readonly k: VxWorks;
  private line = '';

  constructor(k: VxWorks) {
    this.k = k;
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
