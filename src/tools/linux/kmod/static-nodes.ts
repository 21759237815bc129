/** `kmod static-nodes`: the device nodes of modules.devname, for those who make them before any module is loaded. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from '../../../targets/make-folder.ts';
import { Getopt, WRONG } from '../../getopt.ts';
import { absolute, onDisk, reason } from './bytes-path.ts';
import { MODULE_DIRECTORY, type ToolCall } from './tool.ts';

interface DeviceNode {
  readonly module: string;
  readonly path: string;
  readonly type: string;
  readonly major: number;
  readonly minor: number;
}

interface Format {
  readonly name: string;
  readonly about: string;
  readonly write: (node: DeviceNode) => string;
}

const FORMATS: readonly Format[] = [
  {
    name: 'human',
    about: '(default) a human readable format. Do not parse.',
    write: ({ module, path, type, major, minor }) =>
      `Module: ${module}\n\tDevice node: /dev/${path}\n\t\tType: ${type === 'c' ? 'character' : 'block'} device\n` +
      `\t\tMajor: ${major}\n\t\tMinor: ${minor}\n`,
  },
  {
    name: 'tmpfiles',
    about: 'the tmpfiles.d(5) format used by systemd-tmpfiles.',
    write: ({ path, type, major, minor }) => {
      const slash = path.lastIndexOf('/');
      const folder = slash < 0 ? '' : `d /dev/${path.slice(0, slash)} 0755 - - -\n`;
      return `${folder}${type}! /dev/${path} 0600 - - - ${major}:${minor}\n`;
    },
  },
  {
    name: 'devname',
    about: 'the modules.devname format.',
    write: ({ module, path, type, major, minor }) => `${module} ${path} ${type}${major}:${minor}\n`,
  },
];

const HELP = `Usage:
	static-nodes static-nodes [options]

kmod static-nodes outputs the static-node information of the currently running kernel.

Options:
	-f, --format FORMAT  choose format to use: see "Formats"
	-o, --output FILE    write output to file
	-h, --help           show this help

Formats:
${FORMATS.map(({ name, about }) => `\t${name.padEnd(12)} ${about}\n`).join('')}`;

/** `word` is what its own getopt messages begin with. */
export function staticNodes(call: ToolCall, word: string): number {
  const { output } = call;
  const help = HELP.replace('static-nodes static-nodes', `${output.tool} static-nodes`);
  const { options, messages } = new Getopt(word, 'o:f:h', [
    { name: 'output', value: 'required', as: 'o' },
    { name: 'format', value: 'required', as: 'f' },
    { name: 'help', value: 'none', as: 'h' },
  ]).parse(call.argv);
  let format = FORMATS[0];
  let target: string | undefined;
  for (const { option, value } of options) {
    if (option === 'o') target = value;
    else if (option === 'f') {
      const found = FORMATS.find(({ name }) => name === value);
      if (found === undefined) {
        output.printError(`Unknown format: '${value}'.\n`);
        output.print(help);
        return 1;
      }
      format = found;
    } else {
      if (option === WRONG) output.printError(messages[0]);
      else output.print(help);
      return option === WRONG ? 1 : 0;
    }
  }
  return write(call, format, target);
}

function write(call: ToolCall, format: Format, target: string | undefined): number {
  const { output } = call;
  const path = `${MODULE_DIRECTORY}/${call.release}/modules.devname`;
  let text: string;
  try {
    text = readFileSync(onDisk(path), 'latin1');
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    output.printError(
      absent
        ? `Warning: ${path} not found - ignoring\n`
        : `Error: could not open ${path} - ${reason(error)}\n`,
    );
    return absent ? 0 : 1;
  }
  let code = 0;
  let written = '';
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const node = nodeOf(line);
    if (node !== undefined) {
      output.note('nodes', () => node);
      written += format.write(node);
    } else {
      output.printError(`Error: invalid devname entry: ${line}\n`);
      code = 1;
    }
  }
  if (target === undefined) output.print(written);
  else {
    const file = absolute(target, call.folder);
    makeFolder(onDisk(dirname(file)), 0o755);
    writeFileSync(onDisk(file), written, 'latin1');
  }
  return code;
}

function nodeOf(line: string): DeviceNode | undefined {
  const match = /^\s*(\S+)\s+(\S+)\s+([cb])\s*(\d+):\s*(\d+)/.exec(line);
  if (match === null) return undefined;
  const [, module, path, type, major, minor] = match;
  return { module, path, type, major: Number(major), minor: Number(minor) };
}
