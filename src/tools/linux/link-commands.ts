/** mv, ln and readlink. */
import type { Steps } from '../../kernel/steps.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { hardLink, readLink, rename, symbolicLink } from '../../systems/linux/vfs/links.ts';
import { type ConsoleCommand, done, failed } from './console.ts';

function twoPaths(name: string, act: (k: Linux, from: string, to: string) => Steps<number>): ConsoleCommand {
  return (console, [from, to]) => {
    if (to === undefined) return { code: 2, errno: null, output: `usage: ${name} FROM TO` };
    return console.process(
      name,
      (function* () {
        const result = yield* act(console.k, from, to);
        return result < 0 ? failed(-result, `${name}: ${to}`) : done();
      })(),
    );
  };
}

const ln: ConsoleCommand = (console, args) =>
  args[0] === '-s'
    ? twoPaths('ln', symbolicLink)(console, args.slice(1))
    : twoPaths('ln', hardLink)(console, args);

const readlink: ConsoleCommand = (console, [path]) =>
  console.process(
    'readlink',
    (function* () {
      const text = yield* readLink(console.k, path ?? '');
      return typeof text === 'number' ? failed(-text, '') : done(`${text}\n`);
    })(),
  );

export const linkCommands: ReadonlyMap<string, ConsoleCommand> = new Map<string, ConsoleCommand>([
  ['mv', twoPaths('mv', rename)],
  ['ln', ln],
  ['readlink', readlink],
]);
