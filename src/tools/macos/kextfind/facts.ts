/** What kextfind asks of the kexts that it looks through: each question once for each kext. */
import { FormatError } from '../../../bytes/errors.ts';
import { architectureName } from '../../../formats/macho/fat.ts';
import { type MachoFile, readMachO } from '../../../formats/macho/read.ts';
import type { Kext } from '../../../systems/macos/library.ts';
import { type Resolution, resolveDependencies } from '../../../systems/macos/rules/dependencies.ts';
import { Diagnostics } from '../../../systems/macos/rules/diagnostics.ts';
import { baseName, folderOf } from '../../../systems/macos/tree.ts';
import type { MacosSession } from '../session.ts';

/** How paths are printed. */
export type PathStyle = 'full' | 'relative' | 'none';

export class FoundKexts {
  readonly session: MacosSession;
  /** Those that are searched. */
  readonly all: readonly Kext[];
  private readonly known: readonly Kext[];
  private readonly paths: PathStyle;
  private readonly resolved = new Map<Kext, Resolution>();

  constructor(session: MacosSession, searched: readonly string[], paths: PathStyle) {
    this.session = session;
    this.known = session.kexts(searched);
    const within = session.library.scan(searched).map(({ path }) => path);
    this.all = this.known.filter(({ path }) => within.includes(path));
    this.paths = paths;
  }

  /** Of a kext or of something in it, as the options want it. */
  path({ path }: Kext, inside = ''): string {
    if (this.paths === 'none') return inside === '' ? baseName(path) : inside.slice(1);
    return (this.paths === 'relative' ? this.relative(path) : path) + inside;
  }

  private relative(path: string): string {
    const outer = /^(.*?\.kext)(\/.*)?$/.exec(path)?.[1] ?? path;
    return path.slice(folderOf(outer).length).replace(/^\//, '');
  }

  isPlugIn({ path }: Kext): boolean {
    return /\.kext\/.*\.kext$/.test(path);
  }

  plugIns(kext: Kext): readonly Kext[] {
    const paths = kext.bundle.plugIns;
    return this.known.filter(({ path }) => paths.includes(path));
  }

  valid(kext: Kext): boolean {
    return !kext.validation.has('validation') && !kext.validation.has('boot');
  }

  authentic(kext: Kext): boolean {
    return !kext.authentication.has('authentication');
  }

  private resolution(kext: Kext): Resolution {
    const before = this.resolved.get(kext);
    if (before !== undefined) return before;
    const { session } = this;
    const result = resolveDependencies(kext, {
      kexts: this.known,
      loaded: session.kernel.kexts.all,
      darwin: session.choices.release.darwin,
      is64Bit: true,
    });
    this.resolved.set(kext, result);
    return result;
  }

  dependenciesMet(kext: Kext): boolean {
    return this.valid(kext) && !this.resolution(kext).found.has('dependencies');
  }

  loadable(kext: Kext): boolean {
    return this.valid(kext) && this.authentic(kext) && this.dependenciesMet(kext);
  }

  /** In the kernel with the same version and executable. */
  loaded(kext: Kext): boolean {
    const found = this.session.loaded(kext.identifier);
    return found !== undefined && found.version === kext.info.version && found.uuid === uuidOf(kext);
  }

  dependencies(kext: Kext): readonly Kext[] {
    return this.resolution(kext).order;
  }

  dependents(kext: Kext): readonly Kext[] {
    return this.known.filter((one) => one !== kext && this.dependencies(one).includes(kext));
  }

  diagnostics(kext: Kext): Diagnostics {
    const all = new Diagnostics();
    all.merge(kext.validation);
    all.merge(kext.authentication);
    all.merge(this.resolution(kext).found);
    return all;
  }

  duplicate(kext: Kext): boolean {
    return this.known.some((one) => one !== kext && one.identifier === kext.identifier);
  }

  /** OSBundleEnableKextLogging, or IOKitDebug in a personality. */
  debug({ info }: Kext): boolean {
    const flags = [...info.personalities.values()].map(({ IOKitDebug: value }) => value ?? 0);
    return info.flag('OSBundleEnableKextLogging') || flags.some((value) => Number(value) !== 0);
  }

  architectures({ bundle }: Kext): readonly string[] {
    try {
      return bundle.slices.map(({ cputype, cpusubtype }) => architectureName(cputype, cpusubtype));
    } catch (error) {
      if (error instanceof FormatError) return [];
      throw error;
    }
  }

  /** Does any architecture define it, or need it? */
  symbol(kext: Kext, name: string): 'defines' | 'references' | '' {
    for (const file of files(kext)) {
      const found = file.symbols()?.all.find((symbol) => symbol.name === name && symbol.kind !== 'debug');
      if (found !== undefined) return found.kind === 'undefined' ? 'references' : 'defines';
    }
    return '';
  }
}

function files({ bundle }: Kext): MachoFile[] {
  try {
    return bundle.slices.map(({ bytes }) => {
      const file = readMachO(bytes);
      file.symbols();
      return file;
    });
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}

function uuidOf(kext: Kext): string | undefined {
  const bytes = kext.executable;
  return bytes === undefined ? undefined : readMachO(bytes).uuid;
}
