/** A booted Linux base kernel with a console on it: what `lkm run`, `lkm linux` and the tour use. */
import { type BootOptions, bootLinux } from '../../systems/linux/bootkernel.ts';
import type { KernelFile } from '../../systems/linux/kernelfile/kernelfile.ts';
import { type CommandResult, LinuxConsole } from './console.ts';
import { fileCommands } from './file-commands.ts';
import { linkCommands } from './link-commands.ts';
import { serveModuleRequests } from './modprobe.ts';
import { moduleCommands } from './module-commands.ts';
import { networkCommands } from './network-commands.ts';
import { runLine } from './shell-line.ts';

export interface SessionOptions extends BootOptions {
  readonly moduleFile: (path: string) => Uint8Array | undefined;
  /** Paths of all modules that modprobe, and the kernel by an alias, may ask for. */
  readonly modulePaths?: () => readonly string[];
}

export class LinuxSession {
  readonly console: LinuxConsole;

  constructor(kernel: KernelFile, options: SessionOptions) {
    const { moduleFile, modulePaths, ...boot } = options;
    const commands = new Map([...fileCommands, ...linkCommands, ...networkCommands, ...moduleCommands]);
    this.console = new LinuxConsole(bootLinux(kernel, boot), { moduleFile, modulePaths, commands });
    serveModuleRequests(this.console);
  }

  get k() {
    return this.console.k;
  }

  /** Runs one line as typed at a root shell. */
  line(text: string): CommandResult {
    return runLine(this.console, text);
  }
}
