/**
 * What kextutil -t prints of a kext: groups of findings, each with what it was found in. The texts are those of IOKitUser's
 * table of diagnostics; those of the rules `link-outside`, `link-inside`, `match-category`, `debug-level`, `no-kpi`,
 * `private-kpi` and `codeless-libraries` could not be compared with it and may be worded otherwise there.
 */
import type { KextInfo } from '../info.ts';

export type DiagnosticGroup = 'validation' | 'authentication' | 'dependencies' | 'warnings' | 'boot';

/** Heads of the groups, in the order they are printed. */
export const GROUP_TITLES: Readonly<Record<DiagnosticGroup, string>> = {
  validation: 'Validation Failures: ',
  authentication: 'Authentication Failures: ',
  dependencies: 'Dependency Resolution Failures: ',
  warnings: 'Warnings: ',
  boot: 'Boot Level Restrictions: ',
};

export interface Finding {
  readonly group: DiagnosticGroup;
  /** Stable id of the rule. */
  readonly rule: string;
  /** The system's words. */
  readonly text: string;
  /** Keys, paths or identifiers that it was found in. */
  readonly values: readonly string[];
}

/** Findings of one kext, by group. */
export class Diagnostics {
  readonly findings: Finding[] = [];

  add(group: DiagnosticGroup, rule: string, text: string, ...values: readonly string[]): void {
    const known = this.findings.find((finding) => finding.group === group && finding.text === text);
    if (known === undefined) this.findings.push({ group, rule: `macos.${rule}`, text, values });
    else this.findings[this.findings.indexOf(known)] = { ...known, values: [...known.values, ...values] };
  }

  of(group: DiagnosticGroup): readonly Finding[] {
    return this.findings.filter((finding) => finding.group === group);
  }

  has(group: DiagnosticGroup): boolean {
    return this.findings.some((finding) => finding.group === group);
  }

  merge(other: Diagnostics): void {
    for (const { group, rule, text, values } of other.findings)
      this.add(group, rule.slice('macos.'.length), text, ...values);
  }

  /** As kextutil prints them: nested, four blanks a level, a value after its text. */
  text(path: string): string {
    if (this.findings.length === 0) return '';
    const lines = [`Diagnostics for ${path}:`];
    for (const [group, title] of Object.entries(GROUP_TITLES)) {
      const findings = this.of(group as DiagnosticGroup);
      if (findings.length === 0) continue;
      lines.push(title);
      for (const { text, values } of findings) {
        lines.push(`    ${text}: `, ...values.map((value) => `        ${value}`), '');
      }
    }
    return `${lines.join('\n')}\n`;
  }
}

export const keyOf = (info: KextInfo, key: string): string => info.variantKey(key) ?? key;
