/** What the commands that start a kernel of a further system share: its module files, its settings, its shell. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { realPathIfAny, statIfAny } from '../tools/stat-if-any.ts';
import {
  type ModuleFile,
  type NativeSystem,
  SettingError,
  type SystemFiles,
  type SystemSession,
  type ToolResult,
} from '../tools/system.ts';
import type { CommandContext } from './command.ts';
import { engineOf } from './engine.ts';
import { Failure, usageError } from './failure.ts';
import { printable } from './printable.ts';
import { Shell, type ShellCall } from './shell.ts';

/** Files as given, beside the files named before, and among the fixtures that come with lkm. */
export class HostFiles implements SystemFiles {
  private readonly context: Pick<CommandContext, 'packaged'>;
  private readonly system: string;
  private readonly places: string[] = [];

  constructor(context: Pick<CommandContext, 'packaged'>, system: string) {
    this.context = context;
    this.system = system;
  }

  /** Also look in the folder of this file. */
  beside(path: string): void {
    const place = dirname(path);
    if (!this.places.includes(place)) this.places.push(place);
  }

  read(path: string): Uint8Array | undefined {
    const found = this.locate(path, (stat) => stat.isFile());
    return found === undefined ? undefined : readFileSync(found);
  }

  /**
   * Only what is in the very folder of a file that was named, or among the fixtures, and no hidden file: folders below hold
   * what has nothing to do with a module, and a link may lead anywhere.
   */
  offered(path: string): Uint8Array | undefined {
    const [folder, name] = [dirname(path), basename(path)];
    if (name.startsWith('.')) return undefined;
    const wanted = path === name ? undefined : realPathIfAny(folder);
    if (path !== name && wanted === undefined) return undefined;
    for (const place of [...this.places, this.context.packaged(join('fixtures', this.system, 'built'))]) {
      const real = realPathIfAny(place);
      if (real === undefined || (wanted !== undefined && wanted !== real)) continue;
      const file = realPathIfAny(join(real, name));
      if (file !== undefined && dirname(file) === real && statIfAny(file)?.isFile())
        return readFileSync(file);
    }
    return undefined;
  }

  list(path: string): readonly string[] | undefined {
    const found = this.locate(path, (stat) => stat.isDirectory());
    if (found === undefined) return undefined;
    return readdirSync(found, { withFileTypes: true })
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      .sort();
  }

  stat(path: string): { uid: number; gid: number; mode: number } | undefined {
    const found = this.locate(path, () => true);
    return found === undefined ? undefined : statSync(found);
  }

  private locate(path: string, fits: (stat: ReturnType<typeof statSync> & object) => boolean) {
    const packaged = this.context.packaged(join('fixtures', this.system, 'built', path));
    return [path, ...this.places.map((place) => join(place, path)), packaged].find((candidate) => {
      const stat = statIfAny(candidate);
      return stat !== undefined && fits(stat);
    });
  }
}

/** `--set NAME=VALUE` words. */
export function settingsOf(context: CommandContext): ReadonlyMap<string, string> {
  return new Map(
    context.options.list('set').map((word) => {
      const at = word.indexOf('=');
      if (at <= 0) throw usageError(`--set ${word}: NAME=VALUE is wanted`, '--settings lists the names');
      return [word.slice(0, at), word.slice(at + 1)] as const;
    }),
  );
}

export async function startSystem(
  context: CommandContext,
  system: NativeSystem,
  files: SystemFiles,
  settings: ReadonlyMap<string, string>,
  more: { readonly missing?: 'refuse' | 'stop' | 'stand-in' } = {},
): Promise<SystemSession> {
  const { options } = context;
  try {
    return await system.start({
      files,
      named: namedFiles(context, files),
      seed: options.integer('seed'),
      engine: engineOf(context),
      user: options.text('as') ?? 'root',
      settings,
      ...more,
    });
  } catch (error) {
    if (error instanceof SettingError) throw usageError(error.message, error.hint);
    throw error;
  }
}

/** Files and folders (bundles) among the words of the command line, and of the lines given with --command. */
function namedFiles(context: CommandContext, files: SystemFiles): ModuleFile[] {
  const lines = context.spec.native ? context.options.list('command') : [];
  const words = [...context.args, ...lines.flatMap((line) => line.split(/\s+/))];
  return words.flatMap((path): ModuleFile[] => {
    const bytes = path === '' ? undefined : files.read(path);
    if (bytes !== undefined) return [{ path, bytes }];
    return path !== '' && files.list(path) !== undefined ? [{ path, bytes }] : [];
  });
}

/** The session behind the shell of the command line. `quietLog`: the log is shown by somebody else. */
export function systemShell(
  context: CommandContext,
  session: SystemSession,
  { quietLog = false }: { quietLog?: boolean } = {},
): Shell {
  if (!quietLog) session.kernel.log.watch((record) => context.err(printable(session.logLine(record)) + '\n'));
  return new Shell(
    {
      commands: session.commands.map((command) => ({
        ...command,
        run: async (call: ShellCall) => show(await session.run([command.name, ...call.args]), call),
      })),
      prompt: () => session.prompt,
      line: takesLines(session),
      writeFile: async (path, bytes, append) => {
        const result = await session.writeFile(path, bytes, append);
        if (result.code === 0) return;
        throw new Failure(result.err.trimEnd(), { hint: result.note, exitCode: result.code });
      },
      completePath: (prefix) => session.completePath?.(prefix) ?? [],
    },
    context.output,
  );
}

/** The session's own reading of a line, with what it gave shown. */
function takesLines(session: SystemSession) {
  if (session.line === undefined) return undefined;
  return async (text: string, call: ShellCall) => show((await session.line?.(text)) ?? NOTHING, call);
}

const NOTHING: ToolResult = { code: 0, out: '', err: '' };

const lined = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

export function show(result: ToolResult, call: Pick<ShellCall, 'out' | 'err'>): number {
  if (result.out !== '') call.out(lined(result.out));
  if (result.err !== '') call.err(lined(result.err));
  if (result.note !== undefined) call.err(`  ${result.note}\n`);
  return result.code;
}
