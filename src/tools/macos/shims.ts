/**
 * The older tools from macOS 11 on: each writes which kmutil command it stands for, and runs that one (kext_tools,
 * KernelManagementShims). KEXTSTAT_LEGACY_MODE and the like, which bring the old tools back, are no environment of a session.
 */
import { LOUDNESS, passes } from '../../systems/macos/words.ts';
import type { ToolResult } from '../system.ts';
import type { Tool } from './answer.ts';
import { isDryRun, OPTIONS as KEXTUTIL_OPTIONS } from './kextutil.ts';
import { kmutil } from './kmutil.ts';
import { type OptionSpec, type Parsed, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';

type Translate = (session: MacosSession, parsed: Parsed) => readonly string[];

interface Shim {
  readonly options: readonly OptionSpec[];
  readonly words: Translate;
  /** What it does not do any more: it says so, and that is all. */
  readonly refuse?: (parsed: Parsed) => string | undefined;
  /** What the tool says before it runs the other one. */
  readonly first?: (filter: number) => string;
}

const each = ({ values }: Parsed, long: string, option: string): string[] =>
  (values.get(long) ?? []).flatMap((value) => [option, value]);
const set = ({ flags }: Parsed, long: string, option: string): string[] => (flags.has(long) ? [option] : []);
const value = (letter: string, long: string): OptionSpec => ({ letter, long, value: true });
const flag = (letter: string, long: string): OptionSpec => ({ letter, long });

/** Operands as absolute paths, as the tools make URLs of them. */
const paths = (session: MacosSession, { operands }: Parsed, option: string): string[] =>
  operands.flatMap((word) => [option, session.locate(word) ?? session.absolute(word)]);

const SHIMS: Readonly<Record<string, Shim>> = {
  kextstat: {
    options: [
      flag('a', 'arch'),
      value('b', 'bundle-id'),
      flag('k', 'no-kernel'),
      flag('l', 'list-only'),
      flag('s', 'sort'),
    ],
    words: (_, parsed) => [
      'showloaded',
      ...set(parsed, 'no-kernel', '--no-kernel-components'),
      ...set(parsed, 'list-only', '--list-only'),
      ...set(parsed, 'arch', '--arch-info'),
      ...set(parsed, 'sort', '--sort'),
      ...each(parsed, 'bundle-id', '--bundle-identifier'),
    ],
  },
  kextload: {
    options: [
      value('b', 'bundle-id'),
      value('d', 'dependency'),
      value('r', 'repository'),
      flag('q', 'quiet'),
    ],
    words: (session, parsed) => [
      'load',
      ...each(parsed, 'bundle-id', '-b'),
      ...paths(session, parsed, '-p'),
      ...each(parsed, 'dependency', '-p'),
      ...each(parsed, 'repository', '-r'),
    ],
  },
  kextunload: {
    options: [
      value('b', 'bundle-id'),
      value('m', 'module'),
      value('c', 'class-name'),
      flag('p', 'personalities-only'),
      flag('q', 'quiet'),
    ],
    words: (session, parsed) => [
      'unload',
      ...each(parsed, 'bundle-id', '-b'),
      ...each(parsed, 'module', '-b'),
      ...paths(session, parsed, '-p'),
      ...each(parsed, 'class-name', '--class-name'),
      ...set(parsed, 'personalities-only', '--personalities-only'),
    ],
  },
  kextutil: {
    options: KEXTUTIL_OPTIONS,
    words: (session, parsed) => [
      'load',
      ...each(parsed, 'arch', '--arch'),
      ...each(parsed, 'dependency', '--bundle-path'),
      ...each(parsed, 'bundle-id', '--bundle-identifier'),
      ...paths(session, parsed, '--bundle-path'),
      ...each(parsed, 'personality', '--personality-name'),
      ...each(parsed, 'repository', '--repository'),
      ...set(parsed, 'no-authentication', '--no-authentication'),
      ...(parsed.flags.has('load-only') ? ['--load-style', 'start-only'] : []),
      ...(parsed.flags.has('match-only') ? ['--load-style', 'match-only'] : []),
    ],
    refuse: ({ flags }) => (isDryRun(flags) ? 'kextutil: -n is not a supported kmutil mode\n' : undefined),
    first: (filter) =>
      passes(filter, LOUDNESS.basic) ? "Defaulting to kernel file '/System/Library/Kernels/kernel'\n" : '',
  },
};

/** Each tool as it is before macOS 11, and as kmutil's shadow from then on. */
export function withShims(tools: readonly Tool[]): Tool[] {
  return tools.map((tool) => {
    const shim = SHIMS[tool.name];
    if (shim === undefined) return tool;
    return { ...tool, run: (session, args) => shimmed(tool, shim, session, args) };
  });
}

async function shimmed(
  tool: Tool,
  shim: Shim,
  session: MacosSession,
  args: readonly string[],
): Promise<ToolResult> {
  const parsed = parseOptions(args, shim.options);
  const own = !session.choices.release.collections || parsed.unknown !== undefined;
  if (own) return await tool.run(session, args);
  const refused = shim.refuse?.(parsed);
  if (refused !== undefined) return { code: 0, out: '', err: refused };
  const words = shim.words(session, parsed);
  const first = shim.first?.(parsed.filter) ?? '';
  const heard = !parsed.flags.has('quiet') && passes(parsed.filter, LOUDNESS.warning);
  const result = await kmutil.run(session, words);
  const executing = heard ? `Executing: /usr/bin/kmutil ${words.join(' ')}\n` : '';
  return { ...result, err: `${first}${executing}${result.err}` };
}
