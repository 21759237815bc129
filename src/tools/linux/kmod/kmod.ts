/** kmod(8): its own commands; the other tools are called by their names. */
import { Getopt, WRONG } from '../../getopt.ts';
import { lsmod } from './lsmod.ts';
import type { ToolOutput } from './output.ts';
import { staticNodes } from './static-nodes.ts';
import { printVersion, type ToolCall } from './tool.ts';

export function kmod(call: ToolCall): number {
  const { output } = call;
  const { options, rest, messages } = new Getopt('kmod', '+hV', [
    { name: 'version', value: 'none', as: 'V' },
    { name: 'help', value: 'none', as: 'h' },
  ]).parse(call.argv);
  const [first] = options;
  if (first !== undefined) {
    if (first.option === WRONG) output.printError(messages[0]);
    else if (first.option === 'h') help(output);
    else printVersion(output);
    return first.option === WRONG ? 1 : 0;
  }
  const [command, ...argv] = rest;
  switch (command) {
    case 'help':
      help(output);
      return 0;
    case 'list':
      return lsmod({ ...call, argv }, 'list');
    case 'static-nodes':
      return staticNodes({ ...call, argv }, 'static-nodes');
  }
  output.printError(command === undefined ? 'missing command\n' : `invalid command '${command}'\n`);
  help(output);
  return 1;
}

const COMMANDS = [
  ['help', 'show help message'],
  ['list', 'list currently loaded modules'],
  ['static-nodes', 'output the static-node information installed with the currently running kernel'],
] as const;

function help(output: ToolOutput): void {
  const row = (name: string, about: string) => `  ${name.padEnd(12)} ${about}\n`;
  const tools = ['lsmod', 'rmmod', 'insmod', 'modinfo', 'modprobe', 'depmod'];
  output.print(
    `kmod - Manage kernel modules: list, load, unload, etc
Usage:
	kmod [options] command [command_options]

Options:
	-V, --version     show version
	-h, --help        show this help

Commands:
${COMMANDS.map(([name, about]) => row(name, about)).join('')}
kmod also handles gracefully if called from following symlinks:
${tools.map((name) => row(name, `compat ${name} command`)).join('')}`,
  );
}
