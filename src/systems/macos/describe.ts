/** What a kext bundle, or a Mach-O file of one, is: names, versions, needs, offers, and who owns what it imports. */
import { type CommandFields, commandFields, packedVersion } from '../../formats/macho/commands.ts';
import { architectureName, type FatSlice } from '../../formats/macho/fat.ts';
import { FIXUP_FORMAT_NAMES, readChainedFixups } from '../../formats/macho/fixups.ts';
import { FILE_TYPE_NAMES, HEADER_FLAG_NAMES, LC, MH, PLATFORM_NAMES } from '../../formats/macho/layout.ts';
import { type MachoFile, readMachO } from '../../formats/macho/read.ts';
import type { KextBundle } from './bundle.ts';
import type { Architecture, KextInfo } from './info.ts';
import { KpiSymbols } from './kpi.ts';
import { KMOD_INFO } from './kxld/link.ts';
import { findRelease, RELEASES, type Release } from './release.ts';

export interface ImportedSymbol {
  readonly name: string;
  /** The KPI that offers it; undefined when no release's KPIs do. */
  readonly owner: string | undefined;
  /** The newest release whose KPI has it, where the one that is looked at has it no longer, or not yet. */
  readonly release: string | undefined;
  /** Is the owner among the kext's OSBundleLibraries? */
  readonly declared: boolean;
  readonly weak: boolean;
}

export interface CodeDescription {
  readonly architecture: string;
  readonly fileType: string;
  /** Where the slice lies in a universal file; 0 in a thin one. */
  readonly offset: number;
  readonly bytes: number;
  readonly alignment: number;
  readonly uuid: string | undefined;
  readonly isKext: boolean;
  readonly flags: readonly string[];
  /** `10.13`, from LC_VERSION_MIN or LC_BUILD_VERSION. */
  readonly minimum: string | undefined;
  readonly sdk: string | undefined;
  readonly platform: string | undefined;
  readonly segments: readonly SegmentDescription[];
  readonly sections: readonly SectionDescription[];
  readonly commands: readonly CommandDescription[];
  readonly symbols: { readonly local: number; readonly defined: number; readonly undefined: number };
  /** Entries that kxld applies: of sections, and the two tables of linked files. */
  readonly relocations: { readonly sections: number; readonly external: number; readonly local: number };
  readonly fixups: FixupDescription | undefined;
  readonly imports: readonly string[];
  readonly weakImports: readonly string[];
  readonly exports: readonly string[];
  readonly signed: boolean;
}

export interface SegmentDescription {
  readonly name: string;
  readonly address: number;
  readonly bytes: number;
  readonly offset: number;
  readonly fileBytes: number;
  /** `rwx` */
  readonly maximum: string;
  readonly initial: string;
}

export interface SectionDescription {
  readonly name: string;
  readonly address: number;
  readonly bytes: number;
  readonly offset: number;
  readonly alignment: number;
  readonly type: number;
}

export interface CommandDescription extends CommandFields {
  readonly name: string;
  readonly bytes: number;
}

/** Chained fixups (arm64): pointers that are moved, those bound to other kexts' symbols, those that are signed. */
export interface FixupDescription {
  /** `ARM64E_KERNEL`, by segment. */
  readonly formats: Readonly<Record<string, string>>;
  readonly rebases: number;
  readonly binds: number;
  /** Of either kind: signed by key. */
  readonly authenticated: Readonly<Record<string, number>>;
  readonly imports: readonly string[];
}

/** Reads the interesting parts of one Mach-O file. @throws FormatError */
export function describeCode({
  bytes,
  offset,
  alignment,
}: Pick<FatSlice, 'bytes' | 'offset' | 'alignment'>): CodeDescription {
  const file = readMachO(bytes);
  const symbols = file.symbols();
  const { filetype, cputype, cpusubtype, flags } = file.header;
  const kind = FILE_TYPE_NAMES[filetype];
  const fixups = describeFixups(file);
  const missing = symbols?.undefined ?? [];
  return {
    architecture: architectureName(cputype, cpusubtype),
    fileType: kind === undefined || kind === '' ? `file type ${filetype}` : `MH_${kind}`,
    offset,
    bytes: bytes.length,
    alignment,
    uuid: file.uuid,
    isKext: filetype === MH.KEXT_BUNDLE || symbols?.find(KMOD_INFO)?.kind === 'section',
    flags: HEADER_FLAG_NAMES.filter((_, bit) => ((flags >>> bit) & 1) === 1),
    ...targetOf(file),
    ...layoutOf(file),
    commands: file.commands.map((one) => ({ name: one.name, bytes: one.size, ...commandFields(file, one) })),
    symbols: {
      local: symbols?.all.filter((one) => !one.external && one.kind !== 'debug').length ?? 0,
      defined: symbols?.all.filter((one) => one.external && one.kind !== 'undefined').length ?? 0,
      undefined: missing.length,
    },
    relocations: countRelocations(file),
    fixups,
    imports: unique([...missing.map(({ name }) => name), ...(fixups?.imports ?? [])]),
    weakImports: unique(missing.filter((one) => one.weakReference).map(({ name }) => name)),
    exports: unique(symbols?.exports.map(({ name }) => name) ?? []),
    signed: file.command(LC.CODE_SIGNATURE) !== undefined,
  };
}

const protection = (bits: number): string =>
  ['r', 'w', 'x'].map((letter, i) => (((bits >>> i) & 1) === 1 ? letter : '-')).join('');

function layoutOf(file: MachoFile): Pick<CodeDescription, 'segments' | 'sections'> {
  return {
    segments: file.segments.map((one) => ({
      name: one.name,
      address: one.vmaddr,
      bytes: one.vmsize,
      offset: one.fileoff,
      fileBytes: one.filesize,
      maximum: protection(one.maxprot),
      initial: protection(one.initprot),
    })),
    sections: file.sections.map((one) => ({
      name: `${one.segment},${one.name}`,
      address: one.address,
      bytes: one.size,
      offset: one.offset,
      alignment: one.alignment,
      type: one.type,
    })),
  };
}

function countRelocations(file: MachoFile): CodeDescription['relocations'] {
  return {
    sections: file.sections.reduce((sum, { nreloc }) => sum + nreloc, 0),
    external: file.dynamic?.nextrel ?? 0,
    local: file.dynamic?.nlocrel ?? 0,
  };
}

function describeFixups(file: MachoFile): FixupDescription | undefined {
  const chained = readChainedFixups(file);
  if (chained === undefined) return undefined;
  const authenticated: Record<string, number> = {};
  for (const { authenticated: signed } of chained.fixups)
    if (signed !== undefined) authenticated[signed.key] = (authenticated[signed.key] ?? 0) + 1;
  const formats = [...chained.formats].map(([segment, format]) => [
    file.segments[segment].name,
    FIXUP_FORMAT_NAMES[format] ?? `format ${format}`,
  ]);
  return {
    formats: Object.fromEntries(formats),
    rebases: chained.fixups.filter(({ kind }) => kind === 'rebase').length,
    binds: chained.fixups.filter(({ kind }) => kind === 'bind').length,
    authenticated,
    imports: unique(chained.imports.map(({ name }) => name)),
  };
}

const unique = (names: readonly string[]): string[] =>
  [...new Set(names)].filter((name) => name !== '').sort();

function targetOf(file: MachoFile): Pick<CodeDescription, 'minimum' | 'sdk' | 'platform'> {
  const build = file.command(LC.BUILD_VERSION);
  if (build !== undefined) {
    const platform = file.view.u32(build.offset + 8);
    return {
      platform: PLATFORM_NAMES[platform] ?? `platform ${platform}`,
      minimum: packedVersion(file.view.u32(build.offset + 12)),
      sdk: sdkOf(file.view.u32(build.offset + 16)),
    };
  }
  const minimum = file.command(LC.VERSION_MIN_MACOSX);
  if (minimum === undefined) return { minimum: undefined, sdk: undefined, platform: undefined };
  return {
    platform: 'macos',
    minimum: packedVersion(file.view.u32(minimum.offset + 8)),
    sdk: sdkOf(file.view.u32(minimum.offset + 12)),
  };
}

const sdkOf = (value: number): string | undefined => (value === 0 ? undefined : packedVersion(value));

/** The release whose export lists an architecture's imports are looked up in. */
export function releaseFor(architecture: string): Release {
  const name =
    architecture === 'i386' || architecture === 'ppc'
      ? '10.6'
      : architecture.startsWith('arm64')
        ? '15'
        : '10.15';
  const release = findRelease(name);
  if (release === undefined) throw new RangeError(`release ${name} is not in the table`);
  return release;
}

const ARCHITECTURES: readonly string[] = [
  'x86_64',
  'i386',
  'arm64',
  'arm64e',
  'ppc',
] satisfies Architecture[];

export function architectureOf(name: string): Architecture {
  const known = ARCHITECTURES.includes(name) ? name : 'x86_64';
  return known as Architecture;
}

/** The owner of each import: a KPI that the kext names, else any KPI that has it. */
export function importsOf(
  code: CodeDescription,
  info: KextInfo | undefined,
  release: Release,
): ImportedSymbol[] {
  const lists = new OwnerLists(code.architecture, release);
  const declared = new Set(info?.libraries.keys());
  const weak = new Set(code.weakImports);
  return code.imports.map((name) => {
    const { owners, other } = lists.owners(name);
    const owner = owners.find((one) => declared.has(one)) ?? owners[0];
    const known = owner !== undefined && declared.has(owner);
    return { name, owner, release: other, declared: known, weak: weak.has(name) };
  });
}

/** The export lists of one release, and those of all others for what it does not export. */
class OwnerLists {
  private readonly architecture: Architecture;
  private readonly release: Release;
  private readonly lists = new Map<Release, KpiSymbols>();

  constructor(architecture: string, release: Release) {
    // Apple published no lists of PowerPC's kernels; what their kexts may name is what those for Intel may.
    this.architecture = architecture === 'ppc' ? 'i386' : architectureOf(architecture);
    this.release = release;
  }

  owners(name: string): { owners: readonly string[]; other: string | undefined } {
    const order = [this.release, ...RELEASES.filter((one) => one !== this.release).reverse()];
    for (const release of order) {
      const owners = this.listOf(release)
        .owners(name)
        .map(({ owner }) => owner);
      if (owners.length > 0) return { owners, other: release === this.release ? undefined : release.name };
    }
    return { owners: [], other: undefined };
  }

  private listOf(release: Release): KpiSymbols {
    const known = this.lists.get(release) ?? new KpiSymbols(release, this.architecture);
    this.lists.set(release, known);
    return known;
  }
}

/** The slices of a bundle's executable, each described; the one that most machines would run comes first. */
export function describeBundleCode(bundle: KextBundle): CodeDescription[] {
  const preference = (code: CodeDescription): number => {
    const at = ['x86_64', 'arm64e', 'arm64', 'i386', 'ppc'].indexOf(code.architecture);
    return at < 0 ? 9 : at;
  };
  return bundle.slices.map(describeCode).sort((a, b) => preference(a) - preference(b));
}
