/** kextlibs(8): which libraries a kext's symbols come from, architecture by architecture. */
import { FormatError } from '../../bytes/errors.ts';
import { architectureName } from '../../formats/macho/fat.ts';
import { readMachO } from '../../formats/macho/read.ts';
import { exportsOf } from '../../systems/macos/check/symbols.ts';
import { architectureOf } from '../../systems/macos/describe.ts';
import { KPI_KEXTS, KpiSymbols } from '../../systems/macos/kpi.ts';
import type { Kext } from '../../systems/macos/library.ts';
import { baseName } from '../../systems/macos/tree.ts';
import { formatVersion, parseVersion } from '../../systems/macos/version.ts';
import { Answer, type Tool } from './answer.ts';
import { kextAt } from './loading.ts';
import { type OptionSpec, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';
import { EX_USAGE } from './sysexits.ts';

const OPTIONS: readonly OptionSpec[] = [
  { letter: 'c', long: 'compatible-versions' },
  { letter: '', long: 'arch', value: true },
  { letter: '', long: 'all-symbols' },
  { letter: '', long: 'onedef-symbols' },
  { letter: '', long: 'multdef-symbols' },
  { letter: '', long: 'undef-symbols' },
  { letter: '', long: 'unsupported' },
  { letter: '', long: 'xml' },
  { letter: 'r', long: 'repository', value: true },
  { letter: 'e', long: 'system-extensions' },
  { letter: 'h', long: 'help' },
];
const USAGE = 'usage: kextlibs [options] kext\n\nuse kextlibs -help for a list of options\n';
const EXIT = { undefined: 1, multiple: 2 } as const;
/** Interfaces that are not offered unless asked for. */
const RESERVED = /\.(unsupported|private|dsep)$/;

export const kextlibs: Tool = {
  name: 'kextlibs',
  usage:
    '[-c] [-xml] [-all-symbols|-undef-symbols|-onedef-symbols|-multdef-symbols] [-unsupported] [-r FOLDER] KEXT',
  summary: 'find the libraries that a kernel extension needs',
  run: (session, args) => {
    const { flags, values, operands, unknown } = parseOptions(args, OPTIONS);
    if (flags.has('help')) return { code: 0, out: USAGE, err: '' };
    const [word] = operands;
    if (word === undefined && unknown === undefined)
      return { code: EX_USAGE, out: '', err: `No kext specified.${USAGE}` };
    if (unknown !== undefined || word === undefined) return { code: EX_USAGE, out: '', err: USAGE };
    const kext = kextAt(session, word);
    if (kext === undefined || kext instanceof FormatError)
      return { code: EX_USAGE, out: '', err: `Can't create kernel extension from ${word}.\n` };
    const repositories = (values.get('repository') ?? []).map(
      (one) => session.locate(one) ?? session.absolute(one),
    );
    const own = repositories.length === 0 || flags.has('system-extensions');
    const others = own ? session.kexts(repositories) : session.library.scan(repositories);
    const wanted = values.get('arch') ?? [];
    return new Search(session, kext, flags, others).run(wanted);
  },
};

/** A library that offers symbols: a KPI of the kernel, or a kext. */
interface Offer {
  readonly identifier: string;
  readonly path: string;
  /** As the tool writes versions, and as the property list has it. */
  readonly version: string;
  readonly stated: string;
}

/** What one architecture needs. */
interface Needs {
  readonly architecture: string;
  readonly libraries: ReadonlyMap<string, Offer>;
  readonly one: ReadonlyMap<string, Offer>;
  readonly several: ReadonlyMap<string, readonly Offer[]>;
  readonly none: readonly string[];
}

const versions = (stated: string): Pick<Offer, 'version' | 'stated'> => ({
  stated,
  version: formatVersion(parseVersion(stated)),
});

/** System.kext's plug-ins, by KPI. */
const PLUG_INS = '/System/Library/Extensions/System.kext/PlugIns';
const BUNDLES: Readonly<Record<string, string>> = {
  'com.apple.kpi.bsd': 'BSDKernel.kext',
  'com.apple.kpi.dsep': 'MACFramework.kext',
  'com.apple.kpi.iokit': 'IOKit.kext',
  'com.apple.kpi.libkern': 'Libkern.kext',
  'com.apple.kpi.mach': 'Mach.kext',
  'com.apple.kpi.private': 'Private.kext',
  'com.apple.kpi.unsupported': 'Unsupported.kext',
};

class Search {
  private readonly session: MacosSession;
  private readonly kext: Kext;
  private readonly flags: ReadonlySet<string>;
  private readonly others: readonly Kext[];
  private readonly answer = new Answer();

  constructor(session: MacosSession, kext: Kext, flags: ReadonlySet<string>, others: readonly Kext[]) {
    this.session = session;
    this.kext = kext;
    this.flags = flags;
    this.others = others.filter(({ info, identifier }) => info.isLibrary && identifier !== kext.identifier);
  }

  run(architectures: readonly string[]): ReturnType<Answer['result']> {
    const all = this.kext.bundle.slices
      .map(({ bytes, cputype, cpusubtype }) => ({ bytes, name: architectureName(cputype, cpusubtype) }))
      .filter(({ name }) => architectures.length === 0 || architectures.includes(name))
      .map(({ bytes, name }) => this.needs(bytes, name));
    const same = new Set(all.map(({ libraries }) => [...libraries.keys()].sort().join())).size <= 1;
    const xml = this.flags.has('xml');
    if (same) this.libraries(undefined, all[0]?.libraries ?? new Map(), true);
    else if (xml)
      for (const [i, one] of all.entries())
        this.libraries(one.architecture, one.libraries, i + 1 === all.length);
    for (const [i, one] of all.entries()) {
      if (!same && !xml) this.libraries(one.architecture, one.libraries, i + 1 === all.length);
      // After the first half of them, as the tool counts (i + i).
      this.problems(one, same || xml, i + i < all.length);
    }
    return this.answer.result();
  }

  private needs(bytes: Uint8Array, architecture: string): Needs {
    const kpi = new KpiSymbols(this.session.choices.release, architectureOf(architecture));
    const libraries = new Map<string, Offer>();
    const one = new Map<string, Offer>();
    const several = new Map<string, readonly Offer[]>();
    const none: string[] = [];
    const names = new Set(
      readMachO(bytes)
        .symbols()
        ?.undefined.map(({ name }) => name),
    );
    for (const name of names) {
      const owners = kpi
        .owners(name)
        .filter(({ owner }) => this.flags.has('unsupported') || !RESERVED.test(owner))
        .map(({ owner }) => this.interface(owner));
      const kexts = this.others
        .filter((other) => exportsOf(other).has(name))
        .map((other) => this.library(other));
      const offers = [...owners, ...kexts];
      if (offers.length === 0) none.push(name);
      else if (offers.length === 1) one.set(name, offers[0]);
      else several.set(name, offers);
      for (const offer of offers) libraries.set(offer.identifier, offer);
    }
    return { architecture, libraries, one, several, none };
  }

  private get compatible(): boolean {
    return this.flags.has('compatible-versions');
  }

  private interface(identifier: string): Offer {
    const own = KPI_KEXTS.find((one) => one.identifier === identifier)?.compatible ?? '';
    const stated = this.compatible ? own : this.session.choices.release.darwin;
    return { identifier, path: `${PLUG_INS}/${BUNDLES[identifier] ?? ''}`, ...versions(stated) };
  }

  private library({ identifier, path, info }: Kext): Offer {
    const stated = this.compatible ? info.text('OSBundleCompatibleVersion') : info.versionText;
    return { identifier, path, ...versions(stated ?? '') };
  }

  private libraries(
    architecture: string | undefined,
    found: ReadonlyMap<string, Offer>,
    emptyLine: boolean,
  ): void {
    const { answer } = this;
    const sorted = [...found.values()].sort((a, b) => (a.identifier < b.identifier ? -1 : 1));
    if (this.flags.has('xml')) {
      const suffix = architecture === undefined ? '' : `_${architecture}`;
      if (sorted.length > 0) answer.print(`\t<key>OSBundleLibraries${suffix}</key>\n\t<dict>`);
      for (const { identifier, version } of sorted)
        answer.print(`\t\t<key>${identifier}</key>\n\t\t<string>${version}</string>`);
      if (sorted.length > 0) answer.print('\t</dict>');
    } else {
      answer.complain(`For ${architecture ?? 'all architectures'}:`);
      if (sorted.length === 0) answer.print('    No libraries found.');
      for (const { identifier, version } of sorted) answer.print(`    ${identifier} = ${version}`);
    }
    if (emptyLine) answer.complain('');
  }

  private problems({ architecture, one, several, none }: Needs, named: boolean, emptyLine: boolean): void {
    const { answer, flags } = this;
    const lists = (name: string): boolean => flags.has(name) || flags.has('all-symbols');
    if (!lists('onedef-symbols') && none.length + several.size === 0) return;
    if (named) answer.complain(`For ${architecture}:`);
    const marked = this.compatible ? 'compatible version ' : '';
    if (lists('onedef-symbols')) {
      answer.complain(`    ${counted(one.size)} found in one library kext each${one.size > 0 ? ':' : '.'}`);
      for (const [name, { path, stated }] of one)
        answer.complain(`    ${name} in ${baseName(path)} (${marked}${stated})`);
    }
    if (none.length > 0) {
      const all = lists('undef-symbols');
      answer.complain(`    ${counted(none.length)} not found in any library kext${all ? ':' : '.'}`);
      if (all) for (const name of none) answer.complain(`\t${name}`);
      answer.code = EXIT.undefined;
    }
    if (several.size > 0) {
      this.multiple(several, lists('multdef-symbols'), marked);
      answer.code = EXIT.multiple;
    }
    if (emptyLine) answer.complain('');
  }

  private multiple(several: Needs['several'], all: boolean, marked: string): void {
    const { answer } = this;
    if (!all) {
      const libraries = new Set([...several.values()].flat().map(({ identifier }) => identifier));
      answer.complain(`    Multiple symbols found among ${libraries.size} libraries:`);
      for (const identifier of libraries) answer.complain(`\t${identifier}`);
      return;
    }
    answer.complain(`    ${counted(several.size)} found in more than one library kext:`);
    for (const [name, offers] of several) {
      answer.complain(`    ${name}: in`);
      for (const { path, stated } of offers) answer.complain(`        ${path} (${marked}${stated})`);
    }
  }
}

const counted = (count: number): string => `${count} symbol${count > 1 ? 's' : ''}`;
