/** What `--set` changes about the machine. */

import { DEFAULT_RELEASE, findRelease, RELEASES, type Release } from '../../systems/macos/release.ts';
import { CSR_ALLOW_UNAPPROVED_KEXTS, CSR_ALLOW_UNTRUSTED_KEXTS } from '../../systems/macos/rules/policy.ts';
import { checkSettingNames, type Setting, SettingError } from '../system.ts';

export const SETTINGS: readonly Setting[] = [
  { name: 'release', summary: `10.6 to 15 (${DEFAULT_RELEASE})` },
  {
    name: 'sip',
    summary: 'System Integrity Protection: on, no-kext (the default: unsigned kexts may load) or off',
  },
  { name: 'boot-args', summary: 'boot arguments, such as kext-dev-mode=1' },
  {
    name: 'owner',
    summary: 'whom files given by the user belong to: root (the default), developer (501:20) or host',
  },
  {
    name: 'families',
    summary:
      "Apple's libraries that are not installed: stand-in (the default: what is called of them is missing, by name) or refuse",
  },
  {
    name: 'root',
    summary:
      "a folder or an archive whose System/Library/Extensions and Library/Extensions are this machine's",
  },
];

export type OwnerChoice = 'root' | 'developer' | 'host';

export interface Choices {
  readonly release: Release;
  readonly csr: number;
  readonly bootArgs: string;
  readonly owner: OwnerChoice;
  /** Do stand-ins take the place of Apple's libraries that are not installed? */
  readonly standIns: boolean;
  readonly root: string | undefined;
}

export const SIP: Readonly<Record<string, number>> = {
  on: 0,
  'no-kext': CSR_ALLOW_UNTRUSTED_KEXTS,
  off: 0x77 | CSR_ALLOW_UNAPPROVED_KEXTS,
};

/** @throws SettingError */
export function choicesOf(settings: ReadonlyMap<string, string> = new Map()): Choices {
  checkSettingNames('macOS', SETTINGS, settings);
  const name = settings.get('release') ?? DEFAULT_RELEASE;
  const release = findRelease(name);
  if (release === undefined) {
    throw new SettingError(
      `there is no release '${name}'`,
      `the releases are ${RELEASES.map((one) => one.name).join(', ')}`,
    );
  }
  if (!release.x86_64) {
    throw new SettingError(
      `${release.product} has no 64-bit kernel`,
      '10.6 is the first release that runs here',
    );
  }
  const sip = settings.get('sip') ?? 'no-kext';
  if (!Object.hasOwn(SIP, sip)) throw new SettingError(`sip=${sip} is unknown`, 'on, no-kext or off');
  const owner = settings.get('owner') ?? 'root';
  if (owner !== 'root' && owner !== 'developer' && owner !== 'host') {
    throw new SettingError(`owner=${owner} is unknown`, 'root, developer or host');
  }
  const families = settings.get('families') ?? 'stand-in';
  if (families !== 'stand-in' && families !== 'refuse') {
    throw new SettingError(`families=${families} is unknown`, 'stand-in or refuse');
  }
  return {
    standIns: families === 'stand-in',
    release,
    csr: SIP[sip],
    bootArgs: settings.get('boot-args') ?? '',
    owner,
    root: settings.get('root'),
  };
}
