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
  private readonly verdicts = new WeakMap<Uint8Array, SignatureVerdict>();

  /** Notes the verdict on a file, made before it is loaded. */
  judge(bytes: Uint8Array, verdict: SignatureVerdict): void {
    this.verdicts.set(bytes, verdict);
  }

  verdict(bytes: Uint8Array): SignatureVerdict | undefined {
    return this.verdicts.get(bytes);
  }
}

export const moduleGate = perKernel<ModuleGate, Solaris>(() => new ModuleGate());
