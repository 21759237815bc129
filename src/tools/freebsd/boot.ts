/**
 * `lkm boot freebsd`: the boot loader reads its configuration and puts files into memory, the kernel links them, rc(8)
 * loads kld_list, and devd(8) what devices without a driver want. Every step is told with the line that asked for it.
 */
import { FormatError } from '../../bytes/errors.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import { type KernelFile, readKernelFile } from '../../systems/freebsd/kernelfile.ts';
import { KldFile } from '../../systems/freebsd/kldfile.ts';
import { Loader } from '../../systems/freebsd/loader.ts';
import {
  DEFAULTS,
  grammarOf,
  type LoaderConf,
  type LoaderModule,
  readLoaderFiles,
} from '../../systems/freebsd/loaderconf.ts';
import { parseVersion, releaseOf } from '../../systems/freebsd/version.ts';
import type { Boot, BootOptions } from '../boot.ts';
import { Story } from '../boot-story.ts';
import type { ModuleFile, SystemFiles } from '../system.ts';
import { kldListOf, rcVariables } from './boot-tools.ts';
import { DEFAULT_VERSION } from './choices.ts';
import { autoload } from './devmatch.ts';
import { FreeBsdSession } from './session.ts';

/** Modules looked into for the release, when there is no file of the kernel. */
const MOST_ASKED = 20;

export function boot(options: BootOptions): Boot {
  const story = new FreeBsdStory(options);
  return { steps: story.steps, session: story.tell() };
}

const NOTHING: SystemFiles = { read: () => undefined, list: () => undefined, stat: () => undefined };

const lines = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

class FreeBsdStory extends Story {
  private readonly options: BootOptions;
  private readonly root: SystemFiles;

  constructor(options: BootOptions) {
    super();
    this.options = options;
    this.root = options.root ?? NOTHING;
  }

  tell(): FreeBsdSession | undefined {
    const release = parseVersion(this.options.settings?.get('release') ?? '');
    const { conf, files } = readLoaderFiles(this.root, grammarOf(release ?? DEFAULT_VERSION));
    for (const file of files) this.confFile(conf, file);
    const folder = this.kernelFolder(conf);
    const kernel = this.kernel(conf, folder);
    if (kernel === 'broken') return undefined;
    const session = this.session(kernel, folder);
    const modulePath = this.modulePath(conf, folder);
    const loader = new Loader(session.files, session.loaderKernel, modulePath);
    // What is kept out by default stands in the defaults; releases before 12 keep nothing out.
    if (files.includes(DEFAULTS) || session.choices.version < 1200000)
      loader.environment.delete('module_blacklist');
    for (const [name, value] of conf.environment) loader.environment.set(name, value);
    conf.environment.set('module_blacklist', loader.environment.get('module_blacklist') ?? '');
    loader.environment.set('module_path', modulePath);
    for (const command of conf.commands) {
      const said = lines(loader.command(command) ?? '');
      if (said.length > 0) this.add('loader', `exec ${command}`, 'note', { said });
    }
    for (const module of conf.modules.values()) if (module.load) this.preload(conf, loader, module);
    return this.start(session, loader) ? this.user(session) : undefined;
  }

  private confFile(conf: LoaderConf, file: string): void {
    const said = conf.problems.filter((problem) => problem.file === file).flatMap((problem) => problem.said);
    const malformed = said.some((line) => line.startsWith('Malformed line'));
    if (malformed) said.push(`Failed to parse config: '${file}'`);
    this.add('loader', file, 'note', said.length === 0 ? {} : { said });
  }

  /** `kernel="NAME"` of loader.conf, or a name on the loader's command line: `boot kernel.old`. */
  private kernelFolder(conf: LoaderConf): string {
    const given = (this.options.commandLine ?? '')
      .split(/\s+/)
      .find((word) => word !== '' && !word.startsWith('-'));
    const name = given ?? conf.environment.get('kernel') ?? 'kernel';
    return name.startsWith('/') ? name.replace(/\/kernel$/, '') : `/boot/${name}`;
  }

  private kernel(conf: LoaderConf, folder: string): KernelFile | undefined | 'broken' {
    const name = conf.environment.get('bootfile') ?? 'kernel';
    const path = [`${folder}/${name}`, `${folder}/${name}.gz`].find(
      (one) => this.root.read(one) !== undefined,
    );
    const bytes = path === undefined ? undefined : this.root.read(path);
    if (path === undefined || bytes === undefined) {
      const why =
        'There is no file of a kernel there: the base kernel starts in its place, with what GENERIC has built in.';
      this.add('kernel', folder, 'absent', { why });
      return undefined;
    }
    try {
      const kernel = readKernelFile(bytes, path);
      const { version, machine } = kernel;
      if (machine !== 'amd64' && machine !== 'i386') {
        const why = `It is a kernel for ${machine}, whose machine code does not run here.`;
        this.add('kernel', path, 'stopped', { why });
        return 'broken';
      }
      const why = `FreeBSD ${releaseOf(version)} (${version}) ${machine}, ${kernel.interfaces.length} interfaces built in.`;
      this.add('kernel', path, 'loaded', { why });
      return kernel;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const said = [`Failed to load kernel '${folder.replace(/^\/boot\//, '')}'`];
      this.add('kernel', path, 'stopped', { said, why: error.message });
      return 'broken';
    }
  }

  private session(kernel: KernelFile | undefined, folder: string): FreeBsdSession {
    const { options } = this;
    const named = kernel === undefined ? this.someModules(folder) : options.named;
    return new FreeBsdSession({ ...options, named }, options.root, kernel);
  }

  /** Without a kernel's file, modules beside where it would be say which release this is. */
  private someModules(folder: string): ModuleFile[] {
    const names = (this.root.list(folder) ?? []).filter((name) => name.endsWith('.ko')).slice(0, MOST_ASKED);
    for (const name of names) {
      const path = `${folder}/${name}`;
      const bytes = this.root.read(path);
      if (bytes !== undefined && builtFor(bytes) !== undefined) return [{ path, bytes }];
    }
    return [...(this.options.named ?? [])];
  }

  /** The loader puts the kernel's folder before module_path. */
  private modulePath(conf: LoaderConf, folder: string): string {
    const path = conf.environment.get('module_path') ?? '/boot/modules;/boot/dtb;/boot/dtb/overlays';
    return path.split(';').includes(folder) ? path : `${folder};${path}`;
  }

  private preload(conf: LoaderConf, loader: Loader, module: LoaderModule): void {
    const { outcome, said } = loader.configured(conf, module);
    const name = module.file ?? module.name;
    const more = { because: module.asked, said: lines(said) };
    if (outcome === 'blacklisted') {
      const why = 'module_blacklist names it. Modules that others depend on, and kld_list, pass it over.';
      this.add('loader', name, 'skipped', { ...more, why });
    } else this.add('loader', name, outcome === 'loaded' ? 'loaded' : 'absent', more);
  }

  /** The kernel links what lies in memory. */
  private start(session: FreeBsdSession, loader: Loader): boolean {
    session.restart(loader.environment);
    const { linker, k } = session.booted;
    const before = k.log.records.length;
    const { why: stopped, lacking } = linkAll(session, loader);
    const said = k.log.records.slice(before).map(({ text }) => text);
    const linked = new Set(
      linker.list().flatMap((file) => (linker.isLinked(file) ? [linker.fileName(file)] : [])),
    );
    for (const { name } of loader.preloaded) {
      const own = said.filter((line) => line.includes(name));
      const why = lacking.get(name);
      this.add('kernel', name, linked.has(name) ? 'loaded' : 'refused', {
        because: 'in memory from the loader',
        ...(own.length > 0 ? { said: own } : {}),
        ...(why === undefined ? {} : { why }),
      });
    }
    const rest = said.filter((line) => !loader.preloaded.some(({ name }) => line.includes(name)));
    if (rest.length > 0) this.add('kernel', 'messages', 'note', { said: rest });
    if (stopped !== undefined) this.add('kernel', 'modules from the loader', 'stopped', { why: stopped });
    return stopped === undefined;
  }

  /** What rc(8) and devd(8) load once the system is up. */
  private user(session: FreeBsdSession): FreeBsdSession {
    const { names, place } = kldListOf(session.files);
    for (const name of names) this.load(session, 'rc.d/kld', name, place);
    const enabled = rcVariables(session.files).get('devmatch_enable')?.value ?? 'YES';
    for (const event of session.unattached) {
      const device = event.replace(/^\? at /, '');
      if (/^(no|false|off|0)$/i.test(enabled)) {
        this.add('devmatch', device, 'skipped', { why: 'rc.conf has devmatch_enable off.' });
        continue;
      }
      const { code, out, err, note } = autoload(session, event);
      const outcome = out === '' ? 'absent' : code === 0 ? 'loaded' : 'refused';
      this.add('devmatch', device, outcome, {
        said: lines(out + err),
        ...(note === undefined ? {} : { why: note }),
      });
    }
    return session;
  }

  private load(session: FreeBsdSession, stage: string, name: string, because: string | undefined): void {
    const log = session.booted.k.log;
    const before = log.records.length;
    const present = session.booted.linker.findByName(name) !== undefined;
    const { code, err, note } = session.run(['kldload', '-n', name]);
    const said = [...lines(err), ...log.records.slice(before).map(({ text }) => text)];
    const gone = err.includes('No such file or directory');
    const outcome = code === 0 ? (present ? 'present' : 'loaded') : gone ? 'absent' : 'refused';
    const more = { ...(because === undefined ? {} : { because }), ...(said.length > 0 ? { said } : {}) };
    this.add(stage, name, outcome, { ...more, ...(note === undefined ? {} : { why: note }) });
  }
}

/**
 * Links the preloaded files. A file that uses what the base kernel lacks is left out, with the reason: the real kernel would
 * have gone on. A panic ends the start.
 */
function linkAll(
  session: FreeBsdSession,
  { preloaded }: Loader,
): { readonly why: string | undefined; readonly lacking: ReadonlyMap<string, string> } {
  const { linker } = session.booted;
  const lacking = new Map<string, string>();
  let waiting = preloaded.map(({ path }) => path);
  for (;;) {
    const result = session.call('kernel', linker.preload(waiting));
    if (result.outcome === 'done') return { why: undefined, lacking };
    if (result.outcome === 'failed') return { why: result.error.why, lacking };
    if (result.outcome === 'killed') return { why: result.why, lacking };
    const there = new Map(linker.list().map((file) => [linker.pathName(file), linker.isLinked(file)]));
    for (const [path, done] of there)
      if (!done) lacking.set(path.slice(path.lastIndexOf('/') + 1), result.missing.message);
    const left = waiting.filter((path) => !there.has(path));
    if (left.length === waiting.length) return { why: result.missing.message, lacking };
    waiting = left;
  }
}

function builtFor(bytes: Uint8Array): number | undefined {
  try {
    return new KldFile(readElfObject(bytes)).builtFor;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
