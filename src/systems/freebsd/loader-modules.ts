/**
 * Words of the loader's prompt for modules of loader.conf: stand/forth/loader.4th up to 11, stand/lua/cli.lua from 13 on. The Lua
 * of 12 has none of them.
 */
import { isBlacklisted, type LoaderConf, type LoaderModule, moduleNamed } from './loaderconf.ts';
import { majorOf } from './version.ts';

/** What was said at the prompt, for the boot. */
export class ModuleChoices {
  readonly conf: LoaderConf;
  /** Asked for at the prompt: a blacklist no longer counts. */
  private readonly forced = new Set<string>();
  /** In the order they were named. */
  readonly changed = new Set<LoaderModule>();
  private readonly version: number;

  constructor(conf: LoaderConf, version: number) {
    this.conf = conf;
    this.version = version;
  }

  /** What the word prints; undefined for a word that this release does not have. */
  command(word: string, name: string | undefined): string | undefined {
    const [forth, lua] = [majorOf(this.version) < 12, majorOf(this.version) > 12];
    if (!forth && !lua) return undefined;
    switch (word) {
      case 'enable-module':
      case 'disable-module':
      case 'toggle-module':
        if (name === undefined) return lua ? `usage error: ${word} module\n` : '';
        return lua ? this.choose(word, name) : this.flag(word, name);
      case 'show-module-options':
        return lua ? [...this.conf.modules.values()].map((one) => this.options(one)).join('\n') : undefined;
      default:
        return undefined;
    }
  }

  wants(module: LoaderModule): boolean {
    return module.load && (this.forced.has(module.name) || !isBlacklisted(this.conf, module));
  }

  /** Lua makes a module that no file names; to keep one away that nobody knows says nothing. */
  private choose(word: string, name: string): string {
    const known = this.conf.modules.get(name);
    const on =
      word === 'enable-module' || (word === 'toggle-module' && (known === undefined || !this.wants(known)));
    if (!on && known === undefined) return '';
    return this.set(moduleNamed(this.conf, name), on);
  }

  /** Forth looks for the module among those that files name. */
  private flag(word: string, name: string): string {
    const known = this.conf.modules.get(name);
    if (known === undefined) return '';
    const on = word === 'enable-module' || (word === 'toggle-module' && !known.load);
    return this.set(known, on);
  }

  private set(module: LoaderModule, on: boolean): string {
    module.load = on;
    this.changed.add(module);
    if (on) this.forced.add(module.name);
    else this.forced.delete(module.name);
    return `${module.name} will ${on ? '' : 'not '}be loaded\n`;
  }

  private options(module: LoaderModule): string {
    const { name, file, type, flags, before, after, error, load } = module;
    const status =
      isBlacklisted(this.conf, module) && !this.forced.has(name)
        ? 'Blacklisted'
        : load
          ? 'Load'
          : "Don't load";
    const rows: readonly (readonly [string, string | undefined])[] = [
      ['Name', name],
      ['Path', file],
      ['Type', type],
      ['Flags', flags],
      ['Before load', before],
      ['After load', after],
      ['Error', error],
      ['Status', status],
    ];
    return rows
      .filter(([, value]) => value !== undefined)
      .map(([label, value]) => `${`${label}:`.padEnd(13)}${value}\n`)
      .join('');
  }
}
