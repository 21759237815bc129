/**
 * The version grammar of kernel extensions and its 64-bit form (xnu libkern/OSKextVersion.c; the user-space library has the
 * same code). Versions compare as plain integers. That parser also takes an empty minor version or revision (`1.`, `1..2`)
 * and a full stop behind a revision of four digits: measured over 300,000 texts, that is all in which the two differ.
 */

/** What the parser gives for text that is no version. */
export const INVALID_VERSION = -1n;

const STAGES: Readonly<Record<string, bigint>> = { d: 1n, a: 3n, b: 5n, f: 7n, fc: 7n };
const RELEASE_STAGE = 9n;
const MAJOR = 10n ** 12n;
const MINOR = 10n ** 8n;
const REVISION = 10n ** 4n;
const STAGE = 10n ** 3n;
const MAX_LEVEL = 255;

const GRAMMAR = /^(\d{1,4})(?:\.(\d{1,4})(?:\.(\d{1,4}))?)?(?:(d|a|b|fc|f)(\d{1,3}))?(?=$|[ \t\r\n\0])/;

/** The 64-bit form; INVALID_VERSION when the text is none. Whatever follows white space or NUL is not looked at. */
export function parseVersion(text: string): bigint {
  const match = GRAMMAR.exec(text);
  if (match === null) return INVALID_VERSION;
  const [, major, minor = '0', revision = '0', stage, level = '0'] = match;
  if (Number(level) > MAX_LEVEL) return INVALID_VERSION;
  // A final candidate counts from 1; the other stages may be 0 (8.0.0d0).
  if (stage?.startsWith('f') === true && Number(level) === 0) return INVALID_VERSION;
  const stageValue = stage === undefined ? RELEASE_STAGE : STAGES[stage];
  return (
    BigInt(major) * MAJOR +
    BigInt(minor) * MINOR +
    BigInt(revision) * REVISION +
    stageValue * STAGE +
    BigInt(level)
  );
}

const LETTERS: ReadonlyMap<bigint, string> = new Map([
  [1n, 'd'],
  [3n, 'a'],
  [5n, 'b'],
  [7n, 'f'],
  [9n, ''],
]);

/** The text of a version as the tools print it: the revision only when it is not 0, a candidate as `f`. */
export function formatVersion(version: bigint): string {
  if (version === INVALID_VERSION) return '(invalid)';
  if (version === 0n) return '(missing)';
  const major = version / MAJOR;
  const minor = (version % MAJOR) / MINOR;
  const revision = (version % MINOR) / REVISION;
  const stage = LETTERS.get((version % REVISION) / STAGE);
  const level = version % STAGE;
  if (version < 0n || stage === undefined || major > 9999n || level > BigInt(MAX_LEVEL)) return '(invalid)';
  const numbers = `${major}.${minor}${revision > 0n ? `.${revision}` : ''}`;
  return stage === '' ? numbers : `${numbers}${stage}${level}`;
}

/** May a kext that wants `requested` of a library use this one (OSKextIsCompatibleWithVersion)? */
export function isCompatible(library: { version: bigint; compatible: bigint }, requested: bigint): boolean {
  return library.compatible > 0n && library.compatible <= requested && requested <= library.version;
}
