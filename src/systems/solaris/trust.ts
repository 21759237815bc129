/** What decides from outside of the guest whether a module may come: the boot policy, and the trusted path. */
import { perKernel } from '../../kernel/kernel.ts';
import type { SignatureGate, SignaturePolicy, SignatureVerdict } from './rules/signature.ts';
import type { Solaris } from './solaris.ts';

export class ModuleGate implements SignatureGate {
  policy: SignaturePolicy = 'none';
  /** The global zone is immutable (zonecfg file-mac-profile). */
  immutable = false;
  /** The request that is being served came over the trusted path. */
  trustedPath = false;
  /** Judges a file by the certificates that are trusted. They stay with whoever brings this function. */
  verifier: ((bytes: Uint8Array) => SignatureVerdict) | undefined;

  verdict(bytes: Uint8Array): SignatureVerdict | undefined {
    return this.verifier?.(bytes);
  }
}

export const moduleGate = perKernel<ModuleGate, Solaris>(() => new ModuleGate());
