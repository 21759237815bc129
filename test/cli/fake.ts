import type { CommandSpec } from '../../src/cli/command.ts';
import type { Surroundings } from '../../src/cli/context.ts';
import { dispatch } from '../../src/cli/dispatch.ts';
import { COMMANDS } from '../../src/cli/table.ts';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line without a process: what it wrote and its exit code. */
export async function runLine(
  argv: readonly string[],
  {
    commands = COMMANDS,
    environment = {},
    stdin = '',
    tty = false,
  }: {
    commands?: readonly CommandSpec[];
    environment?: Record<string, string>;
    stdin?: string;
    tty?: boolean;
  } = {},
): Promise<Outcome> {
  let out = '';
  let err = '';
  const around: Surroundings = {
    output: {
      out: (text) => {
        out += typeof text === 'string' ? text : new TextDecoder().decode(text);
      },
      err: (text) => {
        err += text;
      },
      closed: false,
    },
    environment,
    input: {
      isTTY: tty,
      bytes: () => new TextEncoder().encode(stdin),
      lines: () => stdin.split('\n'),
      stream: () => {
        throw new Error('this test gives no stream');
      },
    },
    isTTY: () => tty,
    columns: () => 80,
  };
  const code = await dispatch(argv, around, commands);
  return { code, out, err };
}

/** A command for tests: `body` gets the context. */
export function fakeCommand(
  name: string,
  body: Partial<CommandSpec> & Pick<CommandSpec, 'load'>,
): CommandSpec {
  return {
    name,
    summary: `the ${name} of a test`,
    usage: ['[OPTION]... [ARGUMENT]...'],
    description: ['For tests.'],
    arguments: [{ name: 'ARGUMENT', summary: 'anything', repeat: true }],
    options: [],
    shared: [],
    examples: [],
    ...body,
  };
}
