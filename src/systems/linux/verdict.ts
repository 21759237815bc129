/** How a load ends when it does not succeed, and what is told besides the kernel's own words. */

/**
 * The load was refused. `errno` is what the system call returns; what the kernel says about it is in its log by then.
 * `why` and `hint` are ours.
 */
export class Refusal extends Error {
  /** Id of the rule that refused (see rules/explanations.ts). */
  readonly rule: string;
  /** Positive; see errno.ts. */
  readonly errno: number;
  readonly why: string;
  readonly hint: string;
  /** The kernel's own lines about it, in order, as they stand in the log. */
  readonly said: readonly string[];
  /** Imports that nobody wrote, when that is the reason; the kernel would have loaded the module. */
  readonly missing: readonly string[];

  constructor(facts: {
    rule: string;
    errno: number;
    why: string;
    hint: string;
    said?: readonly string[];
    missing?: readonly string[];
  }) {
    super(facts.why);
    this.name = 'Refusal';
    this.rule = facts.rule;
    this.errno = facts.errno;
    this.why = facts.why;
    this.hint = facts.hint;
    this.said = facts.said ?? [];
    this.missing = facts.missing ?? [];
  }
}

/** Something worth telling about a module that its kernel passes over in silence. */
export interface Finding {
  readonly id: string;
  readonly text: string;
}

/** What can be said of a module's signature without trusting anybody. */
export interface SignatureFacts {
  readonly present: boolean;
  /** Common name of the issuer that the signature names. */
  readonly signer: string;
  /** Serial number of the key, hexadecimal. */
  readonly key: string;
  readonly hash: string;
  /**
   * 'trusted-key': made with a key that the kernel knows; 'unknown-key': it has no such key; 'unsupported': of a kind that
   * the kernel does not verify; 'none': not signed.
   */
  readonly verdict: 'trusted-key' | 'unknown-key' | 'unsupported' | 'none';
  /** The key was looked for among certificates, and what it signed was checked; otherwise it was judged by name. */
  readonly verified: boolean;
  /** How the verdict was reached, in our words. */
  readonly because: string;
}
