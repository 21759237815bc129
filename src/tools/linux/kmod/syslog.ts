/** -s: messages to the system's log, as syslog(3) writes them to /dev/log. */
import { type Foreign, loadForeign } from './foreign.ts';
import type { Level, MessageLog } from './output.ts';

/** syslog(3): what the tools say belongs to the system's daemons, and goes to the console when nobody logs. */
const LOG_DAEMON = 3 << 3;
const LOG_CONS = 2;
const WORDS: Readonly<Record<number, string>> = {
  2: 'crit',
  3: 'err',
  4: 'warning',
  5: 'notice',
  6: 'info',
  7: 'debug',
};

export class SystemLog implements MessageLog {
  private readonly tool: string;
  private calls: ReturnType<typeof syslogCalls> | undefined;

  constructor(tool: string) {
    this.tool = tool;
  }

  write(level: Level, text: string): void {
    const decoded = Buffer.from(text, 'latin1').toString();
    const foreign = process.platform === 'win32' ? undefined : loadForeign();
    if (foreign === undefined) {
      // logger(1) of the system does the same; where there is none, nothing is said, as on a system without a log.
      const words = ['-t', this.tool, '-p', `daemon.${WORDS[level] ?? 'err'}`, '--', decoded.trimEnd()];
      process.getBuiltinModule('node:child_process').spawnSync('logger', words, { stdio: 'ignore' });
      return;
    }
    this.calls ??= syslogCalls(foreign, this.tool);
    this.calls.write(level, '%s', 'str', decoded);
  }
}

function syslogCalls(foreign: Foreign, tool: string) {
  const library = foreign.load(null);
  // The library keeps the pointer it is given.
  const name = Buffer.from(`${tool}\0`);
  library.func('openlog', 'void', ['void *', 'int', 'int'])(name, LOG_CONS, LOG_DAEMON);
  return { name, write: library.func('syslog', 'void', ['int', 'str', '...']) };
}
