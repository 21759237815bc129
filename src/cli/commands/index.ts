/** `lkm index`: the index files that the system of a tree keeps of its modules. */
import { type Indexed, indexFreeBsd, indexLinux, systemOfTree } from '../../tools/catalog/index-tree.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure } from '../failure.ts';
import { catalogTree } from '../module-catalog.ts';

export const command: Command = {
  async run(context) {
    const [path] = context.args;
    const system = await systemOfTree(catalogTree(path), path);
    if (system === undefined)
      throw new Failure('holds no module files', { subject: path, hint: 'Give the folder they are in.' });
    const indexed = await write(context, system, path);
    if (context.options.flag('json')) context.json('lkm.index/1', { folder: path, ...indexed });
    else for (const one of indexed.written) context.out(`${one}\n`);
    return indexed.code;
  },
};

async function write(context: CommandContext, system: string, path: string): Promise<Indexed> {
  const { err, environment } = context;
  if (system === 'freebsd') return indexFreeBsd(path, (text) => err(`lkm: ${text}\n`));
  if (system !== 'linux')
    throw new Failure(`the modules are of ${system}, which keeps no index of them`, {
      subject: path,
      hint: 'Linux has modules.dep, FreeBSD linker.hints.',
    });
  const indexed = await indexLinux(path, {
    out: () => {},
    err,
    environment,
    scanProgram: context.packaged('dist/depmod-worker.js'),
  });
  if (indexed !== undefined) return indexed;
  throw new Failure('is not named by a release', {
    subject: path,
    hint: 'Give the folder that is named like 6.1.0-56-amd64, or use: lkm linux depmod -b ROOT RELEASE',
  });
}
