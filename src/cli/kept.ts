/** `--target sandbox`: lines and tools in the kernel that `lkm boot` keeps. */
import type { CommandContext, HeldKernel } from './command.ts';
import { usageError } from './failure.ts';
import { forward } from './resident/client.ts';
import { Shell } from './shell.ts';

/** The kernel this process keeps; undefined in any other process. @throws Failure for options it cannot have */
export function keptHere(context: CommandContext): HeldKernel | undefined {
  const held = context.resident?.held;
  if (held === undefined) return undefined;
  for (const name of ['gdb', 'profile', 'trace'])
    if (context.options.list(name).length > 0)
      throw usageError(`--${name} does not go with a kept kernel`, 'Leave --target out.');
  // Options that make a kernel come too late for one that is there.
  const known = new Set([...context.spec.options.map(({ name }) => name), ...context.spec.shared]);
  for (const name of ['kernel', 'cmdline', 'seed', 'engine', 'set', 'as'])
    if (known.has(name) && context.options.flag(name))
      throw usageError(
        `--${name} does not go with a kept kernel`,
        `\`lkm boot ${held.system}\` takes it where there is a choice.`,
      );
  return held;
}

/** Hands this command over to the process that keeps the kernel; without words, line by line. */
export async function toKeptKernel(context: CommandContext): Promise<number> {
  const system = context.spec.name;
  if (context.args.length > 0 || context.options.list('command').length > 0)
    return await forward(context, system);
  const give = (text: string) => forward(context, system, [system, '--target', 'sandbox', '-c', text]);
  const host = { commands: [], prompt: () => `${system}> `, line: give, writeFile: () => {} };
  const shell = new Shell(host, context.output);
  if (!context.input.isTTY) return await shell.script(context.input.lines());
  const { runPrompt } = await import('./prompt.ts');
  await runPrompt(shell, system, {
    input: context.input.stream(),
    output: process.stdout,
    environment: context.environment,
  });
  return shell.lastCode;
}
