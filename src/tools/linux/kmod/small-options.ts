/** What insmod, rmmod and lsmod share: options that every one of them has. */
import { Getopt, type LongOption, WRONG } from '../../getopt.ts';
import { Level, ToolExit } from './output.ts';
import { SystemLog } from './syslog.ts';
import { printHelp, printVersion, type ToolCall } from './tool.ts';

const COMMON: readonly LongOption[] = [
  { name: 'syslog', value: 'none', as: 's' },
  { name: 'verbose', value: 'none', as: 'v' },
  { name: 'version', value: 'none', as: 'V' },
  { name: 'help', value: 'none', as: 'h' },
];

export interface SmallOptions {
  /** How much the tool says once it works. */
  readonly verbosity: number;
  /** Those of the tool's own that were given. */
  readonly given: ReadonlySet<string>;
  readonly args: readonly string[];
}

/** Reads the words; help, version and errors end the tool. @throws ToolExit */
export function readSmallOptions(
  call: ToolCall,
  letters: string,
  own: readonly LongOption[],
  help: string,
  word = call.output.tool,
): SmallOptions {
  const { output } = call;
  const parsed = new Getopt(word, letters, [...own, ...COMMON]).parse(call.argv);
  const given = new Set<string>();
  let level: number = Level.ERROR;
  let syslog = false;
  for (const { option } of parsed.options) {
    if (option === WRONG) {
      output.printError(parsed.messages[0]);
      throw new ToolExit(1);
    }
    if (option === 'h') printHelp(call, help);
    if (option === 'V') printVersion(output);
    if (option === 'h' || option === 'V') throw new ToolExit(0);
    if (option === 'v') level++;
    if (option === 's') syslog = true;
    given.add(option);
  }
  if (syslog) output.log = new SystemLog(output.tool);
  return { given, args: parsed.rest, verbosity: level };
}
