/**
 * May the machine start with the kexts that are installed? From OS X 10.11 on, with System Integrity Protection, an unsigned
 * kext in a kext folder keeps the kernel from being started. How the machine shows it is not text of the system's.
 */
import type { Kext } from '../library.ts';
import { judge, type PolicyView } from './policy.ts';

export interface BootVerdict {
  readonly starts: boolean;
  readonly offenders: readonly { readonly path: string; readonly identifier: string; readonly why: string }[];
}

/** Every installed kext is looked at as root would load it; only what its signature comes to stops a start. */
export function judgeBoot(kexts: readonly Kext[], view: PolicyView): BootVerdict {
  if (view.release.signature !== 'sip') return { starts: true, offenders: [] };
  const offenders = kexts.flatMap((kext) => {
    const refused = judge(kext, { ...view, uid: 0 }).find(
      ({ result, rule }) => result === 'refuse' && rule === 'macos.signature',
    );
    return refused === undefined ? [] : [{ path: kext.path, identifier: kext.identifier, why: refused.note }];
  });
  return { starts: offenders.length === 0, offenders };
}
