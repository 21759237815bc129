/** What the code signatures of kexts come to, worked out before rules ask for it (verification has to wait). */
import type { Kext } from '../../systems/macos/library.ts';
import type { SignatureState } from '../../systems/macos/rules/policy.ts';
import { verifySignature } from '../../systems/macos/signature/verify.ts';
import type { MacosSession } from './session.ts';

const UNSIGNED: SignatureState = { kind: 'none' };

interface Verified {
  /** The executable and the property list that were looked at: files change. */
  readonly executable: Uint8Array | undefined;
  readonly info: Uint8Array;
  readonly state: SignatureState;
}

const verified = new WeakMap<MacosSession, Map<string, Verified>>();

export async function verifySignatures(session: MacosSession, kexts: readonly Kext[]): Promise<void> {
  if (session.choices.release.signature === 'none') return;
  const known = verified.get(session) ?? new Map<string, Verified>();
  verified.set(session, known);
  for (const { path, bundle } of kexts) {
    const { executable, infoBytes: info } = bundle;
    const before = known.get(path);
    if (before !== undefined && before.executable === executable && before.info === info) continue;
    const { state } = await verifySignature(bundle);
    known.set(path, { executable, info, state });
  }
}

export function signatureOf(session: MacosSession, kext: Kext): SignatureState {
  return verified.get(session)?.get(kext.path)?.state ?? UNSIGNED;
}
