import type { Command, CommandSpec } from '../command.ts';
import { usageError } from '../failure.ts';
import { commandHelp, exitCodes, optionsOf, overview } from '../help.ts';
import { nearest } from '../nearest.ts';

export const command: Command = {
  async run({ args, options, commands, out, json }) {
    const wanted = args.map((name) => find(name, commands));
    if (options.flag('json')) {
      json('lkm.help/1', { commands: (wanted.length > 0 ? wanted : commands).map(describe) });
    } else {
      out(wanted.length > 0 ? wanted.map(commandHelp).join('\n') : overview(commands));
    }
    return 0;
  },
};

function find(name: string, commands: readonly CommandSpec[]): CommandSpec {
  const spec = commands.find((one) => one.name === name);
  if (spec) return spec;
  const guess = nearest(
    name,
    commands.map((one) => one.name),
  );
  throw usageError(
    `there is no command '${name}'`,
    guess ? `did you mean ${guess}?` : "'lkm help' lists them",
  );
}

function describe(spec: CommandSpec): Record<string, unknown> {
  const { name, summary, usage, description, arguments: args, examples } = spec;
  const exits = Object.fromEntries(exitCodes(spec));
  return { name, summary, usage, description, arguments: args, options: optionsOf(spec), examples, exits };
}
