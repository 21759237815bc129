/** The rules that a kext passes on its way into a kernel, in their order: user space first, then the kernel and its linker. */
import type { OsReturnName } from '../os-return.ts';

export type Outcome = 'pass' | 'note' | 'refuse' | 'unknown' | 'not-reached';

export interface RuleFinding {
  readonly rule: RuleId;
  readonly outcome: Outcome;
  /** The system's words. */
  readonly said: readonly string[];
  readonly error?: OsReturnName;
  readonly why: string;
  readonly hint: string;
}

/** What each rule asks. */
export const RULES = {
  bundle: 'the bundle has a readable Info.plist',
  'info-dictionary': 'its properties are those that a kext must have',
  executable: 'the executable is there and is kernel extension code',
  architecture: "the executable has code for the kernel's machine",
  dependencies: 'its libraries are there, in versions that fit',
  privilege: 'the caller may load it',
  excluded: "the system's exclude list does not name it",
  owner: 'root and wheel own it, and nobody else may write to it',
  signature: 'its signature is one that this release takes',
  notarisation: 'Apple has notarised it',
  security: 'the start policy of the machine admits kexts of others',
  approval: 'a person has approved it',
  collection: 'it is part of a kernel collection',
  'loaded-copy': 'no other version of it is in the kernel',
  'boot-level': 'it may be loaded at this level of the start',
  format: 'its file type and load commands are those of a kext',
  'common-symbols': 'it has no common symbols',
  'duplicate-symbols': 'no library defines what it defines itself',
  'weak-references': 'weak references are tested for',
  symbols: 'its direct libraries define every symbol that it needs',
  'kmod-info': 'it has a kmod_info structure',
  relocations: 'every relocation can be applied',
  vtables: 'its C++ classes fit those that they inherit from',
} as const;

export type RuleId = keyof typeof RULES;
export const RULE_IDS = Object.keys(RULES) as RuleId[];

/** Findings by rule; what comes behind a refusal is not reached. */
export class Findings {
  private readonly list = new Map<RuleId, RuleFinding>();

  get refused(): boolean {
    return [...this.list.values()].some(({ outcome }) => outcome === 'refuse');
  }

  set(rule: RuleId, outcome: Outcome, more: Partial<Omit<RuleFinding, 'rule' | 'outcome'>> = {}): void {
    if (this.list.has(rule)) return;
    this.list.set(rule, { rule, outcome, said: [], why: '', hint: '', ...more });
  }

  pass(...rules: readonly RuleId[]): void {
    for (const rule of rules) this.set(rule, 'pass');
  }

  /** Every rule in its order. */
  get all(): readonly RuleFinding[] {
    return RULE_IDS.map(
      (rule) => this.list.get(rule) ?? { rule, outcome: 'not-reached', said: [], why: '', hint: '' },
    );
  }
}
