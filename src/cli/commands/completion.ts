import type { Command } from '../command.ts';
import { completionScript, type ShellName } from '../completion.ts';
import { usageError } from '../failure.ts';

export const command: Command = {
  async run({ args, commands, out }) {
    const [shell] = args;
    if (shell !== 'bash' && shell !== 'zsh' && shell !== 'fish') {
      throw usageError(`lkm completion: no script for '${shell}'`, 'there is one for bash, zsh and fish');
    }
    out(completionScript(shell satisfies ShellName, commands));
    return 0;
  },
};
