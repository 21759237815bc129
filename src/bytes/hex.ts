/** Bytes as two lower-case hexadecimal digits each. */
export function hexOf(bytes: Iterable<number>, separator = ''): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(separator);
}
