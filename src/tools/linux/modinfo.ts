/** modinfo's text: the tags of .modinfo in their order, then the parameters (kmod, tools/modinfo.c). */
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import { ModInfo } from '../../systems/linux/module-file.ts';

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
  for (const { name, about, type } of parameters(info)) {
    const described = about === undefined ? (type ?? '') : type === undefined ? about : `${about} (${type})`;
    text += row('parm', `${name}:${described}`);
  }
  return text;
}

interface Parameter {
  readonly name: string;
  about?: string;
  type?: string;
}

/** A parameter's description and type stand in two strings; the last one in the file is shown first. */
function parameters(info: ModInfo): Parameter[] {
  const found = new Map<string, Parameter>();
  for (const { tag, value } of info.entries) {
    if (tag !== 'parm' && tag !== 'parmtype') continue;
    const colon = value.indexOf(':');
    const name = value.slice(0, colon);
    const parameter = found.get(name) ?? { name };
    found.set(name, parameter);
    if (tag === 'parm') parameter.about = value.slice(colon + 1);
    else parameter.type = value.slice(colon + 1);
  }
  return [...found.values()].reverse();
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
