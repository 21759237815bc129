/**
 * The boot loader's part (stand/common/module.c, stand/lua): which files lie in memory when the kernel starts, and what
 * its environment says. Its prompt knows load, unload, lsmod, set, unset, show, boot, and the words for modules of
 * loader.conf (loader-modules.ts).
 */
import { FormatError } from '../../bytes/errors.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import type { BuiltIn, VersionRange } from './kld.ts';
import { KldFile } from './kldfile.ts';
import { ModuleChoices } from './loader-modules.ts';
import { type LoadedSize, loadedSize } from './loader-size.ts';
import { isBlacklisted, type LoaderConf, type LoaderModule } from './loaderconf.ts';
import { type FileSource, ModuleSearch } from './search.ts';
import { majorOf } from './version.ts';

export interface Preloaded {
  readonly path: string;
  readonly name: string;
  readonly kld: KldFile;
  /** Where the loader put it, and how much it takes there with its symbols. */
  readonly address: number;
  readonly size: number;
}

/** The kernel that the loader starts: what it has built in, and how large it is. */
export interface LoaderKernel {
  readonly interfaces: readonly BuiltIn[];
  /** `__FreeBSD_version` */
  readonly version: number;
  readonly bytes: number;
}

/** Where the loader of amd64 and i386 puts a kernel. */
const KERNEL_AT = 0x200000;
const PAGE = 4096;

export interface ConfiguredModule {
  readonly outcome: 'loaded' | 'failed' | 'blacklisted';
  readonly said: string;
}

/** Default module_blacklist of releases 12 and 13 (stand/defaults/loader.conf). */
const DEFAULT_BLACKLIST = 'drm drm2 radeonkms i915kms amdgpu';

export class Loader {
  readonly environment = new Map<string, string>();
  /** In the order they were loaded. */
  readonly preloaded: Preloaded[] = [];
  private readonly search: ModuleSearch;
  private readonly kernel: LoaderKernel;
  private choices: ModuleChoices | undefined;

  /** The kernel is there from the start, as loader.conf has it loaded before the prompt is asked for. */
  constructor(files: FileSource, kernel: LoaderKernel, modulePath?: string) {
    this.kernel = kernel;
    this.search = new ModuleSearch(files, modulePath);
    this.environment.set('module_path', this.search.path);
    // The Forth of releases up to 11 knows no blacklist.
    if (majorOf(kernel.version) >= 12) this.environment.set('module_blacklist', DEFAULT_BLACKLIST);
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
      case 'echo':
        return `${args.join(' ')}\n`;
      // The Forth loader of releases up to 11 says things this way.
      case '.(':
        return `${args.join(' ').replace(/\).*$/, '').trim()}\n`;
      case 'set':
        return this.set(args.join(' '));
      case 'unset':
        this.environment.delete(args[0] ?? '');
        return '';
      case 'show':
        return this.show(args[0]);
      default:
        return word === '' ? '' : (this.choices?.command(word, args[0]) ?? this.unknown(word));
    }
  }

  /** Ficl's answer to a word that it does not have, and that of the loader's own table under Lua. */
  private unknown(word: string): string {
    return majorOf(this.kernel.version) < 12 ? `${word} not found\n` : 'unknown command\n';
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
    const { version, bytes, interfaces } = this.kernel;
    const row = (address: number, path: string, type: string, size: number, modules: readonly BuiltIn[]) => {
      const names = modules.map((one) => `${one.name}.${one.version} `).join('');
      const first = ` 0x${address.toString(16)}: ${path} (${type}, 0x${size.toString(16)})\n`;
      return names === '' ? first : `${first}  modules: ${names}\n`;
    };
    const own = [{ name: 'kernel', version }, ...interfaces];
    const kernel = row(KERNEL_AT, '/boot/kernel/kernel', 'elf kernel', bytes, own);
    const files = this.preloaded.map(({ path, kld, address, size }) =>
      row(
        address,
        path,
        kld.file.kind === 'relocatable' ? 'elf obj module' : 'elf module',
        size,
        kld.versions,
      ),
    );
    return kernel + files.join('');
  }

  /** Loads a file and what it depends on into memory. */
  private load(name: string | undefined): string {
    if (name === undefined) return 'no filename specified\n';
    return this.loadNamed(name).text;
  }

  private loadNamed(name: string): { readonly text: string; readonly done: boolean } {
    const path = this.search.file(name) ?? this.search.module(name, undefined, () => undefined);
    if (path === undefined) return { text: `can't find '${name}'\n`, done: false };
    const before = this.preloaded.length;
    const text = this.loadFile(path);
    if (this.preloaded.some((one) => one.path === path)) return { text, done: true };
    this.preloaded.length = before;
    return { text, done: false };
  }

  private loadFile(path: string, depth = 0): string {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (this.preloaded.some((one) => one.path === path) || depth > 32) return '';
    const bytes = this.search.read(path);
    if (bytes === undefined) return `can't find '${name}'\n`;
    let kld: KldFile;
    let loaded: LoadedSize;
    try {
      kld = new KldFile(readElfObject(bytes));
      loaded = loadedSize(bytes);
    } catch (error) {
      if (error instanceof FormatError) return `can't load file '${path}': Exec format error\n`;
      throw error;
    }
    const last = this.preloaded.at(-1);
    const end = last === undefined ? KERNEL_AT + this.kernel.bytes : last.address + last.size;
    const address = Math.ceil(end / PAGE) * PAGE;
    const { size, text } = loaded;
    const one = { path, name, kld, address, size };
    this.preloaded.push(one);
    const said = `${path} ${text ?? `size 0x${size.toString(16)} at 0x${address.toString(16)}`}\n`;
    const required = this.loadRequired(kld, depth);
    // A file whose dependencies cannot be had is given up again (mod_loadkld of stand/common/module.c).
    if (!required.complete) this.preloaded.splice(this.preloaded.indexOf(one), 1);
    return said + required.text;
  }

  private loadRequired(kld: KldFile, depth: number): { readonly text: string; readonly complete: boolean } {
    let text = '';
    for (const { name, ...range } of kld.depends) {
      if (name === 'kernel' || this.provides(name, range) || kld.versions.some((own) => own.name === name))
        continue;
      text += `loading required module '${name}'\n`;
      const path = this.search.module(name, range, () => undefined);
      if (path === undefined) return { text: `${text}can't find '${name}'\n`, complete: false };
      text += this.loadFile(path, depth + 1);
      if (this.provides(name, range)) continue;
      if (this.preloaded.some((one) => one.path === path))
        text += `module '${name}' exists but with wrong version\n`;
      return { text, complete: false };
    }
    return { text, complete: true };
  }

  private provides(name: string, range: VersionRange): boolean {
    const fits = (one: BuiltIn) =>
      one.name === name && one.version >= range.minimum && one.version <= range.maximum;
    return this.kernel.interfaces.some(fits) || this.preloaded.some(({ kld }) => kld.versions.some(fits));
  }

  /** What the loader does with loader.conf at boot: the kernel first, then every module that is to be loaded. */
  configure(conf: LoaderConf): string {
    this.choices = new ModuleChoices(conf, this.kernel.version);
    for (const [name, value] of conf.environment) this.environment.set(name, value);
    conf.environment.set('module_blacklist', this.environment.get('module_blacklist') ?? '');
    this.search.path = this.environment.get('module_path') ?? this.search.path;
    let text = conf.problems.map(({ said }) => `${said.join('\n')}\n`).join('');
    text += 'Loading kernel...\nLoading configured modules...\n';
    for (const module of conf.modules.values()) if (module.load) text += this.configured(conf, module).said;
    return text;
  }

  /** `boot`: what was enabled at the prompt is loaded now, what was disabled there is not taken along. */
  finish(): string {
    let text = '';
    for (const module of this.choices?.changed ?? []) {
      const name = module.file ?? module.name;
      const at = this.preloaded.findIndex((one) => one.name === name || one.name === `${name}.ko`);
      if (at >= 0 && !module.load) this.preloaded.splice(at, 1);
      else if (at < 0 && module.load && this.isModule(module)) text += this.loadNamed(name).text;
    }
    return text;
  }

  /** One module of loader.conf that is to be loaded. */
  configured(conf: LoaderConf, module: LoaderModule): ConfiguredModule {
    const name = module.file ?? module.name;
    // What is not the loader's own command is said only when verbose_loading wants it.
    const verbose = conf.environment.get('verbose_loading')?.toLowerCase() === 'yes';
    const tell = (text: string) => (verbose ? text : '');
    if (majorOf(this.kernel.version) >= 12 && isBlacklisted(conf, module))
      return { outcome: 'blacklisted', said: tell(`Not loading blacklisted module '${name}'\n`) };
    let said = tell(`${name}...`);
    said += module.before === undefined ? '' : (this.command(module.before) ?? '');
    const result = this.isModule(module) ? this.loadNamed(name) : this.loadData(name);
    said += result.text;
    if (!result.done) said += tell('failed!\n');
    else if (module.after !== undefined) said += tell('ok\n');
    const after = result.done ? module.after : module.error;
    if (after !== undefined) said += this.command(after) ?? '';
    return { outcome: result.done ? 'loaded' : 'failed', said };
  }

  /** `_type` names what is no module: a picture, entropy, microcode, the image of a memory disk. */
  private isModule({ type }: LoaderModule): boolean {
    return type === undefined || type === '' || type === 'module' || /elf/.test(type);
  }

  private loadData(name: string): { readonly text: string; readonly done: boolean } {
    const path = this.search.file(name);
    const bytes = path === undefined ? undefined : this.search.read(path);
    if (bytes === undefined) return { text: `can't find '${name}'\n`, done: false };
    return { text: `${path} size=0x${bytes.length.toString(16)}\n`, done: true };
  }
}
