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

/** The version number of a release as `uname -r` writes it (`12.1`, `6.4-RELEASE`), or of a plain number. */
export function parseVersion(text: string): number | undefined {
  if (/^\d{6,7}$/.test(text)) return Number(text);
  const match = /^(\d{1,2})\.(\d{1,2})(?:-[A-Z0-9-]+)?$/i.exec(text);
  return match === null ? undefined : Number(match[1]) * 100000 + Number(match[2]) * 1000;
}
