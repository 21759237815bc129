/** What `--set` changes about the machine. */

import type { Machine } from '../../systems/macos/macos.ts';
import { DEFAULT_RELEASE, findRelease, RELEASES, type Release } from '../../systems/macos/release.ts';
import { CSR_ALLOW_UNAPPROVED_KEXTS, CSR_ALLOW_UNTRUSTED_KEXTS } from '../../systems/macos/rules/policy.ts';
import { checkSettingNames, type Setting, SettingError } from '../system.ts';

/** The last release that kexts for i386 alone were made for. */
const DEFAULT_32_RELEASE = '10.6';

export const SETTINGS: readonly Setting[] = [
  {
    name: 'release',
    summary: `10.5 to 15 (${DEFAULT_RELEASE}; ${DEFAULT_32_RELEASE} for a kext that is for i386 alone)`,
  },
  {
    name: 'arch',
    summary: 'x86_64 or i386 (10.5 to 10.7); the default is what the release and the kext have',
  },
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
  readonly architecture: Machine;
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

/** `own`: the machine that the kexts named on the command line are for. @throws SettingError */
export function choicesOf(settings: ReadonlyMap<string, string> = new Map(), own?: Machine): Choices {
  checkSettingNames('macOS', SETTINGS, settings);
  const wanted = settings.get('arch') ?? own;
  const name = settings.get('release') ?? (wanted === 'i386' ? DEFAULT_32_RELEASE : DEFAULT_RELEASE);
  const release = findRelease(name);
  if (release === undefined) {
    throw new SettingError(
      `there is no release '${name}'`,
      `the releases are ${RELEASES.map((one) => one.name).join(', ')}`,
    );
  }
  const architecture = machineOf(release, settings.get('arch'), own);
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
    architecture,
    csr: SIP[sip],
    bootArgs: settings.get('boot-args') ?? '',
    owner,
    root: settings.get('root'),
  };
}

/** @throws SettingError */
function machineOf(release: Release, wanted: string | undefined, own: Machine | undefined): Machine {
  if (wanted !== undefined && wanted !== 'x86_64' && wanted !== 'i386')
    throw new SettingError(`arch=${wanted} is unknown`, 'x86_64 or i386');
  if (wanted !== undefined && !release[wanted]) {
    const why = wanted === 'i386' ? 'no 32-bit kernel: 10.7 was the last with one' : 'no 64-bit kernel';
    throw new SettingError(`${release.product} has ${why}`, `arch=${wanted === 'i386' ? 'x86_64' : 'i386'}`);
  }
  if (wanted !== undefined) return wanted;
  if (own !== undefined && release[own]) return own;
  return release.x86_64 ? 'x86_64' : 'i386';
}
