/** The releases of the system whose rules are known here, and what changed between them for kernel extensions. */

/** How a release treats the signature of a kext. */
export type SignaturePolicy =
  /** Not looked at. */
  | 'none'
  /** A kext of /Library/Extensions without a valid one is loaded after a warning. */
  | 'warn'
  /** Without a valid one a kext is not loaded, unless the boot argument kext-dev-mode=1 is set. */
  | 'dev-mode'
  /** Without a valid one a kext is not loaded, unless System Integrity Protection allows untrusted kexts. */
  | 'sip';

export interface Release {
  /** `10.11`, `15` */
  readonly name: string;
  /** With its last update, whose kernel version is given. */
  readonly product: string;
  readonly darwin: string;
  readonly signature: SignaturePolicy;
  /** User approval by team and bundle identifier (10.13). */
  readonly approval: boolean;
  /** New Developer ID kexts must be notarised (10.14.5). */
  readonly notarisation: boolean;
  /** Kexts are linked into collections; others' take part after approval and a restart (11). */
  readonly collections: boolean;
  /** Does the kernel run kexts of 32 bits, and is there a 64-bit one? */
  readonly i386: boolean;
  readonly x86_64: boolean;
}

const row = (
  name: string,
  product: string,
  darwin: string,
  signature: SignaturePolicy,
  more: Partial<Pick<Release, 'approval' | 'notarisation' | 'collections' | 'i386' | 'x86_64'>> = {},
): Release => ({
  name,
  product,
  darwin,
  signature,
  approval: false,
  notarisation: false,
  collections: false,
  i386: false,
  x86_64: true,
  ...more,
});

export const RELEASES: readonly Release[] = [
  row('10.5', 'Mac OS X 10.5.8', '9.8.0', 'none', { i386: true, x86_64: false }),
  row('10.6', 'Mac OS X 10.6.8', '10.8.0', 'none', { i386: true }),
  row('10.7', 'Mac OS X 10.7.5', '11.4.2', 'none', { i386: true }),
  row('10.8', 'OS X 10.8.5', '12.5.0', 'none'),
  row('10.9', 'OS X 10.9.5', '13.4.0', 'warn'),
  row('10.10', 'OS X 10.10.5', '14.5.0', 'dev-mode'),
  row('10.11', 'OS X 10.11.6', '15.6.0', 'sip'),
  row('10.12', 'macOS 10.12.6', '16.7.0', 'sip'),
  row('10.13', 'macOS 10.13.6', '17.7.0', 'sip', { approval: true }),
  row('10.14', 'macOS 10.14.6', '18.7.0', 'sip', { approval: true, notarisation: true }),
  row('10.15', 'macOS 10.15.7', '19.6.0', 'sip', { approval: true, notarisation: true }),
  row('11', 'macOS 11.7', '20.6.0', 'sip', { approval: true, notarisation: true, collections: true }),
  row('12', 'macOS 12.7', '21.6.0', 'sip', { approval: true, notarisation: true, collections: true }),
  row('13', 'macOS 13.6', '22.6.0', 'sip', { approval: true, notarisation: true, collections: true }),
  row('14', 'macOS 14.6', '23.6.0', 'sip', { approval: true, notarisation: true, collections: true }),
  row('15', 'macOS 15.4', '24.4.0', 'sip', { approval: true, notarisation: true, collections: true }),
];

export const DEFAULT_RELEASE = '10.15';

export function findRelease(name: string): Release | undefined {
  return RELEASES.find((release) => release.name === name);
}
