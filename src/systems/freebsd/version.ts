/**
 * `__FreeBSD_version` (sys/param.h) and the rule that ties a module to its kernel: DECLARE_MODULE makes every module
 * depend on the interface `kernel`, from the version it was built with up to the last of that major version.
 */

/** Major release of a version number: MMmmRxx from 5.0 on (1401000 is 14.1). */
export function majorOf(version: number): number {
  return Math.floor(version / 100000);
}

/** MODULE_KERNEL_MAXVER: the last version of the same major release. */
export function lastOfMajor(version: number): number {
  return (majorOf(version) + 1) * 100000 - 1;
}

/** The release a version number belongs to: `14.1`; a version between releases is named after the one before it. */
export function releaseOf(version: number): string {
  return `${majorOf(version)}.${Math.floor((version % 100000) / 1000)}`;
}

/**
 * Releases whose number is not major * 100000 + minor * 1000: those that end a line of development, and a few that were
 * counted up once more before they came out (Porter's Handbook, "__FreeBSD_version values").
 */
const RELEASES: Readonly<Record<string, number>> = {
  '6.0': 600034,
  '7.0': 700055,
  '8.0': 800107,
  '9.0': 900044,
  '9.2': 902001,
  '10.0': 1000510,
  '11.0': 1100122,
  '11.1': 1101001,
  '11.4': 1104001,
  '12.0': 1200086,
  '13.0': 1300139,
  '13.2': 1302001,
  '13.3': 1303001,
  '14.0': 1400097,
};

/** The version number of a release as `uname -r` writes it (`12.1`, `6.4-RELEASE`), or of a plain number. */
export function parseVersion(text: string): number | undefined {
  if (/^\d{6,7}$/.test(text)) return Number(text);
  const match = /^(\d{1,2})\.(\d{1,2})(?:-[A-Z0-9-]+)?$/i.exec(text);
  if (match === null) return undefined;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return RELEASES[`${major}.${minor}`] ?? major * 100000 + minor * 1000;
}
