/** The exclude list: OSKextExcludeList of com.apple.driver.KextExcludeList, one of the installed kexts. */
import type { Kext } from '../../systems/macos/library.ts';
import { isDict } from '../../systems/macos/plist.ts';
import { matchesVersions } from '../../systems/macos/rules/versions.ts';
import type { MacosSession } from './session.ts';

const EXCLUDE_LIST = 'com.apple.driver.KextExcludeList';

export const isExcluded = (session: MacosSession, kext: Kext): boolean => isExcludedBy(session.kexts(), kext);

/** The list that is among these kexts; without one nothing is excluded. */
export function isExcludedBy(kexts: readonly Kext[], kext: Kext): boolean {
  const list = kexts.find((one) => one.identifier === EXCLUDE_LIST && one.isApple);
  const entries = list?.info.value('OSKextExcludeList');
  if (!isDict(entries)) return false;
  const own = entries[kext.identifier];
  if (typeof own === 'string') return matchesVersions(own, kext.info.version);
  return isDict(own) && typeof own.Versions === 'string' && matchesVersions(own.Versions, kext.info.version);
}
