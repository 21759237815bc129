/** Validation of a kext: its property list and its executable (IOKitUser OSKext.c, __OSKextProcessInfoDictionary and __OSKextValidate). */
import { FormatError } from '../../../bytes/errors.ts';
import { MH } from '../../../formats/macho/layout.ts';
import { readMachO } from '../../../formats/macho/read.ts';
import type { KextBundle } from '../bundle.ts';
import { type Architecture, type KextInfo, MAX_NAME } from '../info.ts';
import { KMOD_INFO } from '../kxld/link.ts';
import { isDict, type PlistValue } from '../plist.ts';
import { INVALID_VERSION, parseVersion } from '../version.ts';
import { Diagnostics, keyOf } from './diagnostics.ts';

const MISSING = 'Info dictionary missing required property/value';
const WRONG_TYPE = 'Info dictionary property value is of illegal type';
const ILLEGAL = 'Info dictionary property value is illegal';

/** Values of OSBundleRequired. */
const REQUIRED_VALUES = ['Root', 'Local-Root', 'Network-Root', 'Safe Boot', 'Console', 'DriverKit'];
const BOOLEANS = [
  'OSBundleIsInterface',
  'OSKernelResource',
  'OSBundleAllowUserLoad',
  'OSBundleAllowUserTerminate',
  'OSBundleRequireExplicitLoad',
  'OSBundleEnableKextLogging',
];

/** Everything that is wrong with the bundle itself, whoever owns it and whatever else is installed. */
export function validate(bundle: KextBundle, architecture: Architecture): Diagnostics {
  const found = new Diagnostics();
  const info = bundle.info(architecture);
  identity(info, found);
  types(info, found);
  libraries(info, found);
  personalities(info, found);
  executable(bundle, info, architecture, found);
  return found;
}

function string(info: KextInfo, key: string, required: boolean, found: Diagnostics): string | undefined {
  const value = info.value(key);
  if (value === undefined) {
    if (required) found.add('validation', 'property-missing', MISSING, keyOf(info, key));
    return undefined;
  }
  if (typeof value === 'string') return value;
  found.add('validation', 'property-type', WRONG_TYPE, keyOf(info, key));
  return undefined;
}

function identity(info: KextInfo, found: Diagnostics): void {
  const type = string(info, 'CFBundlePackageType', true, found);
  if (type !== undefined && type !== 'KEXT' && type !== 'DEXT') {
    found.add('validation', 'package-type', ILLEGAL, 'CFBundlePackageType');
  }
  const identifier = string(info, 'CFBundleIdentifier', true, found);
  const version = string(info, 'CFBundleVersion', true, found);
  if ((identifier?.length ?? 0) >= MAX_NAME || (version?.length ?? 0) >= MAX_NAME) {
    found.add(
      'validation',
      'name-length',
      'CFBundleIdentifier and CFBundleVersion must be < 64 characters.',
      'true',
    );
  }
  if (identifier === '') found.add('validation', 'property-missing', MISSING, 'CFBundleIdentifier');
  if (version !== undefined && info.version === INVALID_VERSION)
    found.add('validation', 'version', ILLEGAL, 'CFBundleVersion');
  const compatible = string(info, 'OSBundleCompatibleVersion', false, found);
  if (compatible === undefined) return;
  if (info.compatibleVersion === INVALID_VERSION) {
    found.add('validation', 'version', ILLEGAL, keyOf(info, 'OSBundleCompatibleVersion'));
  } else if (info.version > 0n && info.compatibleVersion > info.version) {
    found.add(
      'validation',
      'compatible-version',
      'Compatible version must be lower than current version.',
      'OSBundleCompatibleVersion',
    );
  }
}

function types(info: KextInfo, found: Diagnostics): void {
  string(info, 'CFBundleExecutable', false, found);
  for (const key of BOOLEANS) {
    const value = info.value(key);
    if (value !== undefined && typeof value !== 'boolean')
      found.add('validation', 'property-type', WRONG_TYPE, keyOf(info, key));
  }
  const required = string(info, 'OSBundleRequired', false, found);
  if (required !== undefined && !REQUIRED_VALUES.includes(required)) {
    found.add('validation', 'required-value', ILLEGAL, keyOf(info, 'OSBundleRequired'));
  }
  if (info.value('OSBundleDebugLevel') !== undefined) {
    found.add(
      'warnings',
      'debug-level',
      'The OSBundleDebugLevel property is deprecated',
      'OSBundleDebugLevel',
    );
  }
}

function libraries(info: KextInfo, found: Diagnostics): void {
  const key = keyOf(info, 'OSBundleLibraries');
  const value = info.value('OSBundleLibraries');
  const hasCode = info.executable !== undefined;
  if (value !== undefined && !isDict(value)) {
    found.add('validation', 'property-type', WRONG_TYPE, key);
    return;
  }
  if (info.isKernelComponent) {
    if (value !== undefined) found.add('validation', 'kernel-libraries', ILLEGAL, key);
    return;
  }
  const entries = Object.entries(value ?? {});
  if (hasCode && entries.length === 0) found.add('validation', 'libraries-missing', MISSING, key);
  if (!hasCode && entries.length > 0 && !info.isLibrary) {
    found.add('warnings', 'codeless-libraries', 'Kext has no executable, but declares libraries', key);
  }
  for (const [identifier, version] of entries) {
    if (typeof version !== 'string')
      found.add('validation', 'property-type', WRONG_TYPE, `${key} - ${identifier}`);
    else if (parseVersion(version) === INVALID_VERSION)
      found.add('validation', 'version', ILLEGAL, `${key} - ${identifier}`);
  }
  if (info.isInterface && entries.length !== 1) found.add('validation', 'interface-libraries', ILLEGAL, key);
}

function personalities(info: KextInfo, found: Diagnostics): void {
  const key = keyOf(info, 'IOKitPersonalities');
  const value = info.value('IOKitPersonalities');
  if (value === undefined) return;
  if (!isDict(value)) {
    found.add('validation', 'property-type', WRONG_TYPE, key);
    return;
  }
  for (const [name, personality] of Object.entries(value))
    onePersonality(`${key} - ${name}`, personality, found);
}

function onePersonality(at: string, personality: PlistValue, found: Diagnostics): void {
  if (!isDict(personality)) {
    found.add('validation', 'property-type', WRONG_TYPE, at);
    return;
  }
  for (const key of ['IOClass', 'IOProviderClass']) {
    const value = personality[key];
    if (value === undefined) found.add('validation', 'property-missing', MISSING, `${at} - ${key}`);
    else if (typeof value !== 'string')
      found.add('validation', 'property-type', WRONG_TYPE, `${at} - ${key}`);
  }
  for (const key of ['IOProbeScore', 'IOKitDebug']) {
    const value = personality[key];
    if (value !== undefined && typeof value !== 'number' && typeof value !== 'bigint') {
      found.add('validation', 'property-type', WRONG_TYPE, `${at} - ${key}`);
    }
  }
  const resources = personality.IOProviderClass === 'IOResources';
  if (resources && personality.IOMatchCategory === undefined) {
    found.add(
      'warnings',
      'match-category',
      'Personalities that match on IOResources should set IOMatchCategory to their IOClass',
      at,
    );
  }
}

function executable(
  bundle: KextBundle,
  info: KextInfo,
  architecture: Architecture,
  found: Diagnostics,
): void {
  const name = info.executable;
  if (name === undefined) return;
  if (bundle.executable === undefined) {
    found.add(
      'validation',
      'executable-missing',
      "Kext has a CFBundleExecutable property but the executable can't be found",
      name,
    );
    return;
  }
  try {
    const slice = bundle.slice(architecture);
    if (slice === undefined) {
      found.add(
        'validation',
        'architecture',
        'Executable does not contain code for architecture',
        architecture,
      );
      return;
    }
    const file = readMachO(slice.bytes);
    const shape =
      file.bits === 64
        ? file.header.filetype === MH.KEXT_BUNDLE
        : file.header.filetype === MH.OBJECT || file.header.filetype === MH.KEXT_BUNDLE;
    if (!shape || (!info.isInterface && file.symbols()?.find(KMOD_INFO)?.kind !== 'section'))
      notAKext(name, found);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    notAKext(name, found);
  }
}

function notAKext(name: string, found: Diagnostics): void {
  found.add(
    'validation',
    'executable-bad',
    "Executable file doesn't contain kernel extension code (no kmod_info symbol or bad Mach-O layout).",
    name,
  );
}
