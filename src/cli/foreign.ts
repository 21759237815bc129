/** Which system a file on the command line belongs to, when it is not Linux. */
import { compressionOf } from '../bytes/decompress.ts';
import { FormatError } from '../bytes/errors.ts';
import { readElf } from '../formats/elf/read.ts';
import { statIfAny } from '../tools/stat-if-any.ts';
import type { ModuleFile, NativeSystem } from '../tools/system.ts';
import { isElf, recognise } from '../tools/systems.ts';
import type { CommandContext } from './command.ts';
import { EXIT_USAGE, Failure } from './failure.ts';

export interface ForeignFile {
  readonly system: NativeSystem;
  readonly file: ModuleFile;
}

/** The file and its system; undefined for a Linux module and for what no system knows. */
export async function foreignFile(path: string, context: CommandContext): Promise<ForeignFile | undefined> {
  const folder = path !== '-' && statIfAny(path)?.isDirectory() === true;
  const file = { path, bytes: folder ? undefined : context.readFile(path) };
  if (isLinux(file)) return undefined;
  const system = await recognise(file);
  return system && { system, file };
}

/** What works on Linux modules alone says so of another system's. @throws Failure (wrong usage) */
export async function linuxModulesOnly(paths: readonly string[], context: CommandContext): Promise<void> {
  for (const path of paths) {
    const foreign = await foreignFile(path, context);
    if (foreign === undefined) continue;
    throw new Failure(`is a module of ${foreign.system.title}`, {
      subject: path,
      hint: `lkm ${context.spec.name} is for modules of Linux; lkm run and lkm inspect take it`,
      exitCode: EXIT_USAGE,
    });
  }
}

/** Asked first, so that a Linux module costs no more than before there were other systems. */
function isLinux(file: ModuleFile): boolean {
  const { path, bytes } = file;
  if (bytes === undefined) return false;
  // A compressed module is called .ko.gz; what is called an archive may hold anything.
  if (compressionOf(bytes) !== undefined) return !/\.(tar\.\w+|t[gx]z|tbz2?)$/i.test(path);
  if (!isElf(file)) return false;
  try {
    const elf = readElf(bytes);
    const has = (name: string) => elf.section(name) !== undefined;
    // The last two: from before 2.6.
    return has('.modinfo') || has('.gnu.linkonce.this_module') || (has('__ksymtab') && has('.kstrtab'));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    // What is broken is told in the reader's own words, which Linux modules have had longest.
    return true;
  }
}
