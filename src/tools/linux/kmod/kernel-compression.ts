/** /sys/module/compression: what the running kernel unpacks by itself (6.4 and later). */
import { readFileSync } from 'node:fs';
import type { Compression } from '../../../bytes/decompress.ts';
import type { ToolCall } from './tool.ts';

const COMPRESSIONS: Readonly<Record<string, Compression>> = { 'zstd\n': 'zst', 'xz\n': 'xz', 'gzip\n': 'gz' };

function compressionText(sys: string): string | undefined {
  try {
    return readFileSync(`${sys}/module/compression`, 'latin1').slice(0, 15);
  } catch {
    // Older kernels have no such file.
    return undefined;
  }
}

/** undefined: nothing. */
export function compressionOfKernel({ sys }: ToolCall): Compression | undefined {
  const text = compressionText(sys);
  return text === undefined ? undefined : COMPRESSIONS[text];
}

/** The tools' library says when it does not know the word. */
export function reportCompression({ sys, output }: ToolCall): void {
  const text = compressionText(sys);
  if (text !== undefined && COMPRESSIONS[text] === undefined)
    output.libraryError('get_kernel_compression', `unknown kernel compression ${text}`);
}
