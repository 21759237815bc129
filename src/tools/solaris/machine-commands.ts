/** dmesg(1M) and uname(1): what the machine says of itself. */
import { textOf } from '../../systems/solaris/configuration.ts';
import { dateAt } from '../../systems/solaris/functions/clock.ts';
import type { ToolResult } from '../system.ts';
import { type CommandRow, done, failed } from './results.ts';
import type { SolarisSession } from './session.ts';

/** The name of the machine; its own file tells it (nodename(4)). */
function nodeName(session: SolarisSession): string {
  return textOf(session.files.read('/etc/nodename')).trim().split(/\s/)[0] || 'solaris';
}

/** dmesg(1M): an empty line, the date, and the last 200 lines of /var/adm/messages. */
function dmesg(session: SolarisSession): ToolResult {
  const { weekday, month, day, clock, year } = dateAt(session.kernel.time.now());
  const lines = session.kernel.syslog.lines(nodeName(session)).slice(-200);
  const date = `${weekday} ${month} ${day} ${clock} UTC ${year}`;
  return done(['', date, ...lines, ''].join('\n'));
}

/** uname(1): what letters stand for, in the order in which they are shown. */
function uname(session: SolarisSession, args: readonly string[]): ToolResult {
  const { variant, debug } = session.kernel;
  const values: Readonly<Record<string, string>> = {
    s: 'SunOS',
    n: nodeName(session),
    r: '5.11',
    v: `${variant === 'illumos' ? 'illumos' : '11.2'}${debug ? '-debug' : ''}`,
    m: 'i86pc',
    p: 'i386',
    i: 'i86pc',
  };
  const letters = args.join('').replaceAll('-', '') || 's';
  const bad = [...letters].find((letter) => letter !== 'a' && values[letter] === undefined);
  if (bad !== undefined || args.some((one) => !one.startsWith('-')))
    return failed('usage:\tuname [-snrvmapiX]\n\tuname [-S system_name]');
  const shown = letters.includes('a') ? 'snrvmpi' : letters;
  return done(
    `${Object.keys(values)
      .filter((letter) => shown.includes(letter))
      .map((letter) => values[letter])
      .join(' ')}\n`,
  );
}

export const machineCommands: readonly CommandRow[] = [
  { name: 'dmesg', usage: '', summary: 'show the messages of the system', run: dmesg },
  { name: 'uname', usage: '[-aimnprsv]', summary: 'show the release', run: uname },
];
