/** UUIDs as Apple's tools write them. */
import { hexOf } from '../../bytes/hex.ts';

/** Sixteen bytes in upper case with hyphens. */
export function uuidText(bytes: Uint8Array): string {
  const hex = hexOf(bytes).toUpperCase();
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
