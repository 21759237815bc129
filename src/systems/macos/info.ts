/** Info.plist of a kext: its properties, with the overrides for one architecture. */
import { isDict, type PlistDict, type PlistValue } from './plist.ts';
import { parseVersion } from './version.ts';

export type Architecture = 'x86_64' | 'i386' | 'arm64' | 'arm64e' | 'ppc';

/** `KMOD_MAX_NAME`: identifiers and versions must be shorter. */
export const MAX_NAME = 64;

/** Keys that never have a variant for an architecture although they begin with OS (OSKext::getPropertyForHostArch). */
const WITHOUT_VARIANT: ReadonlySet<string> = new Set(['OSBundleIsInterface', 'OSKernelResource']);

export class KextInfo {
  readonly properties: PlistDict;
  readonly architecture: Architecture;

  constructor(properties: PlistDict, architecture: Architecture) {
    this.properties = properties;
    this.architecture = architecture;
  }

  /** The value for this architecture: `KEY_x86_64` replaces `KEY`, for keys with the prefixes OS and IO. */
  value(key: string): PlistValue | undefined {
    const own = this.variantKey(key);
    if (own !== undefined) return this.properties[own];
    return Object.hasOwn(this.properties, key) ? this.properties[key] : undefined;
  }

  /** The name under which the value of `key` stands for this architecture, when it is an override. */
  variantKey(key: string): string | undefined {
    if (!/^(OS|IO)/.test(key) || WITHOUT_VARIANT.has(key)) return undefined;
    // arm64e hosts look for the suffix of their family.
    const suffix = this.architecture === 'arm64e' ? 'arm64' : this.architecture;
    const variant = `${key}_${suffix}`;
    return Object.hasOwn(this.properties, variant) ? variant : undefined;
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    return typeof value === 'string' ? value : undefined;
  }

  flag(key: string): boolean {
    return this.value(key) === true;
  }

  get identifier(): string | undefined {
    return this.text('CFBundleIdentifier');
  }

  get versionText(): string | undefined {
    return this.text('CFBundleVersion');
  }

  /** 0 = missing, INVALID_VERSION = no version. */
  get version(): bigint {
    return this.versionText === undefined ? 0n : parseVersion(this.versionText);
  }

  get compatibleVersion(): bigint {
    const text = this.text('OSBundleCompatibleVersion');
    return text === undefined ? 0n : parseVersion(text);
  }

  /** A kext others may link against. */
  get isLibrary(): boolean {
    return this.value('OSBundleCompatibleVersion') !== undefined;
  }

  get executable(): string | undefined {
    return this.text('CFBundleExecutable');
  }

  get isInterface(): boolean {
    return this.flag('OSBundleIsInterface');
  }

  get isKernelComponent(): boolean {
    return this.flag('OSKernelResource');
  }

  /** OSBundleLibraries: identifiers and the versions asked for. */
  get libraries(): ReadonlyMap<string, string> {
    const value = this.value('OSBundleLibraries');
    const wanted = new Map<string, string>();
    if (!isDict(value)) return wanted;
    for (const [identifier, version] of Object.entries(value)) {
      if (typeof version === 'string') wanted.set(identifier, version);
    }
    return wanted;
  }

  /** IOKitPersonalities: by name, those that are dictionaries. */
  get personalities(): ReadonlyMap<string, PlistDict> {
    const value = this.value('IOKitPersonalities');
    const all = new Map<string, PlistDict>();
    if (!isDict(value)) return all;
    for (const [name, personality] of Object.entries(value))
      if (isDict(personality)) all.set(name, personality);
    return all;
  }

  get required(): string | undefined {
    return this.text('OSBundleRequired');
  }
}
