/** `lkm boot SYSTEM`: a start, told step by step, and a kernel that stays. */
import type { BootStep } from '../../tools/boot.ts';
import { statIfAny } from '../../tools/stat-if-any.ts';
import { SettingError } from '../../tools/system.ts';
import { loadSystem } from '../../tools/systems.ts';
import { bootScreen } from '../boot-screen.ts';
import type { Command, CommandContext, HeldKernel } from '../command.ts';
import { engineOf } from '../engine.ts';
import { EXIT_FAILED, Failure, usageError } from '../failure.ts';
import { isKept } from '../resident/client.ts';
import { IDLE_MINUTES } from '../resident/limits.ts';
import { startKeeper } from '../resident/start.ts';
import { RootFiles } from '../root-files.ts';
import { systemNamed } from '../system-named.ts';
import { HostFiles, settingsOf } from '../system-session.ts';

/** What a start came to. */
export interface BootStory {
  readonly release: string;
  readonly steps: readonly BootStep[];
  /** undefined: the system did not come up. */
  readonly held: HeldKernel | undefined;
}

export const command: Command = {
  async run(context) {
    const { options, resident } = context;
    const system = systemNamed(context.args[0]);
    if (options.flag('once') || resident !== undefined) return await tell(context, system);
    if (await isKept(context, system)) {
      const hint = `\`lkm halt ${system}\` ends it; LKM_RUNTIME_DIR names a folder for another`;
      throw new Failure('a kernel is kept already', { subject: system, hint });
    }
    return await startKeeper(context, options.integer('idle') ?? IDLE_MINUTES);
  },
};

/** Boots in this process, and shows how it went. */
async function tell(context: CommandContext, system: string): Promise<number> {
  const story = await (system === 'linux' ? bootLinux(context) : bootNative(context, system));
  const { release, steps, held } = story;
  if (held !== undefined) context.resident?.hold(held);
  if (context.options.flag('json'))
    context.json('lkm.boot/1', { system, release, up: held !== undefined, steps });
  else bootScreen(context, system, story);
  return held === undefined ? EXIT_FAILED : 0;
}

async function bootLinux(context: CommandContext): Promise<BootStory> {
  const linux = await import('../boot-linux.ts');
  return await linux.bootLinux(context);
}

async function bootNative(context: CommandContext, name: string): Promise<BootStory> {
  for (const option of ['kernel', 'grub', 'entry', 'initramfs', 'modalias'])
    if (context.options.text(option) !== undefined)
      throw usageError(`--${option} is for linux`, `lkm ${name} --settings lists what can be chosen here`);
  const system = await loadSystem(name);
  const { options } = context;
  const folder = options.text('root');
  const files = new HostFiles(context, name);
  const settings = new Map(settingsOf(context));
  // An archive of a machine's files is a setting of the systems that take one.
  const archived = folder !== undefined && system.archives === true && statIfAny(folder)?.isFile() === true;
  if (archived) settings.set('root', folder);
  const root = folder === undefined || archived ? undefined : new RootFiles(folder);
  const user = options.text('as') ?? 'root';
  const common = { files, seed: options.integer('seed'), engine: engineOf(context), user, settings };
  try {
    if (system.boot === undefined) {
      if (root !== undefined) throw usageError(`${system.title} has no --root yet`, 'leave it out');
      return told(name, [], await system.start(common));
    }
    const boot = await system.boot({ ...common, root, commandLine: options.text('append') });
    return told(name, boot.steps, boot.session, system.title);
  } catch (error) {
    if (error instanceof SettingError) throw usageError(error.message, error.hint);
    throw error;
  }
}

function told(
  system: string,
  steps: readonly BootStep[],
  session: (HeldKernel['session'] & { readonly release: string }) | undefined,
  title = system,
): BootStory {
  const release = session?.release ?? title;
  return { release, steps, held: session === undefined ? undefined : { system, release, session } };
}
