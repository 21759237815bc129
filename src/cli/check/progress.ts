/** A progress bar on standard error, while that is a terminal. */
import type { CommandContext } from '../command.ts';

const WIDTH = 30;
/** Milliseconds between two drawings. */
const PACE = 100;

export interface Progress {
  step(done: number): void;
  end(): void;
}

export function progressBar(context: CommandContext, total: number, what: string): Progress {
  if (!context.isTTY || total === 0) return { step: () => undefined, end: () => undefined };
  let last = 0;
  return {
    step(done) {
      const now = Date.now();
      if (now - last < PACE && done < total) return;
      last = now;
      const filled = Math.round((done / total) * WIDTH);
      const bar = '#'.repeat(filled) + '.'.repeat(WIDTH - filled);
      context.err(`\r[${bar}] ${done} of ${total} ${what}`);
    },
    end: () => context.err('\r\x1b[K'),
  };
}
