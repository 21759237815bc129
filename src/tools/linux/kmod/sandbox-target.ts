/** Where modprobe, insmod, rmmod and lsmod act with --target sandbox: a base kernel of this process. */
import type { Address } from '../../../memory/address.ts';
import { errnoName } from '../../../systems/linux/errno.ts';
import type { Linux } from '../../../systems/linux/linux.ts';
import { insmod, rmmod } from '../../../systems/linux/loader.ts';
import { ModuleState as State } from '../../../systems/linux/module.ts';
import { moduleList } from '../../../systems/linux/module-list.ts';
import { moduleRefcount, moduleSizes } from '../../../systems/linux/proc-modules.ts';
import { holdersOf } from '../../../systems/linux/resolve.ts';
import type { LinuxConsole } from '../console.ts';
import { onDisk } from './bytes-path.ts';
import { CallFailed } from './call-failed.ts';
import { ToolExit } from './output.ts';
import type { InsertFlags, KernelTarget, ModuleState } from './target.ts';

/** A process that a signal ended, as a shell sees it. */
const BY_SIGNAL = 128;

const STATES: Readonly<Record<number, ModuleState>> = {
  [State.LIVE]: 'live',
  [State.COMING]: 'coming',
  [State.GOING]: 'going',
};

export interface SandboxOptions {
  /** Opens and unpacks a module file. */
  readonly unpack: (path: string) => Uint8Array;
  /** In our words: why the kernel refused, and what to do. */
  readonly explain: (text: string) => void;
}

/** The kernel of a console, as root or whoever gives the commands there. */
export class SandboxTarget implements KernelTarget {
  private readonly console: LinuxConsole;
  private readonly options: SandboxOptions;

  constructor(console: LinuxConsole, options: SandboxOptions) {
    this.console = console;
    this.options = options;
  }

  private get k(): Linux {
    return this.console.k;
  }

  private find(name: string): Address | undefined {
    for (const module of moduleList(this.k))
      if (this.k.readString('module.name', module) === name) return module;
    return undefined;
  }

  state(name: string): ModuleState | undefined {
    const module = this.find(name);
    return module === undefined ? undefined : STATES[this.k.read('module.state', module)];
  }

  references(name: string): number | undefined {
    const module = this.find(name);
    return module === undefined ? undefined : moduleRefcount(this.k, module);
  }

  holders(name: string): readonly string[] {
    const module = this.find(name);
    if (module === undefined) throw new CallFailed('ENOENT');
    return holdersOf(this.k, module).map((holder) => this.k.readString('module.name', holder));
  }

  loaded(): readonly string[] {
    return [...moduleList(this.k)]
      .filter((module) => STATES[this.k.read('module.state', module)] !== undefined)
      .map((module) => this.k.readString('module.name', module));
  }

  size(name: string): number | undefined {
    const module = this.find(name);
    return module === undefined ? undefined : moduleSizes(this.k, module).core;
  }

  insert(path: string, parameters: string, flags: InsertFlags): void {
    const { credential } = this.console;
    const options = {
      path: onDisk(path).toString(),
      credential,
      flags: { ignoreModversions: flags.forceModversion, ignoreVermagic: flags.forceVermagic },
    };
    this.settle(insmod(this.k, this.options.unpack(path), onDisk(parameters).toString(), options));
  }

  remove(name: string, force: boolean): void {
    this.settle(rmmod(this.k, name, { force, credential: this.console.credential }));
  }

  private settle(result: ReturnType<typeof insmod> | ReturnType<typeof rmmod>): void {
    switch (result.outcome) {
      case 'refused': {
        const { errno, why, hint } = result.refusal;
        this.options.explain(hint === '' ? why : `${why} ${hint}`);
        throw new CallFailed(errnoName(errno) ?? 'EINVAL');
      }
      case 'killed':
        this.options.explain(result.killed.message);
        throw new ToolExit(BY_SIGNAL + result.killed.code);
      case 'missing':
        this.options.explain(result.missing.message);
        throw new ToolExit(1);
    }
  }
}
