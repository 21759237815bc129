/** Resolution of OSBundleLibraries in user space (IOKitUser OSKext.c, __OSKextResolveDependencies). */

import { KPI_KEXTS, KPI_PREFIX } from '../kpi.ts';
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

/** Finds every kext that this one needs, direct and indirect, and says what stands in the way. */
export function resolveDependencies(kext: Kext, view: DependencyView): Resolution {
  const found = new Diagnostics();
  const order: Kext[] = [];
  visit(kext, view, found, order, [kext.identifier], true);
  return { found, order };
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
  const own = KPI_KEXTS.find((kpi) => kpi.identifier === identifier);
  if (own !== undefined) {
    const kpi = { version: parseVersion(view.darwin), compatible: parseVersion(own.compatible) };
    if (isCompatible(kpi, version)) return 'kernel';
    found.add('dependencies', 'dependency-version', INCOMPATIBLE, identifier);
    return undefined;
  }
  const loaded = view.loaded.find((one) => one.identifier === identifier);
  if (loaded !== undefined && !isCompatible(loaded, version)) {
    found.add('dependencies', 'dependency-loaded', LOADED_INCOMPATIBLE, identifier);
    return undefined;
  }
  const fitting = KextLibrary.find(view.kexts, identifier, version);
  if (fitting !== undefined) return fitting;
  if (loaded !== undefined) return 'kernel';
  const named = view.kexts.filter((kext) => kext.identifier === identifier);
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
  const old = names.filter((name) => name === KERNEL || name.startsWith(`${KERNEL}.`));
  if (names.includes(KERNEL)) {
    found.add(
      'dependencies',
      'kernel-library',
      'Kexts may not link against com.apple.kernel; use com.apple.kpi.* libraries.',
      KERNEL,
    );
  } else if (view.is64Bit && old.length > 0) {
    const text = '64-bit kexts must use com.apple.kpi.* libraries, not com.apple.kernel* libraries.';
    found.add('dependencies', 'kernel-library', text, ...old);
  } else if (!names.some((name) => name.startsWith(KPI_PREFIX))) {
    found.add(
      'warnings',
      'no-kpi',
      'Kext declares no com.apple.kpi.* libraries; if it references any kernel symbols, it may not link successfully.',
      'true',
    );
  }
  if (names.includes('com.apple.kpi.private') && !kext.isApple) {
    found.add(
      'dependencies',
      'private-kpi',
      'Only Apple kexts may link against com.apple.kpi.private.',
      'com.apple.kpi.private',
    );
  }
}
