/** The `*.conf` files of modprobe.d and depmod.d: which there are, and their text. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { type ConfigFile, mergeConfigFiles } from '../../../systems/linux/tree/lines.ts';
import { baseName } from '../../../systems/linux/tree/names.ts';
import { statIfAny } from '../../stat-if-any.ts';
import { onDisk, reason } from './bytes-path.ts';
import { Level, type ToolOutput } from './output.ts';

/** A configuration larger than this is a mistake: the largest distribution's has some hundred kilobytes. */
const MOST_BYTES = 64 * 2 ** 20;

/** Where the tools look, in the order of precedence; `kind` is `modprobe.d` or `depmod.d`; below `root` when the configuration is that of another root. */
export const configFolders = (kind: string, root = ''): string[] =>
  ['/etc', '/run', '/usr/local/lib', '/usr/lib', '/lib'].map((folder) => `${root}${folder}/${kind}`);

/** Who speaks of what is wrong with the files: depmod itself, or the library that modprobe reads them with. */
export type ConfigReader = 'depmod' | 'library';

/** The files of folders, or files named by themselves, in the order in which they are read. */
export function configFiles(
  places: readonly string[],
  output: ToolOutput,
  reader: ConfigReader = 'depmod',
): ConfigFile[] {
  return mergeConfigFiles(places.map((place) => filesAt(place, output, reader)));
}

function filesAt(place: string, output: ToolOutput, reader: ConfigReader): ConfigFile[] {
  const stat = statIfAny(onDisk(place));
  if (stat === undefined) return [];
  if (!stat.isDirectory()) return [{ path: place, name: baseName(place) }];
  try {
    return readdirSync(onDisk(place), { encoding: 'latin1' })
      .filter((name) => isConfig(place, name, output, reader))
      .map((name) => ({ path: `${place}/${name}`, name }));
  } catch (error) {
    if (reader === 'library') output.libraryError('conf_files_list', `opendir(${place}): ${reason(error)}\n`);
    else output.error(`files list ${place}: ${reason(error)}\n`);
    return [];
  }
}

function isConfig(folder: string, name: string, output: ToolOutput, reader: ConfigReader): boolean {
  const say = (text: string) =>
    reader === 'library' ? output.libraryError('conf_files_filter_out', text) : output.error(text);
  if (name.startsWith('.')) return false;
  if (name.length < 6 || !name.endsWith('.conf')) {
    if (reader === 'depmod') output.say(Level.INFO, `All cfg files need .conf: ${folder}/${name}\n`);
    return false;
  }
  const stat = statIfAny(onDisk(`${folder}/${name}`));
  if (stat === undefined) {
    say(`Cannot stat directory entry: ${folder}${reader === 'library' ? '/' : ''}${name}\n`);
    return false;
  }
  if (!stat.isDirectory()) return true;
  say(`Directories inside directories are not supported: ${folder}/${name}\n`);
  return false;
}

/** The file as a string of bytes; undefined, with the reason written, when it cannot be read. */
export function configText(
  { path }: ConfigFile,
  output: ToolOutput,
  reader: ConfigReader = 'depmod',
): string | undefined {
  try {
    const { size } = statSync(onDisk(path));
    if (size > MOST_BYTES) {
      output.error(`file parse ${path}: ${size} bytes are more than any configuration has\n`);
      return undefined;
    }
    return readFileSync(onDisk(path), 'latin1');
  } catch (error) {
    // The library passes over what it cannot open.
    if (reader === 'depmod') output.error(`file parse ${path}: ${reason(error)}\n`);
    return undefined;
  }
}
