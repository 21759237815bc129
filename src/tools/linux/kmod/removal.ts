/** modprobe -r: soft dependencies behind it, its holders when asked, itself, what nobody needs any more, those before it. */
import { reason } from './bytes-path.ts';
import type { KmodContext, TreeModule } from './context.ts';
import type { ModprobeOptions } from './modprobe-options.ts';
import { Level, type ToolOutput } from './output.ts';
import { codeOf, runCommand } from './probe.ts';
import type { KernelTarget } from './target.ts';

interface RemoveHow {
  readonly holders: boolean;
  /** It was named on the command line: one that is built in is an error then. */
  readonly top: boolean;
}

export class Removal {
  private readonly context: KmodContext;
  private readonly target: KernelTarget;
  private readonly output: ToolOutput;
  private readonly options: ModprobeOptions;
  private readonly complain: (text: string) => false;

  constructor(
    context: KmodContext,
    target: KernelTarget,
    output: ToolOutput,
    options: ModprobeOptions,
    complain: (text: string) => false,
  ) {
    this.context = context;
    this.target = target;
    this.output = output;
    this.options = options;
    this.complain = complain;
  }

  /** True when nothing failed that counts. */
  remove(module: TreeModule, how: RemoveHow): boolean {
    const { context, options, target } = this;
    const soft = options.ignoreCommands ? { pre: [], post: [] } : context.softDependenciesOf(module);
    const command = options.ignoreCommands ? undefined : context.removeOf(module);
    if (command === undefined && !options.ignoreLoaded) {
      const absent = this.absent(module, how);
      if (absent !== undefined) return absent;
    }
    this.removeAll(soft.post, false);
    if (how.holders && !this.removeAll(this.holdersOf(module), true)) return false;
    if (command === undefined && !options.ignoreLoaded && options.wait === 0) {
      if ((target.references(module.name) ?? 0) > 0)
        return this.complain(`Module ${module.name} is in use.\n`);
    }
    if (!this.removeItself(module, command)) return false;
    if (command === undefined) this.removeUnused(context.needsOf(module));
    this.removeAll(soft.pre, false);
    return true;
  }

  /** Nothing to remove: true or false says whether that is all right; undefined: it is loaded. */
  private absent({ name, ...module }: TreeModule, { top }: RemoveHow): boolean | undefined {
    if (this.context.isBuiltin({ name, ...module }))
      return top ? this.complain(`Module ${name} is builtin.\n`) : true;
    if (this.target.state(name) !== undefined) return undefined;
    return this.options.firstTime ? this.complain(`Module ${name} is not in kernel.\n`) : true;
  }

  private holdersOf({ name }: TreeModule): TreeModule[] {
    try {
      return this.target.holders(name).flatMap((holder) => this.context.lookUp(holder) ?? []);
    } catch (error) {
      this.output.error(`could not open '/sys/module/${name}/holders': ${reason(error)}\n`);
      return [];
    }
  }

  private removeAll(modules: readonly TreeModule[], stop: boolean): boolean {
    for (const module of [...modules].reverse())
      if (!this.remove(module, { holders: false, top: false }) && stop) return false;
    return true;
  }

  private removeItself(module: TreeModule, command: string | undefined): boolean {
    if (command === undefined)
      return this.target.references(module.name) === undefined || this.removeOne(module.name);
    const text = command.replaceAll('$CMDLINE_OPTS', '');
    this.output.note('steps', () => ({ action: 'remove', module: module.name, command: text }));
    this.show(`remove ${text}\n`);
    if (this.options.dryRun) return true;
    // The tool writes what it shows here at once.
    this.output.flush();
    const code = runCommand(text, module.name, this.options.environment);
    return code === 0 || this.complain(`Error running remove command for ${module.name}\n`);
  }

  private show(text: string): void {
    if (this.options.show || this.options.verbose > Level.WARNING) this.output.print(text);
  }

  private removeUnused(modules: readonly TreeModule[]): void {
    for (const { name } of modules) if (this.target.references(name) === 0) this.removeOne(name);
  }

  private removeOne(name: string): boolean {
    const { options, output } = this;
    output.note('steps', () => ({ action: 'rmmod', module: name }));
    this.show(`rmmod ${name}\n`);
    if (options.dryRun) return true;
    const until = Date.now() + options.wait;
    for (let pause = 1; ; pause *= 2) {
      const error = this.tryRemove(name);
      if (error === undefined) return true;
      if (error === 'EEXIST')
        return options.firstTime ? this.complain(`Module ${name} is not in kernel.\n`) : true;
      if (error !== 'EAGAIN' || options.wait === 0 || Date.now() >= until) {
        output.error(`could not remove '${name}': ${reason({ code: error })}\n`);
        return false;
      }
      sleep(Math.min(pause, until - Date.now()));
    }
  }

  private tryRemove(name: string): string | undefined {
    try {
      this.target.remove(name, this.options.force);
      return undefined;
    } catch (error) {
      return codeOf(error);
    }
  }
}

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(0, milliseconds));
}
