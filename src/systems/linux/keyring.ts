/** The certificates a kernel trusts from the start. */
import { FormatError } from '../../bytes/errors.ts';
import { type Certificate, readCertificate } from '../../formats/pki/certificate.ts';
import { readBuiltInCertificates } from './kernelfile/certificates.ts';
import type { KernelFile } from './kernelfile/kernelfile.ts';

const keyrings = new WeakMap<KernelFile, readonly Certificate[] | null>();

/** `.builtin_trusted_keys`; undefined when neither an image nor the file says what is in it. */
export function builtInKeyring(kernel: KernelFile): readonly Certificate[] | undefined {
  let known = keyrings.get(kernel);
  if (known === undefined) {
    known = readBuiltInCertificates(kernel)?.flatMap(readUsable) ?? null;
    keyrings.set(kernel, known);
  }
  return known ?? undefined;
}

/** One that cannot be read is left out, as the kernel leaves it out ("Problem loading in-kernel X.509 certificate"). */
function readUsable(der: Uint8Array): Certificate[] {
  try {
    return [readCertificate(der)];
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}
