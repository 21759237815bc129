/** Resolution of OSBundleLibraries in user space (IOKitUser OSKext.c, __OSKextResolveDependencies). */

import { KERNEL_RESOURCES, KPI_KEXTS, KPI_PREFIX, OLD_KEXTS } from '../kpi.ts';
import { type Kext, KextLibrary } from '../library.ts';
import { INVALID_VERSION, isCompatible, parseVersion } from '../version.ts';
import { Diagnostics } from './diagnostics.ts';

/** What a resolution looks at: the kexts on disk, those in the kernel, and the kernel's own version. */
export interface DependencyView {
  readonly kexts: readonly Kext[];
  readonly loaded: readonly {
    readonly identifier: string;
    readonly version: bigint;
    readonly compatible: bigint;
  }[];
  /** `19.6.0` */
  readonly darwin: string;
  readonly is64Bit: boolean;
  /** Libraries that are taken to be there although nobody has seen them. */
  readonly assumed?: (identifier: string) => boolean;
}

export interface Resolution {
  readonly found: Diagnostics;
  /** All that the kext needs, what it needs first; the kernel's own are not among them. */
  readonly order: readonly Kext[];
}

const NOT_FOUND = 'No kexts found for these libraries';
const INCOMPATIBLE = 'Only incompatible kexts found for these libraries';
const NO_COMPATIBLE_VERSION = 'Kexts found for these libraries lack valid OSBundleCompatibleVersion';
const LOADED_INCOMPATIBLE =
  'Kexts already loaded for these libraries are not compatible with the requested version';
const INDIRECT = "Indirect dependencies can't be resolved";
const LOOP = 'Some dependencies are causing circular references';
const INVALID = 'Dependencies have validation problems';
const UNAUTHENTIC = 'Dependencies have incorrect owner/permissions';
const KERNEL = 'com.apple.kernel';
const RAW_KERNEL =
  'Kexts may not link against com.apple.kernel; use either com.apple.kpi.* libraries (recommended), ' +
  'or com.apple.kernel.* (for compatiblity with older releases).';
const NOT_KPI = '64-bit kexts must use com.apple.kpi.* libraries, not com.apple.kernel* libraries.';
const NO_KPI =
  'Kext declares no com.apple.kpi.* libraries; if it references any kernel symbols, it may fail to link.';
const NO_KERNEL =
  'Kext declares no kernel/KPI libraries; if it references any kernel symbols, it may fail to link.';
const PRIVATE = 'Only Apple kexts may link against com.apple.kpi.private.';
const EARLY =
  'Dependency lacks appropriate value for OSBundleRequired and may not be available during early boot';

/** Finds every kext that this one needs, direct and indirect, and says what stands in the way. */
export function resolveDependencies(kext: Kext, view: DependencyView): Resolution {
  const found = new Diagnostics();
  const order: Kext[] = [];
  visit(kext, view, found, order, [kext.identifier], true);
  if (!found.has('dependencies')) early(kext, order, found);
  return { found, order };
}

/** What the start of the machine needs, only its own kind has there (OSKextResolveDependencies). */
const EARLY_ENOUGH: Readonly<Record<string, readonly string[] | undefined>> = {
  Root: ['Root', 'Local-Root', 'Network-Root', 'Console', 'DriverKit'],
  Console: ['Root', 'Local-Root', 'Network-Root', 'Console', 'DriverKit'],
  'Local-Root': ['Root', 'Local-Root', 'Console', 'DriverKit'],
  'Network-Root': ['Root', 'Network-Root', 'Console', 'DriverKit'],
};

function early(kext: Kext, order: readonly Kext[], found: Diagnostics): void {
  const enough = EARLY_ENOUGH[kext.info.required ?? ''];
  for (const { identifier, info } of enough === undefined ? [] : order) {
    if (info.required !== undefined && enough?.includes(info.required) === true) continue;
    found.add('warnings', 'early', EARLY, `${identifier} - ${info.required ?? 'OSBundleRequired not set'}`);
  }
}

function visit(
  kext: Kext,
  view: DependencyView,
  found: Diagnostics,
  order: Kext[],
  stack: readonly string[],
  direct: boolean,
): boolean {
  let whole = true;
  const before = found.findings.length;
  style(kext, view, found, direct);
  for (const [identifier, text] of kext.info.libraries) {
    const version = parseVersion(text);
    if (version === INVALID_VERSION) continue;
    const one = find(identifier, version, view, found);
    if (one === 'kernel') continue;
    if (one === undefined) {
      whole = false;
      continue;
    }
    if (stack.includes(identifier)) {
      found.add('dependencies', 'dependency-loop', LOOP, identifier);
      whole = false;
      continue;
    }
    if (one.validation.has('validation'))
      found.add('dependencies', 'dependency-invalid', INVALID, one.identifier);
    if (one.authentication.has('authentication'))
      found.add('dependencies', 'dependency-owner', UNAUTHENTIC, one.identifier);
    if (!order.includes(one) && !visit(one, view, found, order, [...stack, identifier], false)) {
      found.add('dependencies', 'dependency-indirect', INDIRECT, one.identifier);
      whole = false;
    }
    if (!order.includes(one)) order.push(one);
  }
  return whole && found.findings.slice(before).every(({ group }) => group !== 'dependencies');
}

/** A library by name: one that is loaded counts before any on disk. */
function find(
  identifier: string,
  version: bigint,
  view: DependencyView,
  found: Diagnostics,
): Kext | 'kernel' | undefined {
  const offered = view.is64Bit ? KPI_KEXTS : [...KPI_KEXTS, ...OLD_KEXTS];
  const own = offered.find((kpi) => kpi.identifier === identifier);
  if (own !== undefined) {
    const kpi = {
      version: parseVersion(own.version ?? view.darwin),
      compatible: parseVersion(own.compatible),
    };
    if (isCompatible(kpi, version)) return 'kernel';
    found.add('dependencies', 'dependency-version', INCOMPATIBLE, identifier);
    return undefined;
  }
  if (KERNEL_RESOURCES.includes(identifier)) return 'kernel';
  const loaded = view.loaded.find((one) => one.identifier === identifier);
  if (loaded !== undefined && !isCompatible(loaded, version)) {
    found.add('dependencies', 'dependency-loaded', LOADED_INCOMPATIBLE, identifier);
    return undefined;
  }
  const fitting = KextLibrary.find(view.kexts, identifier, version);
  if (fitting !== undefined) return fitting;
  if (loaded !== undefined) return 'kernel';
  const named = view.kexts.filter((kext) => kext.identifier === identifier);
  if (named.length === 0 && view.assumed?.(identifier) === true) return 'kernel';
  if (named.length === 0) found.add('dependencies', 'dependency-missing', NOT_FOUND, identifier);
  else if (named.every(({ info }) => !info.isLibrary || info.compatibleVersion === INVALID_VERSION)) {
    found.add('dependencies', 'dependency-no-library', NO_COMPATIBLE_VERSION, identifier);
  } else found.add('dependencies', 'dependency-version', INCOMPATIBLE, identifier);
  return undefined;
}

/** Which of the kernel's own a kext may name. */
function style(kext: Kext, view: DependencyView, found: Diagnostics, direct: boolean): void {
  if (!direct || kext.info.executable === undefined) return;
  const names = [...kext.info.libraries.keys()];
  const old = names.some((name) => name.startsWith(`${KERNEL}.`));
  if (names.includes(KERNEL)) found.add('dependencies', 'kernel-library', RAW_KERNEL);
  else if (view.is64Bit && old) found.add('dependencies', 'kernel-library', NOT_KPI);
  else if (view.is64Bit && !names.some((name) => name.startsWith(KPI_PREFIX)))
    found.add('warnings', 'no-kpi', NO_KPI);
  else if (!view.is64Bit && !old && !names.some((name) => name.startsWith(KPI_PREFIX)))
    found.add('warnings', 'no-kernel', NO_KERNEL);
  if (names.includes('com.apple.kpi.private') && !hasAppleCopyright(kext))
    found.add('dependencies', 'private-kpi', PRIVATE);
  if (kext.info.isInterface && names.length !== 1)
    found.add('dependencies', 'interface', 'Interface kext must have exactly one dependency.');
}

/** Years or ranges of them between the sign and the name. */
const COPYRIGHT = /Copyright ©[\s,]*(?:\d{4}(?:-\d{4})?[\s,]+)+Apple Inc\. All rights reserved\./;

/** kxld_validate_copyright_string: an identifier of Apple's alone is not enough. */
function hasAppleCopyright({ isApple, info }: Kext): boolean {
  const texts = ['CFBundleGetInfoString', 'NSHumanReadableCopyright'].map((key) => info.text(key) ?? '');
  return isApple && texts.some((text) => COPYRIGHT.test(text));
}
