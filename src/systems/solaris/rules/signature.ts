/**
 * The boot policy for signed modules (Oracle Solaris 11.2: `boot_policy` and `module_policy`, none, warning or
 * enforce). The certificates that are trusted are held outside of the system: the kernel is handed them, and nothing in
 * the guest can reach them: the gate is asked for its verdict. The wording of the console messages is not known; it is ours.
 */
import { FormatError } from '../../../bytes/errors.ts';
import type { ElfFile } from '../../../formats/elf/read.ts';
import { Errno } from '../errno.ts';
import type { Finding } from '../refusal.ts';
import { SIGNATURE_SECTION } from '../signature.ts';

export type SignaturePolicy = 'none' | 'warning' | 'enforce';

export const POLICIES: readonly SignaturePolicy[] = ['none', 'warning', 'enforce'];

/** What became of the check of one file. */
export type SignatureVerdict =
  | { readonly kind: 'trusted'; readonly signer: string }
  | { readonly kind: 'unsigned' }
  /** The signature is of a certificate that the store does not hold. */
  | { readonly kind: 'unknown-signer'; readonly signer: string }
  /** It does not belong to these bytes. */
  | { readonly kind: 'wrong'; readonly signer: string }
  | { readonly kind: 'damaged'; readonly why: string };

export interface SignatureGate {
  readonly policy: SignaturePolicy;
  /** The verdict on these bytes; undefined when nobody trusts anything. */
  verdict(bytes: Uint8Array): SignatureVerdict | undefined;
}

/** errno 0: a warning only. */
export function checkSignature(gate: SignatureGate, elf: ElfFile, path: string): Finding | undefined {
  if (gate.policy === 'none') return undefined;
  const verdict = gate.verdict(elf.bytes) ?? unchecked(elf);
  if (verdict.kind === 'trusted') return undefined;
  const why = reason(verdict);
  const format = 'module %s: signature verification failed: %s';
  return {
    rule: `signature-${verdict.kind}`,
    said: [[format, `module ${path}: signature verification failed: ${why}`]],
    why: `The boot policy is ${gate.policy}, and ${why}.`,
    hint: 'Sign it with elfsign and put the certificate into the store, or set the policy to none.',
    errno: gate.policy === 'enforce' ? Errno.EACCES : 0,
  };
}

/** Nobody trusted anything: what the file alone tells. */
function unchecked(elf: ElfFile): SignatureVerdict {
  try {
    return elf.section(SIGNATURE_SECTION) === undefined
      ? { kind: 'unsigned' }
      : { kind: 'unknown-signer', signer: 'a certificate that is not in the store' };
  } catch (error) {
    if (error instanceof FormatError) return { kind: 'damaged', why: error.message };
    throw error;
  }
}

function reason(verdict: Exclude<SignatureVerdict, { kind: 'trusted' }>): string {
  switch (verdict.kind) {
    case 'unsigned':
      return 'the file is not signed';
    case 'unknown-signer':
      return `it is signed by ${verdict.signer}, which is not trusted`;
    case 'wrong':
      return `the signature of ${verdict.signer} is not that of this file`;
    case 'damaged':
      return `its signature cannot be read (${verdict.why})`;
  }
}
