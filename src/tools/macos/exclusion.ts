/** The exclude list: OSKextExcludeList of com.apple.driver.KextExcludeList, one of the installed kexts. */
import type { Kext } from '../../systems/macos/library.ts';
import { isDict, type PlistDict, type PlistValue } from '../../systems/macos/plist.ts';
import { matchesVersions } from '../../systems/macos/rules/versions.ts';
import { matchingServices } from '../../systems/macos/runtime/services.ts';
import type { MacosSession } from './session.ts';

const EXCLUDE_LIST = 'com.apple.driver.KextExcludeList';

export const isExcluded = (session: MacosSession, kext: Kext): boolean =>
  isExcludedBy(session.kexts(), kext, (wanted) => isPresent(session, wanted));

/** Does the registry hold a service that a dictionary matches (IOServiceGetMatchingService)? */
function isPresent({ kernel }: MacosSession, wanted: PlistDict): boolean {
  return kernel.runAs({ name: 'kextd', uid: 0 }, matchingServices(kernel, wanted)).length > 0;
}

const dictionaries = (value: PlistValue | undefined): readonly PlistDict[] =>
  Array.isArray(value) ? (value as readonly PlistValue[]).filter(isDict) : [];

/**
 * The list that is among these kexts; without one nothing is excluded. An entry may hold for machines with certain devices
 * alone: `present` says of one whether it is there (OSKextIsInExcludeList).
 */
export function isExcludedBy(
  kexts: readonly Kext[],
  kext: Kext,
  present: (wanted: PlistDict) => boolean,
): boolean {
  const list = kexts.find((one) => one.identifier === EXCLUDE_LIST && one.isApple);
  const entries = list?.info.value('OSKextExcludeList');
  if (!isDict(entries)) return false;
  const own = entries[kext.identifier];
  if (typeof own === 'string') return matchesVersions(own, kext.info.version);
  if (!isDict(own) || typeof own.Versions !== 'string') return false;
  const any = dictionaries(own.Any_Match);
  if (any.length > 0 && !any.some(present)) return false;
  if (!dictionaries(own.All_Match).every(present)) return false;
  return matchesVersions(own.Versions, kext.info.version);
}
