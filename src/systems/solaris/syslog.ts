/** cmn_err and the messages of the system: the console, and what syslogd would write to /var/adm/messages. */
import { dateAt } from './functions/clock.ts';
import type { Solaris } from './solaris.ts';

/** Levels of cmn_err(9F). */
export const CE = { CONT: 0, NOTE: 1, WARN: 2, PANIC: 3, IGNORE: 4 } as const;

export interface SyslogEntry {
  /** Virtual ns since boot. */
  readonly time: number;
  /** The module that spoke: genunix for the kernel itself. */
  readonly source: string;
  readonly id: number;
  readonly priority: 'notice' | 'warning' | 'info';
  readonly text: string;
}

/** Messages kept for dmesg(1M): what fits a system message buffer. */
const MAX_ENTRIES = 5000;

/** STRLOG_MAKE_MSGID (sys/strlog.h): a number for a format, so that a message can be found whatever is in it. */
export function messageId(format: string): number {
  let id = 0;
  for (const character of format) {
    const code = character.charCodeAt(0);
    if (code >= 0x20) id = ((id >>> 5) + ((id << 27) >>> 0) + code) >>> 0;
  }
  return (id % 899981) + 100000;
}

/** Levels of the base kernel's log: 4 warning, 5 notice, 6 informational. */
const LOG_LEVEL = { warning: 4, notice: 5, info: 6 } as const;

export class Syslog {
  readonly entries: SyslogEntry[] = [];
  /** Console lines that a message goes on with. */
  private readonly k: Solaris;

  constructor(k: Solaris) {
    this.k = k;
  }

  /**
   * A message of the kernel's own. `format` is the text as the source has it, from which the message id comes: with the
   * first character `!`, `^` or `?`, which says where the message goes, and without the prefix of its level. What is only
   * logged loses its level, but for a warning's (cprintf in common/os/printf.c).
   */
  say(format: string, text: string, level: number = CE.NOTE, source = 'genunix'): void {
    const mark = /^[!^?]/.exec(text)?.[0] ?? '';
    const body = text.slice(mark.length);
    const prefix = level === CE.NOTE ? 'NOTICE: ' : level === CE.WARN ? 'WARNING: ' : '';
    const logged = mark === '!' || (mark === '?' && level === CE.CONT);
    const priority = level === CE.WARN ? 'warning' : logged ? 'info' : 'notice';
    this.record(format, prefix + body, priority, source, mark);
  }

  /** krtld's printf: neither a prefix nor a level, one message a line (_kobj_printf). */
  plain(format: string, text: string): void {
    this.record(format, text, 'notice', 'genunix', '');
  }

  private record(
    format: string,
    text: string,
    priority: SyslogEntry['priority'],
    source: string,
    mark: string,
  ): void {
    const { k } = this;
    const lines = text.replace(/\n$/, '');
    if (mark !== '^') {
      const time = k.time.now();
      this.entries.push({ time, source, id: messageId(format), priority, text: lines });
      if (this.entries.length > MAX_ENTRIES) this.entries.splice(0, MAX_ENTRIES / 10);
    }
    k.log.write(LOG_LEVEL[priority], lines);
  }

  /**
   * Lines as syslogd(1M) writes them: `Jan  1 00:00:01 HOST genunix: [ID 819705 kern.notice] ...`; what follows a newline
   * has date and host only.
   */
  lines(host: string): string[] {
    return this.entries.flatMap(({ time, source, id, priority, text }) => {
      const { month, day, clock } = dateAt(time);
      const head = `${month} ${day} ${clock} ${host}`;
      const [first, ...more] = text.split('\n');
      return [
        `${head} ${source}: [ID ${id} kern.${priority}] ${first}`,
        ...more.map((line) => `${head} ${line}`),
      ];
    });
  }
}
