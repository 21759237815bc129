/** Validation of a kext: its property list and its executable (IOKitUser OSKext.c, __OSKextProcessInfoDictionary and __OSKextValidate). */
import { FormatError } from '../../../bytes/errors.ts';
import { MH } from '../../../formats/macho/layout.ts';
import { readMachO } from '../../../formats/macho/read.ts';
import type { KextBundle } from '../bundle.ts';
import { type Architecture, type KextInfo, MAX_NAME } from '../info.ts';
import { KPI_PREFIX } from '../kpi.ts';
import { KMOD_INFO } from '../kxld/link.ts';
import { isDict, type PlistDict, type PlistValue } from '../plist.ts';
import { INVALID_VERSION, parseVersion } from '../version.ts';
import { Diagnostics } from './diagnostics.ts';

const MISSING = 'Info dictionary missing required property/value';
const WRONG_TYPE = 'Info dictionary property value is of illegal type';
const ODD_TYPE = 'Info dictionary property value is of incorrect type';
const ILLEGAL = 'Info dictionary property value is illegal';
const EXECUTABLE_MISSING = "Kext has a CFBundleExecutable property but the executable can't be found";
const NOT_A_KEXT =
  "Executable file doesn't contain kernel extension code (no kmod_info symbol or bad Mach-O layout).";
const KERNEL_PREFIX = 'com.apple.kernel';

/** Values of OSBundleRequired. */
const REQUIRED_VALUES = ['Root', 'Local-Root', 'Network-Root', 'Safe Boot', 'Console', 'DriverKit'];

/** What the note behind a value of the wrong type says. */
const TAGS = {
  string: '<string>',
  integer: '<integer>',
  boolean: 'boolean, <true/> or <false/>',
  dict: '<dict>',
} as const;
type Kind = keyof typeof TAGS;

/** Other kexts by identifier, where they are known: personalities may name them. */
export type FindOther = (identifier: string) => { readonly hasExecutable: boolean } | undefined;

/** Everything that is wrong with the bundle itself, whoever owns it and whatever else is installed. */
export function validate(bundle: KextBundle, architecture: Architecture, find?: FindOther): Diagnostics {
  const found = new Diagnostics();
  const check = new Validation(bundle.info(architecture), found, find);
  if (check.packageType()) {
    check.identity();
    check.marks();
  }
  check.libraries();
  check.personalities();
  executable(bundle, check.info, architecture, found);
  return found;
}

interface Wanted {
  readonly required?: boolean;
  /** An empty value is illegal. */
  readonly filled?: boolean;
  /** A wrong type is only worth a warning. */
  readonly lenient?: boolean;
}

class Validation {
  readonly info: KextInfo;
  private readonly found: Diagnostics;
  private readonly find: FindOther | undefined;

  constructor(info: KextInfo, found: Diagnostics, find: FindOther | undefined) {
    this.info = info;
    this.found = found;
    this.find = find;
  }

  /** The value when it is there and of the kind that is wanted (__OSKextCheckProperty). */
  private property(value: PlistValue | undefined, path: string, kind: Kind, wanted: Wanted = {}): boolean {
    if (value === undefined) {
      if (wanted.required === true) this.found.add('validation', 'property-missing', MISSING, path);
      return wanted.required !== true;
    }
    if (!isOfKind(value, kind)) {
      const real = kind === 'integer' && typeof value === 'number' ? ' (kexts may not use <real>)' : '';
      const text = `${path} - should be ${TAGS[kind]}${real}`;
      if (wanted.lenient === true) this.found.add('warnings', 'property-type', ODD_TYPE, text);
      else this.found.add('validation', 'property-type', WRONG_TYPE, text);
      return false;
    }
    const empty = value === '' || (isDict(value) && Object.keys(value).length === 0);
    if (wanted.filled !== true || !empty) return true;
    this.found.add('validation', 'property-value', ILLEGAL, path);
    return false;
  }

  private top(key: string, kind: Kind, wanted: Wanted = {}): boolean {
    return this.property(this.info.value(key), key, kind, wanted);
  }

  packageType(): boolean {
    if (!this.top('CFBundlePackageType', 'string', { required: true, filled: true })) return false;
    const type = this.info.text('CFBundlePackageType');
    if (type !== 'KEXT' && type !== 'DEXT')
      this.found.add('validation', 'package-type', ILLEGAL, 'CFBundlePackageType');
    return true;
  }

  identity(): void {
    const { info, found } = this;
    this.top('CFBundleIdentifier', 'string', { required: true, filled: true });
    const version = this.top('CFBundleVersion', 'string', { required: true });
    const long = [info.identifier, info.versionText].some((text) => (text?.length ?? 0) >= MAX_NAME);
    if (long)
      found.add(
        'validation',
        'name-length',
        'CFBundleIdentifier and CFBundleVersion must be < 64 characters.',
      );
    else if (version && info.version === INVALID_VERSION)
      found.add('validation', 'version', ILLEGAL, 'CFBundleVersion');
    if (!this.top('OSBundleCompatibleVersion', 'string')) return;
    if (info.compatibleVersion === INVALID_VERSION)
      // The system refuses it without a word.
      found.add('validation', 'version', ILLEGAL, 'OSBundleCompatibleVersion');
    else if (info.compatibleVersion > info.version)
      found.add('validation', 'compatible-version', 'Compatible version must be lower than current version.');
  }

  marks(): void {
    const { info, found } = this;
    this.top('OSBundleIsInterface', 'boolean');
    this.top('OSKernelResource', 'boolean');
    if (info.isKernelComponent && info.value('OSBundleIsInterface') === false)
      found.add(
        'warnings',
        'kernel-interface',
        'Kext is a kernel component but OSBundleIsInterface is set to false; overriding',
      );
    this.top('CFBundleExecutable', 'string', { filled: true });
    this.top('OSBundleEnableKextLogging', 'boolean');
    this.top('OSBundleAllowUserLoad', 'boolean');
    if (info.value('OSBundleDebugLevel') !== undefined)
      found.add('warnings', 'debug-level', 'Deprecated property (ignored)', 'OSBundleDebugLevel');
    const required = this.top('OSBundleRequired', 'string') ? info.required : undefined;
    if (required === undefined) return;
    if (!REQUIRED_VALUES.includes(required))
      found.add('validation', 'required-value', ILLEGAL, 'OSBundleRequired');
    else if (required === 'DriverKit')
      found.add('boot', 'driverkit', 'Kexts may not use the DriverKit value for OSBundleRequired.');
  }

  libraries(): void {
    const { info, found } = this;
    const key = 'OSBundleLibraries';
    const wanted = info.executable !== undefined && !info.isKernelComponent;
    const whole = this.top(key, 'dict', { required: wanted, filled: wanted });
    const value = info.value(key);
    const entries = isDict(value) ? Object.entries(value) : [];
    if (entries.length === 0) {
      if (wanted) found.add('validation', 'libraries-missing', MISSING, key);
      return;
    }
    if (info.isKernelComponent)
      found.add('validation', 'kernel-libraries', "A system kext has a property set that it shouldn't", key);
    else if (info.executable === undefined && !info.isLibrary)
      found.add(
        'warnings',
        'codeless-libraries',
        'Kext has no executable or compatible version, so it should not declare any OSBundleLibraries.',
      );
    if (!whole) return;
    for (const [identifier, version] of entries) {
      const path = `${key}.${identifier}`;
      if (!this.property(version, path, 'string', { filled: true })) continue;
      if (parseVersion(String(version)) === INVALID_VERSION)
        found.add('validation', 'version', ILLEGAL, path);
    }
    const has = (prefix: string): boolean => entries.some(([identifier]) => identifier.startsWith(prefix));
    if (has(KERNEL_PREFIX) && has(KPI_PREFIX))
      found.add(
        'warnings',
        'both-kernels',
        'Kexts should declare dependencies on either com.apple.kernel* or com.apple.kpi.* libraries, not both.',
      );
  }

  personalities(): void {
    const key = 'IOKitPersonalities';
    const value = this.info.value(key);
    if (!this.top(key, 'dict') || !isDict(value)) return;
    for (const [name, one] of Object.entries(value)) {
      const path = `${key}.${name}`;
      if (this.property(one, path, 'dict') && isDict(one)) this.personality(name, one, path);
    }
  }

  private personality(name: string, one: PlistDict, path: string): void {
    const { found } = this;
    const at = (key: string, kind: Kind, wanted: Wanted = {}): boolean =>
      this.property(Object.hasOwn(one, key) ? one[key] : undefined, `${path}.${key}`, kind, wanted);
    at('IOKitDebug', 'integer');
    if (at('CFBundleIdentifier', 'string', { filled: true })) this.target(name, one.CFBundleIdentifier);
    at('IOClass', 'string', { required: true, filled: true });
    const provider = at('IOProviderClass', 'string', { required: true, filled: true });
    if (provider && one.IOProviderClass === 'IOResources' && at('IOMatchCategory', 'string')) {
      const category = one.IOMatchCategory;
      if (category !== undefined && category !== one.IOClass)
        found.add(
          'warnings',
          'match-category',
          'Personality matches on IOResources but IOMatchCategory is missing or not equal to its IOClass; driver may be blocked from matching or may block others',
          name,
        );
    }
    at('IOProbeScore', 'integer', { lenient: true });
  }

  /** Which kext a personality loads. */
  private target(name: string, identifier: PlistValue | undefined): void {
    const { found, info } = this;
    if (typeof identifier !== 'string') {
      found.add(
        'warnings',
        'personality-identifier',
        "Personality has no CFBundleIdentifier; the kext's identifier will be inserted when sending to the IOCatalogue",
        name,
      );
      return;
    }
    if (identifier === info.identifier) return;
    found.add(
      'warnings',
      'personality-other',
      "Personality CFBundleIdentifier differs from containing kext's (not necessarily a mistake, but rarely done)",
      name,
    );
    const other = this.find?.(identifier);
    const pair = `'${name}' -> '${identifier}'`;
    if (this.find !== undefined && other === undefined)
      found.add(
        'warnings',
        'personality-unknown',
        "Personality CFBundleIdentifier names a kext that can't be found",
        pair,
      );
    else if (other?.hasExecutable === false)
      found.add(
        'warnings',
        'personality-codeless',
        "Personality CFBundleIdentifier names a kext that doesn't declare an executable",
        pair,
      );
  }
}

function isOfKind(value: PlistValue, kind: Kind): boolean {
  if (kind === 'dict') return isDict(value);
  if (kind === 'integer') return typeof value === 'bigint' || Number.isInteger(value);
  return typeof value === kind;
}

/** The code for this machine must be a kext's; that there is none for it is no fault of the bundle. */
function executable(
  bundle: KextBundle,
  info: KextInfo,
  architecture: Architecture,
  found: Diagnostics,
): void {
  const name = info.executable;
  if (name === undefined || name === '' || info.isInterface) return;
  const bytes = bundle.executable;
  if (bytes === undefined || bytes.length === 0) {
    const path = bundle.executablePath() ?? name;
    found.add('validation', 'executable-missing', EXECUTABLE_MISSING, name);
    if (bytes === undefined) found.add('validation', 'file-missing', 'File not found', path);
    return;
  }
  try {
    const slice = bundle.slice(architecture);
    if (bundle.slices.length === 0) {
      found.add('validation', 'executable-bad', NOT_A_KEXT);
      return;
    }
    if (slice === undefined) {
      found.add(
        'warnings',
        'architecture',
        'Executable does not contain code for architecture',
        architecture,
      );
      return;
    }
    const file = readMachO(slice.bytes);
    const { filetype } = file.header;
    const shape =
      filetype === MH.KEXT_BUNDLE || (file.bits === 32 && filetype === MH.OBJECT) || info.isInterface;
    if (!shape || file.symbols()?.find(KMOD_INFO)?.kind !== 'section')
      found.add('validation', 'executable-bad', NOT_A_KEXT);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    found.add('validation', 'executable-bad', NOT_A_KEXT);
  }
}
