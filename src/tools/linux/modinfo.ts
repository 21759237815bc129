/** modinfo's text: the tags of .modinfo in their order, then the parameters (kmod, tools/modinfo.c). */
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import { ModInfo } from '../../systems/linux/module-file.ts';
import { Parameters } from './kmod/parameters.ts';

/** Width of the label column. */
const LABEL = 16;

/** The values of one field, a line each, as `modinfo -F` prints them; undefined when it is no module. */
export function modinfoField(bytes: Uint8Array, field: string): string | undefined {
  return infoOf(bytes)
    ?.all(field)
    .map((value) => `${value}\n`)
    .join('');
}

/** The lines for one file; undefined when it is no module. */
export function modinfoText(path: string, bytes: Uint8Array): string | undefined {
  const info = infoOf(bytes);
  if (info === undefined) return undefined;
  const row = (label: string, value: string) =>
    `${`${label}:`.padEnd(LABEL)}${value}\n`.replace(/ +\n$/, '\n');
  let text = row('filename', path);
  for (const string of info.strings) {
    const equals = string.indexOf('=');
    const tag = equals < 0 ? string : string.slice(0, equals);
    // What follows an embedded NUL has no tag: kmod shows it as one without a value.
    if (tag !== 'parm' && tag !== 'parmtype') text += row(tag, equals < 0 ? '' : string.slice(equals + 1));
  }
  const parameters = new Parameters(() => {});
  for (const { tag, value } of info.entries)
    if (tag === 'parm' || tag === 'parmtype') parameters.add(tag, value);
  for (const line of parameters.lines(false)) text += row('parm', line);
  return text;
}

function infoOf(bytes: Uint8Array): ModInfo | undefined {
  try {
    const elf = readElf(bytes);
    const section = elf.section('.modinfo');
    return section === undefined ? undefined : new ModInfo(elf.data(section));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
