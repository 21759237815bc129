/**
 * What kextutil -t prints of a kext: groups of findings, each with what it was found in (IOKitUser OSKext.c, the table of
 * diagnostics, __OSKextAddDiagnostic and OSKextLogDiagnostics). The order in a group is that of the findings here; there it is
 * that of a hash table.
 */
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
  /** Keys, paths or identifiers that it was found in; empty where the text says it all. */
  readonly values: readonly string[];
}

/** A finding in one line of ours. */
export const findingText = ({ text, values }: Finding): string =>
  values.length === 0 ? text : `${text}: ${values.slice(0, 3).join(', ')}${values.length > 3 ? ' ...' : ''}`;

/** Findings of one kext, by group. */
export class Diagnostics {
  readonly findings: Finding[] = [];

  add(group: DiagnosticGroup, rule: string, text: string, ...values: readonly string[]): void {
    const known = this.findings.findIndex((finding) => finding.group === group && finding.text === text);
    if (known < 0) {
      this.findings.push({ group, rule: `macos.${rule}`, text, values });
      return;
    }
    const before = this.findings[known];
    const fresh = values.filter((value) => !before.values.includes(value));
    this.findings[known] = { ...before, values: [...before.values, ...fresh] };
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

  /** Only some groups. */
  only(...groups: readonly DiagnosticGroup[]): Diagnostics {
    const some = new Diagnostics();
    some.findings.push(...this.findings.filter(({ group }) => groups.includes(group)));
    return some;
  }

  /** The groups as they are printed, four blanks a level; empty when there is nothing to say. */
  get body(): string {
    const groups = Object.entries(GROUP_TITLES).flatMap(([group, title]) => {
      const findings = this.of(group as DiagnosticGroup);
      return findings.length === 0 ? [] : [`${title}\n${findings.map(printed).join('')}`];
    });
    return groups.join('\n');
  }

  /** With the head that names the bundle, and the empty line that a log record of several lines ends with. */
  text(path: string): string {
    return this.findings.length === 0 ? '' : `Diagnostics for ${path}:\n${this.body}\n`;
  }
}

const printed = ({ text, values }: Finding): string =>
  values.length === 0
    ? `    ${text}\n`
    : `    ${text}: \n${values.map((value) => `        ${value}\n`).join('')}`;
