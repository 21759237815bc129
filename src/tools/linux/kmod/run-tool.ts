/** Runs a module tool as a program of its own would run. */
import { release as osRelease, platform } from 'node:os';
import type { Archives } from '../../files.ts';
import { fromArgument, fromArguments } from './bytes-path.ts';
import { Level, ToolExit, type ToolFacts, ToolOutput, type ToolStreams } from './output.ts';
import { takeOwnOptions } from './own-options.ts';
import type { KernelTarget } from './target.ts';
import type { ToolCall } from './tool.ts';

export type Tool = (call: ToolCall) => number;

export interface ToolSurroundings extends ToolStreams {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** As in ToolCall. */
  readonly scanProgram?: string | undefined;
  /** As in ToolCall. */
  readonly archives?: Archives | undefined;
  /** Standard input, for --stdin. */
  readonly lines?: () => Iterable<string>;
  /** The kernel that is acted on; without it, the one that runs this machine. */
  readonly target?: KernelTarget;
  /** The release of that kernel. */
  readonly release?: string;
}

/** Returns the tool's exit code. */
export function runTool(
  tool: Tool,
  name: string,
  words: readonly string[],
  around: ToolSurroundings,
): number {
  const { own, rest } = takeOwnOptions(name, fromArguments(words));
  const output = new ToolOutput(name, around, own);
  output.libraryLevel = libraryLevel(around.environment.KMOD_LOG);
  const call: ToolCall = {
    argv: rest,
    own,
    output,
    folder: fromArgument(process.cwd()),
    environment: around.environment,
    archives: around.archives,
    scanProgram: around.scanProgram,
    release: around.release ?? (platform() === 'linux' ? osRelease() : undefined),
    proc: '/proc',
    sys: '/sys',
    target: around.target,
    contexts: new Map(),
  };
  try {
    const { code, facts } = own.stdin ? batch(tool, call, around.lines?.() ?? []) : once(tool, call);
    output.finish();
    if (own.json) around.out(`${JSON.stringify({ schema: `lkm.kmod.${name}/1`, code, ...facts })}\n`);
    return code;
  } finally {
    output.flush();
  }
}

interface Ended {
  readonly code: number;
  readonly facts: object;
}

function once(tool: Tool, call: ToolCall): { readonly code: number; readonly facts: ToolFacts } {
  let code: number;
  try {
    code = tool(call);
    call.output.release();
  } catch (error) {
    if (!(error instanceof ToolExit)) throw error;
    code = error.code;
  }
  return { code, facts: call.own.json ? call.output.takeFacts() : { messages: [] } };
}

/** A command line for each line of standard input; one that fails stops none of the others. */
function batch(tool: Tool, call: ToolCall, lines: Iterable<string>): Ended {
  const results: object[] = [];
  let code = 0;
  for (const line of lines) {
    const words = line.trim().split(/\s+/).map(fromArgument);
    if (words[0] === '' || words[0].startsWith('#')) continue;
    const ended = once(tool, { ...call, argv: [...call.argv, ...words] });
    if (ended.code !== 0) code = ended.code;
    if (call.own.json) results.push({ words: line.trim().split(/\s+/), code: ended.code, ...ended.facts });
  }
  return { code, facts: { results } };
}

/** KMOD_LOG: a number, or the beginning of a word. */
function libraryLevel(text: string | undefined): number {
  if (text === undefined) return Level.ERROR;
  const number = /^\s*[+-]?\d+(?=\s|$)/.exec(text);
  if (number !== null) return Number(number[0]);
  if (text.startsWith('err')) return Level.ERROR;
  if (text.startsWith('info')) return Level.INFO;
  return text.startsWith('debug') ? Level.DEBUG : 0;
}
