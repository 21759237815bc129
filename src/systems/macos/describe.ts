/** What a kext bundle, or a Mach-O file of one, is: names, versions, needs, offers, and who owns what it imports. */
import { architectureName } from '../../formats/macho/fat.ts';
import { FILE_TYPE_NAMES, LC, MH, PLATFORM_NAMES } from '../../formats/macho/layout.ts';
import { type MachoFile, readMachO } from '../../formats/macho/read.ts';
import type { KextBundle } from './bundle.ts';
import type { Architecture, KextInfo } from './info.ts';
import { KpiSymbols } from './kpi.ts';
import { KMOD_INFO } from './kxld/link.ts';
import { findRelease, type Release } from './release.ts';

export interface ImportedSymbol {
  readonly name: string;
  /** The KPI or library that offers it; undefined when none of the release's KPIs does. */
  readonly owner: string | undefined;
  /** Is the owner among the kext's OSBundleLibraries? */
  readonly declared: boolean;
  readonly weak: boolean;
}

export interface CodeDescription {
  readonly architecture: string;
  readonly fileType: string;
  readonly bytes: number;
  readonly uuid: string | undefined;
  readonly isKext: boolean;
  /** `10.13`, from LC_VERSION_MIN or LC_BUILD_VERSION. */
  readonly minimum: string | undefined;
  readonly sdk: string | undefined;
  readonly platform: string | undefined;
  readonly segments: readonly { readonly name: string; readonly bytes: number }[];
  readonly sections: readonly { readonly name: string; readonly address: number; readonly bytes: number }[];
  readonly commands: readonly string[];
  readonly imports: readonly string[];
  readonly weakImports: readonly string[];
  readonly exports: readonly string[];
  readonly signed: boolean;
}

/** Reads the interesting parts of one Mach-O file. @throws FormatError */
export function describeCode(bytes: Uint8Array): CodeDescription {
  const file = readMachO(bytes);
  const symbols = file.symbols();
  const { filetype, cputype, cpusubtype } = file.header;
  const kind = FILE_TYPE_NAMES[filetype];
  return {
    architecture: architectureName(cputype, cpusubtype),
    fileType: kind === undefined || kind === '' ? `file type ${filetype}` : `MH_${kind}`,
    bytes: bytes.length,
    uuid: file.uuid,
    isKext: filetype === MH.KEXT_BUNDLE || symbols?.find(KMOD_INFO)?.kind === 'section',
    ...targetOf(file),
    segments: file.segments.map(({ name, vmsize }) => ({ name, bytes: vmsize })),
    sections: file.sections.map(({ segment, name, address, size }) => ({
      name: `${segment},${name}`,
      address,
      bytes: size,
    })),
    commands: file.commands.map(({ name }) => name),
    imports: unique(symbols?.undefined.map(({ name }) => name) ?? []),
    weakImports: unique(symbols?.undefined.filter((one) => one.weakReference).map(({ name }) => name) ?? []),
    exports: unique(symbols?.exports.map(({ name }) => name) ?? []),
    signed: file.command(LC.CODE_SIGNATURE) !== undefined,
  };
}

const unique = (names: readonly string[]): string[] =>
  [...new Set(names)].filter((name) => name !== '').sort();

const packedVersion = (value: number): string => {
  const [major, minor, update] = [value >>> 16, (value >>> 8) & 0xff, value & 0xff];
  return update === 0 ? `${major}.${minor}` : `${major}.${minor}.${update}`;
};

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
  const kpi = new KpiSymbols(release, architectureOf(code.architecture));
  const declared = new Set(info?.libraries.keys());
  const weak = new Set(code.weakImports);
  return code.imports.map((name) => {
    const owners = kpi.owners(name).map(({ owner }) => owner);
    const owner = owners.find((one) => declared.has(one)) ?? owners[0];
    return { name, owner, declared: owner !== undefined && declared.has(owner), weak: weak.has(name) };
  });
}

/** The slices of a bundle's executable, each described; the one that most machines would run comes first. */
export function describeBundleCode(bundle: KextBundle): CodeDescription[] {
  const preference = (code: CodeDescription): number => {
    const at = ['x86_64', 'arm64e', 'arm64', 'i386', 'ppc'].indexOf(code.architecture);
    return at < 0 ? 9 : at;
  };
  return bundle.slices.map(({ bytes }) => describeCode(bytes)).sort((a, b) => preference(a) - preference(b));
}
