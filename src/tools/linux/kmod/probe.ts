/** What modprobe loads for one module, and in which order (libkmod's probe list): soft and hard dependencies, commands. */
import { reason } from './bytes-path.ts';
import { CallFailed } from './call-failed.ts';
import type { KmodContext, TreeModule } from './context.ts';
import { SourceError } from './module-source.ts';
import { Level, type ToolOutput } from './output.ts';
import type { InsertFlags, KernelTarget } from './target.ts';
import type { ToolCall } from './tool.ts';

export interface ProbeOptions {
  readonly flags: InsertFlags;
  /** -i: no install commands and no soft dependencies of the module itself. */
  readonly ignoreCommand: boolean;
  /** -D: whatever is loaded counts as not loaded. */
  readonly ignoreLoaded: boolean;
  readonly dryRun: boolean;
  /** -b: the blacklist applies to names, not to aliases alone. */
  readonly useBlacklist: boolean;
  readonly firstTime: boolean;
  /** For commands. */
  readonly environment: ToolCall['environment'];
  /** Called before each step. */
  readonly show: ((module: TreeModule, install: string | undefined, options: string) => void) | undefined;
}

/** In place of an errno: a line of the configuration forbids it. */
export const MASKED = 'MASKED';

export class Probe {
  private readonly context: KmodContext;
  private readonly target: KernelTarget;
  private readonly output: ToolOutput;
  private readonly options: ProbeOptions;

  constructor(context: KmodContext, target: KernelTarget, output: ToolOutput, options: ProbeOptions) {
    this.context = context;
    this.target = target;
    this.output = output;
    this.options = options;
  }

  inKernel(module: TreeModule): boolean {
    return this.context.isBuiltin(module) || this.target.state(module.name) === 'live';
  }

  /** The errno of what went wrong; undefined when nothing did. A module that is kept out is no error. */
  insert(module: TreeModule, extra: string): string | undefined {
    const { ignoreLoaded, firstTime, useBlacklist, ignoreCommand } = this.options;
    if (!ignoreLoaded && this.inKernel(module)) return firstTime ? 'EEXIST' : undefined;
    if (this.context.isBlacklisted(module) && (module.alias !== undefined || useBlacklist)) return undefined;
    const list = this.list(module, ignoreCommand);
    if (this.isMasked(module, list)) return MASKED;
    for (const one of list) {
      if (this.context.maskOf(one) !== undefined) continue;
      const error = this.step(one, one === module ? extra : '');
      if (error === 'EEXIST' && one === module && firstTime) return error;
      if (error !== undefined && error !== 'EEXIST' && one.required) return error;
    }
    return undefined;
  }

  /** Says so when the module, or one that it cannot do without, is never to be loaded. */
  private isMasked(module: TreeModule, list: readonly TreeModule[]): boolean {
    let masked = false;
    for (const one of list) {
      const mask = this.context.maskOf(one);
      if (mask === undefined) continue;
      const name = one === module ? one.name : `${one.name}, which ${module.name} asks for,`;
      const why = mask.reason === '' ? '' : `: ${mask.reason}`;
      const text = `Module ${name} is masked (${mask.where})${why}\n`;
      this.output.note('masked', () => ({ module: one.name, reason: mask.reason, where: mask.where }));
      if (one === module || one.required) this.output.error(text);
      else this.output.say(Level.INFO, text);
      masked ||= one === module || one.required;
    }
    return masked;
  }

  private step(module: TreeModule, extra: string): string | undefined {
    const { ignoreLoaded, dryRun, show } = this.options;
    if (!ignoreLoaded && this.inKernel(module)) return 'EEXIST';
    const own = this.context.optionsOf(module);
    const options = own === '' ? extra : `${own} ${extra}`;
    const command = module.ignoreCommand ? undefined : this.context.installOf(module);
    show?.(module, command, options);
    if (dryRun) return undefined;
    return command === undefined
      ? this.insertOne(module, options)
      : this.runInstall(module, command, options);
  }

  private insertOne(module: TreeModule, options: string): string | undefined {
    const path = this.context.pathOf(module);
    if (path === undefined) {
      this.output.error(`could not find module by name='${module.name}'\n`);
      return 'ENOENT';
    }
    try {
      this.target.insert(path, options, this.options.flags);
      return undefined;
    } catch (error) {
      if (error instanceof SourceError && error.said !== undefined) this.output.error(`${error.said}\n`);
      const code = codeOf(error);
      this.output.say(Level.INFO, `Failed to insert module '${path}': ${reason({ code })}\n`);
      return code;
    }
  }

  private runInstall(module: TreeModule, command: string, options: string): string | undefined {
    const text = command.replaceAll('$CMDLINE_OPTS', () => options);
    const code = runCommand(text, module.name, this.options.environment);
    if (code === 0) return undefined;
    this.output.error(`Error running install command '${text}' for module ${module.name}: retcode ${code}\n`);
    return 'EINVAL';
  }

  // -- the list ---------------------------------------------------------------------------------------------

  private list(module: TreeModule, ignoreCommand: boolean): TreeModule[] {
    for (const one of this.context.modules) one.visited = one.required = false;
    const found: TreeModule[] = [];
    this.visit(module, true, ignoreCommand, found);
    return found;
  }

  private visit(module: TreeModule, required: boolean, ignoreCommand: boolean, list: TreeModule[]): void {
    if (module.visited) return;
    module.visited = true;
    const needs = this.context.needsOf(module);
    if (required) {
      // Before soft dependencies can reach them in passing.
      module.required = true;
      for (const need of needs) need.required = true;
    }
    for (const need of needs) this.withSoft(need, list);
    if (ignoreCommand) {
      list.push(module);
      module.ignoreCommand = true;
    } else this.withSoft(module, list);
  }

  private withSoft(module: TreeModule, list: TreeModule[]): void {
    const { pre, post } = this.context.softDependenciesOf(module);
    for (const one of pre) this.visit(one, false, false, list);
    list.push(module);
    // A module with soft dependencies has no command any more: kmod's way.
    module.ignoreCommand = pre.length > 0 || post.length > 0;
    for (const one of post) this.visit(one, false, false, list);
  }
}

export function codeOf(error: unknown): string {
  if (error instanceof CallFailed) return error.code;
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (typeof code === 'string') return code;
  throw error;
}

/** A command of the configuration, by the shell, as system(3) runs it; its exit code. */
export function runCommand(text: string, module: string, environment: ToolCall['environment']): number {
  const result = process
    .getBuiltinModule('node:child_process')
    .spawnSync('/bin/sh', ['-c', Buffer.from(text, 'latin1').toString()], {
      argv0: 'sh',
      stdio: 'inherit',
      env: { ...environment, MODPROBE_MODULE: module },
    });
  if (result.error !== undefined) return 127;
  // One that was killed has no exit code, and counts as done.
  return result.status ?? 0;
}
