/** What a rule says of an image, and what rules can see: a kernel or a file that describes one. */
import type { PeFile } from '../../../formats/pe/read.ts';
import type { Release } from '../release.ts';
import type { SignatureOrigin } from '../signature/origin.ts';
import type { TimeStamp } from '../signature/timestamp.ts';

export interface Verdict {
  /** Stable id. */
  readonly rule: string;
  readonly verdict: 'pass' | 'note' | 'refuse' | 'cannot tell';
  /** NTSTATUS of a refusal; 0 otherwise. */
  readonly status: number;
  /** In our words: why. */
  readonly why: string;
  readonly hint?: string;
}

/** Settings that decide about images; a running session and `--set` alone both give one. */
export interface ImagePolicy {
  readonly release: Release;
  readonly machine: 'x64' | 'x86' | 'arm64';
  readonly processors: number;
  readonly secureBoot: boolean;
  readonly testSigning: boolean;
  /** F8: no enforcement for this boot. */
  readonly noIntegrityChecks: boolean;
  readonly hvci: boolean;
  /** Authenticode SHA-256 or SHA-1 hashes (lower-case hexadecimal) that must not load. */
  readonly blocked: ReadonlySet<string>;
  /** The boot loader loads it. */
  readonly bootStart?: boolean;
  /** DER of root certificates that are trusted as Microsoft's own would be. */
  readonly roots: readonly Uint8Array[];
}

/** What was found out about a file's signature before the rules are asked. */
export interface SignatureFacts {
  readonly state: 'none' | 'valid' | 'bad hash' | 'malformed' | 'cannot tell';
  /** Authenticode hashes of the file in hexadecimal: SHA-1, SHA-256, MD5 (which signatures until 2009 have). */
  readonly hashes: readonly string[];
  readonly signer: string | undefined;
  /** The chain ends at a root that the policy trusts. */
  readonly trusted: boolean;
  readonly detail: string;
  /** All of them, the file's own first. */
  readonly signatures: readonly SignatureReport[];
  /** Of the one that decides. */
  readonly origin?: SignatureOrigin;
  readonly timeStamp?: TimeStamp;
}

/** One signature: in the file, nested in that, or of a catalog that lists the file. */
export interface SignatureReport {
  readonly place: 'embedded' | 'nested' | 'catalog';
  readonly state: Exclude<SignatureFacts['state'], 'none'>;
  /** Hash of the image. */
  readonly algorithm: string;
  readonly pageHashes: 'none' | 'hold' | 'bad';
  readonly signer: string | undefined;
  readonly trusted: boolean;
  /** Names from the signer upwards. */
  readonly chain: readonly string[];
  readonly detail: string;
  readonly timeStamp: TimeStamp | undefined;
  readonly origin: SignatureOrigin | undefined;
}

export interface ImageFacts {
  readonly pe: PeFile;
  readonly signature: SignatureFacts;
}

export const pass = (rule: string, why: string): Verdict => ({ rule, verdict: 'pass', status: 0, why });
export const note = (rule: string, why: string): Verdict => ({ rule, verdict: 'note', status: 0, why });
export const refuse = (rule: string, status: number, why: string, hint?: string): Verdict => ({
  rule,
  verdict: 'refuse',
  status,
  why,
  hint,
});
