/**
 * `lkm boot solaris`: /etc/system is read, its module path and values hold, modules are excluded and loaded by force, drivers
 * are bound to their numbers. Every step is told with the line that asked for it.
 */
import { FormatError } from '../../bytes/errors.ts';
import { configuration, textOf } from '../../systems/solaris/configuration.ts';
import { parseSystemFile, type SystemFile } from '../../systems/solaris/etc/system-file.ts';
import { isaBits, readKernelParts, type SolarisKernelFile } from '../../systems/solaris/kernelfile.ts';
import { moduleName } from '../../systems/solaris/modctl.ts';
import { modctls } from '../../systems/solaris/modules.ts';
import { checkModule } from '../../systems/solaris/rules/check.ts';
import type { Boot, BootOptions, BootOutcome } from '../boot.ts';
import { Story } from '../boot-story.ts';
import type { SystemFiles } from '../system.ts';
import { viewOf } from './check-command.ts';
import { SolarisSession } from './session.ts';

const NOTHING: SystemFiles = { read: () => undefined, list: () => undefined, stat: () => undefined };

/** unix and genunix, the widest first: that is what the boot archive's menu starts. */
const KERNELS = [
  ['/platform/i86pc/kernel/amd64/unix', '/kernel/amd64/genunix'],
  ['/platform/i86pc/kernel/unix', '/kernel/genunix'],
] as const;

export function boot(options: BootOptions): Boot {
  const story = new SolarisStory(options);
  return { steps: story.steps, session: story.tell() };
}

class SolarisStory extends Story {
  private readonly options: BootOptions;
  private readonly root: SystemFiles;

  constructor(options: BootOptions) {
    super();
    this.options = options;
    this.root = options.root ?? NOTHING;
  }

  tell(): SolarisSession | undefined {
    const kernel = this.kernel();
    if (kernel === 'broken') return undefined;
    const bits = kernel === undefined ? undefined : isaBits(kernel.isa);
    const session = new SolarisSession(this.options, this.options.root, bits);
    const path = '/etc/system';
    const text = textOf(session.files.read(path));
    const system = parseSystemFile(text, path);
    const lines = text.split('\n');
    const place = (line: number) => `${path}:${line} ${(lines[line - 1] ?? '').trim()}`;
    this.systemFile(session, system, place);
    this.modules(session, system, (command, name) => {
      const at = lines.findIndex(
        (line) => new RegExp(`^\\s*${command}\\s*:`, 'i').test(line) && line.includes(name),
      );
      return at < 0 ? path : place(at + 1);
    });
    this.drivers(session);
    if (session.kernel.panicked === undefined) return session;
    this.add('kernel', 'unix', 'stopped', { why: `The kernel panicked: ${session.kernel.panicked}.` });
    return undefined;
  }

  private kernel(): SolarisKernelFile | undefined | 'broken' {
    for (const [unix, genunix] of KERNELS) {
      const parts = [unix, genunix].flatMap((path) => {
        const bytes = this.root.read(path);
        return bytes === undefined ? [] : [{ path, bytes }];
      });
      if (parts.length === 0) continue;
      try {
        const kernel = readKernelParts(parts);
        for (const { path } of parts) this.add('kernel', path, 'loaded');
        if (!kernel.complete)
          this.add('kernel', genunix, 'absent', { why: 'unix alone does not come up on a real machine.' });
        return kernel;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        this.add('kernel', parts[0].path, 'stopped', { why: error.message });
        return 'broken';
      }
    }
    this.add('kernel', KERNELS[0][0], 'absent', {
      why: 'There is no file of a kernel there: the base kernel starts in its place.',
    });
    return undefined;
  }

  /** What the file sets, and what of it cannot be. */
  private systemFile(session: SolarisSession, system: SystemFile, place: (line: number) => string): void {
    const stage = '/etc/system';
    const log = session.kernel.log.records.map(({ text }) => text);
    for (const { text, line } of system.errors)
      this.add(stage, `line ${line}`, 'refused', { because: place(line), said: [text] });
    const { modulePath } = session.kernel.state(configuration);
    this.add(stage, 'moddir', 'note', { why: `Modules are looked for in ${modulePath.join(' ')}.` });
    for (const name of system.exclude)
      this.add(stage, name, 'skipped', { why: 'exclude: it will not be loaded.' });
    for (const { module, symbol, line, only } of system.assignments) {
      const name = module === '' ? symbol : `${module}:${symbol}`;
      const because = place(line);
      if (only !== undefined && only !== session.kernel.bits)
        this.add(stage, name, 'skipped', { because, why: `It is for kernels of ${only} bits.` });
      else {
        const wrong = log.filter((text) => text.includes(`variable '${symbol}' is not defined`));
        const later = module !== '' && session.kernel.state(modctls).byName(module)?.get('loaded') !== 1;
        if (wrong.length > 0) this.add(stage, name, 'refused', { because, said: wrong.slice(0, 1) });
        else
          this.add(stage, name, 'note', { because, why: later ? `Set when ${module} is loaded.` : 'Set.' });
      }
    }
  }

  private modules(
    session: SolarisSession,
    system: SystemFile,
    place: (command: string, name: string) => string,
  ): void {
    const log = session.kernel.log.records.map(({ text }) => text);
    for (const name of system.forceload) {
      const because = place('forceload', name);
      const modctl = session.kernel.state(modctls).byName(moduleName(name));
      const failed = log.some((text) => text.includes(`forceload of ${name} failed`));
      if (!failed && modctl?.get('installed') === 1) {
        this.add('forceload', name, 'loaded', { because });
        continue;
      }
      const own = moduleName(name);
      const said = log.filter(
        (text) => text.includes(name) || text.includes(`/${own}`) || text.includes(`'${own}'`),
      );
      const { outcome, why, rule } = reason(session, name);
      this.add('forceload', name, outcome, { because, said, why, ...(rule === undefined ? {} : { rule }) });
    }
  }

  private drivers(session: SolarisSession): void {
    const { majors, sysnums } = session.kernel.state(configuration);
    this.add('drivers', '/etc/name_to_major', 'note', {
      why: `${majors.size} drivers and ${sysnums.size} system calls are bound to numbers; they are loaded when they are used.`,
    });
  }
}

/** Why a module of forceload is not there, by the rules of a load. */
function reason(session: SolarisSession, name: string): { outcome: BootOutcome; why: string; rule?: string } {
  const view = viewOf(session);
  const { files, modulePath } = session.kernel.state(configuration);
  const slash = name.lastIndexOf('/');
  const wide =
    session.kernel.bits === 64 ? `${name.slice(0, slash + 1)}amd64/${name.slice(slash + 1)}` : name;
  for (const folder of modulePath) {
    const path = `${folder}/${wide}`;
    const bytes = files.read(path);
    if (bytes === undefined) continue;
    const refused = checkModule(view, bytes, path).find(({ verdict }) => verdict === 'refuse');
    if (refused?.rule === 'excluded') return { outcome: 'skipped', why: refused.why, rule: refused.rule };
    if (refused !== undefined) return { outcome: 'refused', why: refused.why, rule: refused.rule };
    return { outcome: 'refused', why: 'No rule of the loader refuses it: its _init did.', rule: 'init' };
  }
  return { outcome: 'absent', why: `There is no ${wide} in ${modulePath.join(' ')}.` };
}
