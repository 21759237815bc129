/**
 * What the releases write of a kext that they authenticate (kext_tools security.c and staging.m; up to 10.14 as transcripts of
 * those releases show it).
 */
import type { Kext } from '../library.ts';
import type { Release } from '../release.ts';
import { baseName } from '../tree.ts';

const darwinMajor = ({ darwin }: Release): number => Number(darwin.split('.')[0]);

const hash = (text: string, seed: number): number => {
  let value = seed;
  for (const char of text) value = Math.imul(value ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return value;
};
const hex = (value: number, digits: number): string =>
  value.toString(16).padStart(digits, '0').slice(-digits);

/**
 * A kext as Core Foundation describes it. The addresses are those of an object and of an allocator in the tool's own process,
 * which is not run here: they only look like them.
 */
export const shownKext = ({ path, identifier }: Kext): string =>
  `<OSKext 0x7f${hex(hash(path, 0x811c9dc5), 8)}60 [0x7fff8935e8c0]> { URL = "file://${path.replaceAll(' ', '%20')}/", ID = "${identifier}" }`;

/** A kext whose signature does not count is loaded all the same. `code`: of Security.framework. */
export function allowedText(kext: Kext, release: Release, code: number): string {
  const major = darwinMajor(release);
  const number = `${code} 0x${BigInt.asUintN(64, BigInt(code)).toString(16).toUpperCase()}`;
  // Remembered: no transcript of 10.9 was at hand.
  if (major < 14) return `WARNING - Invalid signature ${number} for kext "${kext.path}"`;
  if (major < 17) {
    const tail = `allowing invalid signature ${number} for kext "${kext.path}"`;
    return `kext-dev-mode ${tail}\nkext signature failure override ${tail}`;
  }
  const signature = major < 19 ? 'signatured' : 'signature';
  return `Kext with invalid ${signature} (${code}) allowed: ${shownKext(kext)}`;
}

/** It is refused. From 10.13 on a copy is made in a secure place first, under a name of its own, and thrown away. */
export function deniedText(kext: Kext, release: Release, code: number): string {
  const major = darwinMajor(release);
  const refused = `ERROR: invalid signature for ${kext.identifier}, will not load`;
  if (major < 15) return refused;
  if (major < 17) return `Untrusted kexts are not allowed\n${refused}`;
  const folder = kext.path.slice(0, -baseName(kext.path).length);
  const digits = [1, 2, 3, 4].map((seed) => hex(hash(kext.path, seed), 8).toUpperCase()).join('');
  const uuid = digits.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
  const staged = `/Library/StagedExtensions${folder}${uuid}.kext`;
  return [
    'Untrusted kexts are not allowed',
    `Kext with invalid signature (${code}) denied: ${staged}`,
    `Bundle (${kext.path}) failed to validate, deleting: ${staged}`,
    `Unable to stage kext (${kext.path}) to secure location.`,
  ].join('\n');
}
