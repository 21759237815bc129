/**
 * May this kext be loaded by this user on this machine (kext_tools security.c, authenticateKext)? Each rule looks at a view,
 * so that it can be asked without a kernel.
 */
import type { Kext } from '../library.ts';
import type { OsReturnName } from '../os-return.ts';
import type { Release } from '../release.ts';
import { allowedText, deniedText, shownKext } from './policy-words.ts';

/** System Integrity Protection as far as kexts go: bits of csr_get_active_config. */
export const CSR_ALLOW_UNTRUSTED_KEXTS = 1;
export const CSR_ALLOW_UNAPPROVED_KEXTS = 0x200;

/** What the code signature of a bundle comes to. */
export type SignatureState =
  | { readonly kind: 'none' }
  /** Signed, but not as a kext must be: `why` in our words. */
  | { readonly kind: 'invalid'; readonly why: string }
  | { readonly kind: 'apple' }
  /** `signed`: by the word of Apple's time stamp service. */
  | { readonly kind: 'developer'; readonly team: string; readonly signed?: Date | undefined };

export interface PolicyView {
  readonly release: Release;
  readonly uid: number;
  readonly csr: number;
  readonly bootArgs: string;
  readonly signature: (kext: Kext) => SignatureState;
  readonly notarised: (kext: Kext) => boolean;
  /** Approved by a person: team and bundle identifier. */
  readonly approved: (kext: Kext) => boolean;
  /** Part of the collection that this start of the machine was made with. */
  readonly inCollection: (kext: Kext) => boolean;
  readonly excluded: (kext: Kext) => boolean;
}

export interface PolicyVerdict {
  readonly result: 'pass' | 'note' | 'refuse';
  readonly rule: string;
  readonly code: OsReturnName;
  /** The system's words, for its log, line by line; empty when it writes none. */
  readonly text: string;
  /** In our words: why and what to do. */
  readonly note: string;
}

/** errSecCSUnsigned */
const UNSIGNED = -67062;
/** errSecCSReqFailed */
const REQUIREMENT_FAILED = -67050;

type Rule = (kext: Kext, view: PolicyView) => PolicyVerdict | undefined;

const refuse = (rule: string, code: OsReturnName, text: string, note: string): PolicyVerdict => ({
  result: 'refuse',
  rule: `macos.${rule}`,
  code,
  text,
  note,
});

const privilege: Rule = (kext, { uid }) => {
  if (uid === 0) return undefined;
  if (kext.info.flag('OSBundleAllowUserLoad') && kext.inSystem) return undefined;
  const why = kext.info.flag('OSBundleAllowUserLoad')
    ? 'OSBundleAllowUserLoad counts only for kexts below /System/Library/Extensions'
    : 'only root may load it: its OSBundleAllowUserLoad is not set';
  // Refused without a word in the log.
  return refuse('privilege', 'NotPrivileged', '', why);
};

const exclusion: Rule = (kext, { excluded }) =>
  excluded(kext)
    ? refuse(
        'excluded',
        'NotLoadable',
        `Kext rejected due to presence on exclude list: ${shownKext(kext)}`,
        'the exclude list of the system names this version',
      )
    : undefined;

const ownership: Rule = (kext) =>
  kext.authentication.has('authentication')
    ? refuse(
        'owner',
        'Authentication',
        `Kext rejected due to improper filesystem permissions: ${shownKext(kext)}`,
        `sudo chown -R root:wheel ${kext.path}; sudo chmod -R go-w ${kext.path}`,
      )
    : undefined;

const signature: Rule = (kext, view) => {
  const policy = view.release.signature;
  if (policy === 'none') return undefined;
  const state = view.signature(kext);
  if (state.kind === 'apple' || state.kind === 'developer') return undefined;
  const code = state.kind === 'none' ? UNSIGNED : REQUIREMENT_FAILED;
  const why = state.kind === 'none' ? 'it is not signed' : state.why;
  const allowed: PolicyVerdict = {
    result: 'note',
    rule: 'macos.signature',
    code: 'Success',
    text: allowedText(kext, view.release, code),
    note: why,
  };
  const installed = !kext.inSystem;
  if (policy === 'warn' && installed) return allowed;
  if (policy === 'dev-mode' && /\bkext-dev-mode=1\b/.test(view.bootArgs)) return allowed;
  if (policy === 'sip' && (view.csr & CSR_ALLOW_UNTRUSTED_KEXTS) !== 0) return allowed;
  const remedy = policy === 'sip' ? 'csrutil enable --without kext' : 'nvram boot-args="kext-dev-mode=1"';
  return refuse(
    'signature',
    'NotLoadable',
    deniedText(kext, view.release, code),
    `${why}; for development: ${remedy}`,
  );
};

/** 7 April 2019: what was signed before needs no notarisation. */
const NOTARISED_FROM = Date.UTC(2019, 3, 7);

const notarisation: Rule = (kext, view) => {
  if (!view.release.notarisation || (view.csr & CSR_ALLOW_UNTRUSTED_KEXTS) !== 0) return undefined;
  const state = view.signature(kext);
  if (state.kind !== 'developer' || view.notarised(kext)) return undefined;
  if (state.signed !== undefined && state.signed.getTime() < NOTARISED_FROM) return undefined;
  const text = `Kext rejected due to system policy: ${shownKext(kext)}`;
  return refuse(
    'notarisation',
    'SystemPolicy',
    text,
    'it is signed, but not notarised by Apple; xcrun notarytool submit, then xcrun stapler staple',
  );
};

const approval: Rule = (kext, view) => {
  const { release, csr } = view;
  if (!release.approval || (csr & (CSR_ALLOW_UNAPPROVED_KEXTS | CSR_ALLOW_UNTRUSTED_KEXTS)) !== 0)
    return undefined;
  if (view.signature(kext).kind === 'apple' || view.approved(kext)) return undefined;
  const text = `Kext rejected due to system policy: ${shownKext(kext)}`;
  return refuse(
    'approval',
    'SystemPolicy',
    text,
    'nobody has approved it; System Preferences, Security & Privacy, General',
  );
};

const collection: Rule = (kext, view) => {
  if (!view.release.collections || kext.isApple || view.inCollection(kext)) return undefined;
  const where = view.approved(kext) ? 'restart the machine to use it' : 'approve it and restart the machine';
  const text = `Extension with identifiers ${kext.identifier} not approved to load. Please approve using System Settings.`;
  return refuse(
    'collection',
    'SystemPolicy',
    text,
    `since macOS 11 a kext must be in the auxiliary kernel collection; ${where}`,
  );
};

/** In the order in which they are asked. */
const RULES: readonly Rule[] = [
  privilege,
  exclusion,
  ownership,
  signature,
  notarisation,
  approval,
  collection,
];

/** Every rule until one refuses; notes on the way are kept. */
export function judge(kext: Kext, view: PolicyView): readonly PolicyVerdict[] {
  const verdicts: PolicyVerdict[] = [];
  for (const rule of RULES) {
    const verdict = rule(kext, view);
    if (verdict === undefined) continue;
    verdicts.push(verdict);
    if (verdict.result === 'refuse') break;
  }
  return verdicts;
}
