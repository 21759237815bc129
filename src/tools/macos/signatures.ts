/** What the code signatures of kexts come to, worked out before rules ask for it (verification has to wait). */
import type { Kext } from '../../systems/macos/library.ts';
import type { SignatureState } from '../../systems/macos/rules/policy.ts';
import type { MacosSession } from './session.ts';

const UNSIGNED: SignatureState = { kind: 'none' };
const states = new WeakMap<MacosSession, Map<string, SignatureState>>();

export async function verifySignatures(session: MacosSession, kexts: readonly Kext[]): Promise<void> {
  const known = states.get(session) ?? new Map<string, SignatureState>();
  states.set(session, known);
  for (const kext of kexts) known.set(kext.path, UNSIGNED);
}

export function signatureOf(session: MacosSession, kext: Kext): SignatureState {
  return states.get(session)?.get(kext.path) ?? UNSIGNED;
}
