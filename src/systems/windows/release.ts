/** The releases that a session can be: versions that drivers ask for, and which rules hold. */

export interface Release {
  /** The value of the setting. */
  readonly name: string;
  readonly title: string;
  readonly major: number;
  readonly minor: number;
  readonly build: number;
}

export const RELEASES: readonly Release[] = [
  { name: 'nt4', title: 'Windows NT 4.0', major: 4, minor: 0, build: 1381 },
  { name: '2000', title: 'Windows 2000', major: 5, minor: 0, build: 2195 },
  { name: 'xp', title: 'Windows XP', major: 5, minor: 1, build: 2600 },
  { name: '2003', title: 'Windows Server 2003', major: 5, minor: 2, build: 3790 },
  { name: 'vista', title: 'Windows Vista', major: 6, minor: 0, build: 6002 },
  { name: '7', title: 'Windows 7', major: 6, minor: 1, build: 7601 },
  { name: '8', title: 'Windows 8', major: 6, minor: 2, build: 9200 },
  { name: '8.1', title: 'Windows 8.1', major: 6, minor: 3, build: 9600 },
  { name: '10-1507', title: 'Windows 10 (1507)', major: 10, minor: 0, build: 10240 },
  { name: '10', title: 'Windows 10 (22H2)', major: 10, minor: 0, build: 19045 },
  { name: '11', title: 'Windows 11 (23H2)', major: 10, minor: 0, build: 22631 },
];

export const DEFAULT_RELEASE = '10';

export const releaseNamed = (name: string): Release | undefined => RELEASES.find((one) => one.name === name);

/** First build that asks for Microsoft's own signature on new drivers, where Secure Boot is on. */
export const BUILD_1607 = 14393;

export const atLeast = (release: Release, major: number, minor: number): boolean =>
  release.major > major || (release.major === major && release.minor >= minor);
