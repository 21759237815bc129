import type { Command } from '../command.ts';
import { Failure } from '../failure.ts';

/** The body of a command whose options are settled and whose work is not written: it says so and fails. */
export function notYet(name: string): () => Promise<{ readonly command: Command }> {
  const command: Command = {
    async run() {
      throw new Failure(`${name} is not written yet`, {
        hint: 'README.md says which parts work in this version',
      });
    },
  };
  return async () => ({ command });
}
