/**
 * The boot loader's part (stand/common/module.c, stand/lua): which files lie in memory when the kernel starts, and what
 * its environment says. Its prompt knows load, unload, lsmod, set, unset, show and boot.
 */
import { FormatError } from '../../bytes/errors.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import type { VersionRange } from './kld.ts';
import { KldFile } from './kldfile.ts';
import { isBlacklisted, type LoaderConf, type LoaderModule } from './loaderconf.ts';
import { type FileSource, ModuleSearch } from './search.ts';

export interface Preloaded {
  readonly path: string;
  readonly name: string;
  readonly kld: KldFile;
}

/** Default module_blacklist of releases 12 and 13 (stand/defaults/loader.conf). */
const DEFAULT_BLACKLIST = 'drm drm2 radeonkms i915kms amdgpu';

export class Loader {
  readonly environment = new Map<string, string>([['module_blacklist', DEFAULT_BLACKLIST]]);
  /** In the order they were loaded. */
  readonly preloaded: Preloaded[] = [];
  private readonly search: ModuleSearch;

  constructor(files: FileSource, modulePath?: string) {
    this.search = new ModuleSearch(files, modulePath);
    this.environment.set('module_path', this.search.path);
  }

  /** One line at the prompt; what the loader prints. Undefined for `boot`. */
  command(line: string): string | undefined {
    const [word = '', ...args] = line.trim().split(/\s+/);
    switch (word) {
      case 'boot':
        return undefined;
      case 'load':
        return this.load(args.filter((arg, i) => arg !== '-t' && args[i - 1] !== '-t')[0]);
      case 'unload':
        this.preloaded.length = 0;
        return '';
      case 'lsmod':
        return this.list();
      case 'set':
        return this.set(args.join(' '));
      case 'unset':
        this.environment.delete(args[0] ?? '');
        return '';
      case 'show':
        return this.show(args[0]);
      default:
        return word === '' ? '' : `unknown command\n`;
    }
  }

  private set(text: string): string {
    const match = /^([\w.-]+)=(?:"(.*)"|(.*))$/.exec(text);
    if (match === null) return 'wrong number of arguments\n';
    this.environment.set(match[1], match[2] ?? match[3]);
    return '';
  }

  private show(name: string | undefined): string {
    if (name !== undefined) {
      const value = this.environment.get(name);
      return value === undefined ? `variable '${name}' not found\n` : `${value}\n`;
    }
    return [...this.environment].map(([key, value]) => `${key}=${value}\n`).join('');
  }

  private list(): string {
    return this.preloaded
      .map(({ path, kld }) => {
        const modules = kld.versions.map(({ name, version }) => `${name}.${version}`);
        const tail = modules.length === 0 ? '' : `  modules: ${modules.join(' ')}\n`;
        return `${path} (elf module)\n${tail}`;
      })
      .join('');
  }

  /** Loads a file and what it depends on into memory. */
  private load(name: string | undefined): string {
    if (name === undefined) return 'no filename specified\n';
    const path = this.search.file(name);
    if (path === undefined) return `can't find '${name}'\n`;
    return this.loadFile(path);
  }

  private loadFile(path: string, depth = 0): string {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (this.preloaded.some((one) => one.path === path) || depth > 32) return '';
    const bytes = this.search.read(path);
    if (bytes === undefined) return `can't find '${name}'\n`;
    let kld: KldFile;
    try {
      kld = new KldFile(readElfObject(bytes));
    } catch (error) {
      if (error instanceof FormatError) return `can't load file '${path}': Exec format error\n`;
      throw error;
    }
    this.preloaded.push({ path, name, kld });
    return `${path} size 0x${bytes.length.toString(16)}\n${this.loadRequired(kld, depth)}`;
  }

  private loadRequired(kld: KldFile, depth: number): string {
    let text = '';
    for (const { name, ...range } of kld.depends) {
      if (name === 'kernel' || this.provides(name, range) || kld.versions.some((own) => own.name === name))
        continue;
      const path = this.search.module(name, range, () => undefined);
      if (path === undefined) continue;
      text += `loading required module '${name}'\n${this.loadFile(path, depth + 1)}`;
    }
    return text;
  }

  private provides(name: string, { minimum, maximum }: VersionRange): boolean {
    return this.preloaded.some(({ kld }) =>
      kld.versions.some((one) => one.name === name && one.version >= minimum && one.version <= maximum),
    );
  }

  /** What the loader does with loader.conf at boot: the kernel first, then every module that is to be loaded. */
  configure(conf: LoaderConf): string {
    for (const [name, value] of conf.environment) this.environment.set(name, value);
    conf.environment.set('module_blacklist', this.environment.get('module_blacklist') ?? '');
    this.search.path = this.environment.get('module_path') ?? this.search.path;
    let text = conf.problems.map(({ line, text: bad }) => `Malformed line (${line}):\n\t'${bad}'\n`).join('');
    text += 'Loading kernel...\nLoading configured modules...\n';
    for (const module of conf.modules.values()) if (module.load) text += this.configured(conf, module);
    return text;
  }

  private configured(conf: LoaderConf, module: LoaderModule): string {
    const name = module.file ?? module.name;
    if (isBlacklisted(conf, module)) return `Not loading blacklisted module '${name}'\n`;
    let text = module.before === undefined ? '' : (this.command(module.before) ?? '');
    const count = this.preloaded.length;
    text += this.load(name);
    const failed = this.preloaded.length === count && this.search.file(name) === undefined;
    const after = failed ? module.error : module.after;
    if (failed) text += 'failed!\n';
    return after === undefined ? text : text + (this.command(after) ?? '');
  }
}
