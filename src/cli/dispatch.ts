/** From a command line to an exit code. Nothing here touches `process`: the surroundings are given. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { Unsupported } from '../bytes/errors.ts';
import { statIfAny } from '../tools/stat-if-any.ts';
import type { CommandSpec } from './command.ts';
import { makeContext, type Surroundings } from './context.ts';
import {
  EXIT_DEFECT,
  EXIT_FAILED,
  EXIT_USAGE,
  fileFailure,
  isFailure,
  usageError,
  writeFailure,
} from './failure.ts';
import { commandHelp, optionsOf, overview } from './help.ts';
import { nearest } from './nearest.ts';
import type { OptionSpec } from './option.ts';
import { type Parsed, parseArguments } from './parse.ts';
import { COMMON, SHARED, SHARED_ORDER, VERSION } from './shared-options.ts';
import { COMMANDS } from './table.ts';

const LEADING: readonly OptionSpec[] = [...COMMON, VERSION, ...SHARED_ORDER.map((name) => SHARED[name])];

/** Runs a command line; resolves to the exit code, with all messages written. */
export async function dispatch(
  argv: readonly string[],
  around: Surroundings,
  commands: readonly CommandSpec[] = COMMANDS,
): Promise<number> {
  try {
    return await dispatchOrThrow(argv, around, commands);
  } catch (error) {
    return report(error, around);
  }
}

async function dispatchOrThrow(
  argv: readonly string[],
  around: Surroundings,
  commands: readonly CommandSpec[],
): Promise<number> {
  const at = commandIndex(argv);
  if (at === argv.length) return withoutCommand(argv, around, commands);
  const { spec, rest } = choose(argv, at, commands);
  const who = `lkm ${spec.name}`;
  const parsed = parseArguments(rest, optionsOf(spec), who, [...SHARED_ORDER], spec);
  if (parsed.options.flag('help')) {
    around.output.out(commandHelp(spec));
    return 0;
  }
  checkCount(spec, parsed, who);
  checkPlaces(spec, parsed);
  const { command } = await spec.load();
  return command.run(makeContext(spec, parsed, around, commands, argv));
}

/** Index of the first word that is no option of lkm as a whole, argv.length when there is none. */
function commandIndex(argv: readonly string[]): number {
  let at = 0;
  while (at < argv.length && argv[at].startsWith('-') && argv[at].length > 1) {
    const word = argv[at];
    if (word === '--') return at;
    const option = LEADING.find((one) => word === `--${one.name}` || word.startsWith(`--${one.name}=`));
    at += option?.value !== undefined && !word.includes('=') ? 2 : 1;
  }
  return Math.min(at, argv.length);
}

function withoutCommand(argv: readonly string[], around: Surroundings, commands: readonly CommandSpec[]) {
  const { options } = parseArguments(argv, LEADING, 'lkm');
  if (options.flag('version') && !options.flag('help')) return dispatchOrThrow(['version'], around, commands);
  if (options.flag('help')) {
    around.output.out(overview(commands));
    return 0;
  }
  around.output.err(overview(commands));
  return EXIT_USAGE;
}

/** The command the word at `at` means, and the words it gets: those before it are options. */
function choose(argv: readonly string[], at: number, commands: readonly CommandSpec[]) {
  const word = argv[at];
  const before = argv.slice(0, at);
  const spec = commands.find((one) => one.name === word);
  if (spec) return { spec, rest: [...before, ...argv.slice(at + 1)] };
  const inspect = commands.find((one) => one.name === 'inspect');
  if (inspect && (word === '--' || word === '-' || /[./\\]/.test(word) || existsSync(word))) {
    return { spec: inspect, rest: [...before, ...argv.slice(at)] };
  }
  const guess = nearest(
    word,
    commands.map((one) => one.name),
  );
  const hint = guess ? `did you mean lkm ${guess}?` : "'lkm --help' lists the commands";
  throw usageError(`there is no command and no file '${word}'`, hint);
}

function checkCount(spec: CommandSpec, { args }: Parsed, who: string): void {
  const required = spec.arguments.filter((one) => one.required);
  const usage = `usage: ${who} ${spec.usage[0]}`;
  if (args.length < required.length)
    throw usageError(`${who}: ${required[args.length].name} is missing`, usage);
  const unlimited = spec.arguments.some((one) => one.repeat);
  if (unlimited || args.length <= spec.arguments.length) return;
  throw usageError(`${who}: there is one argument too many: '${args[spec.arguments.length]}'`, usage);
}

/** Where nothing can be written nothing needs to be made. */
function checkPlaces(spec: CommandSpec, { options }: Parsed): void {
  for (const { name } of optionsOf(spec).filter(({ writes }) => writes === true)) {
    const path = options.text(name);
    if (path === undefined) continue;
    if (path === '' || !existsSync(dirname(path))) throw writeFailure(path, { code: 'ENOENT' });
    if (statIfAny(path)?.isDirectory()) throw writeFailure(path, { code: 'EISDIR' });
  }
}

function isFileError(error: unknown): error is NodeJS.ErrnoException & { path: string } {
  if (!(error instanceof Error)) return false;
  const { code, syscall, path }: NodeJS.ErrnoException = error;
  return typeof code === 'string' && syscall !== undefined && typeof path === 'string';
}

/** Writes an error the way `lkm: SUBJECT: message` and returns the exit code. */
export function report(error: unknown, around: Surroundings): number {
  const { output, environment } = around;
  const debug = environment.LKM_DEBUG === '1';
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (isFailure(error)) {
    const subject = error.subject === undefined ? '' : `${error.subject}: `;
    // Messages about the command line already name the command.
    const text = /^lkm[ :]/.test(error.message) ? error.message : `lkm: ${subject}${error.message}`;
    output.err(`${text}\n${error.hint ? `  ${error.hint}\n` : ''}`);
    if (debug)
      output.err(`${stack}\n${error.cause instanceof Error ? `caused by ${error.cause.stack}\n` : ''}`);
    return error.exitCode;
  }
  // What the file system refuses is about the user's paths, wherever it was asked.
  if (isFileError(error)) return report(fileFailure(error.path, error), around);
  // Bytes of the user's may be right and still more than this takes; what is damaged is reported where it is read.
  if (error instanceof Unsupported) {
    output.err(`lkm: ${error.message}\n`);
    if (debug) output.err(`${stack}\n`);
    return EXIT_FAILED;
  }
  output.err(`lkm: defect: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}\n`);
  if (debug) output.err(`${stack}\n`);
  else
    output.err(
      '  this is a mistake in lkm, not yours: LKM_DEBUG=1 shows where; please report it with the file\n',
    );
  return EXIT_DEFECT;
}
