/** The message buffer: what printf(9) writes becomes a record of the log with every line that ends. */
import type { Kernel } from '../../kernel/kernel.ts';

/** LOG_INFO: dmesg(8) shows no levels. */
const LEVEL = 6;
/** A line without an end is cut here, so that a module cannot make one that never ends. */
const MAX_LINE = 16384;

export class Console {
  private readonly k: Kernel;
  private line = '';

  constructor(k: Kernel) {
    this.k = k;
  }

  print(text: string): void {
    const lines = (this.line + text).split('\n');
    this.line = lines.pop() ?? '';
    for (const line of lines) this.k.log.write(LEVEL, line);
    if (this.line.length > MAX_LINE) this.flush();
  }

  /** Ends a line that was begun. */
  flush(): void {
    if (this.line !== '') this.k.log.write(LEVEL, this.line);
    this.line = '';
  }
}
