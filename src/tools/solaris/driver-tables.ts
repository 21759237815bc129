/** The tables in which add_drv(1M) and its like keep what they know, below / or the folder given with -b. */
import { configuration, textOf } from '../../systems/solaris/configuration.ts';
import { MAX_MAJOR } from '../../systems/solaris/devices.ts';
import {
  firstName,
  freeNumber,
  parseAliases,
  parseMinorPermissions,
  parseNumbers,
  withLine,
  withoutName,
} from '../../systems/solaris/etc/name-files.ts';
import { isAbout, permissionLine } from './driver-options.ts';
import type { SolarisSession } from './session.ts';

const FILES = {
  majors: '/etc/name_to_major',
  removed: '/etc/rem_name_to_major',
  aliases: '/etc/driver_aliases',
  classes: '/etc/driver_classes',
  permissions: '/etc/minor_perm',
  policy: '/etc/security/device_policy',
  privileges: '/etc/security/extra_privs',
} as const;

export type Table = keyof typeof FILES;

export class DriverTables {
  private readonly session: SolarisSession;
  private readonly base: string;

  constructor(session: SolarisSession, base = '') {
    this.session = session;
    this.base = base === '/' ? '' : base.replace(/\/+$/, '');
  }

  /** The tables of the running system, which its kernel follows. */
  get running(): boolean {
    return this.base === '';
  }

  path(table: Table): string {
    return `${this.base}${FILES[table]}`;
  }

  read(table: Table): string {
    return textOf(this.session.files.read(this.path(table)));
  }

  write(table: Table, text: string): void {
    this.session.files.write(this.path(table), new TextEncoder().encode(text));
  }

  append(table: Table, line: string): void {
    this.write(table, withLine(this.read(table), line));
  }

  /** add_drv asks for a boot with reconfiguration by this file. */
  reconfigure(): void {
    this.session.files.write(`${this.base}/reconfigure`, new Uint8Array(0));
  }

  majors(): Map<string, number> {
    return parseNumbers(this.read('majors'));
  }

  aliases(): { driver: string; alias: string }[] {
    return parseAliases(this.read('aliases'));
  }

  privileges(): Set<string> {
    const names = this.read('privileges')
      .split('\n')
      .map((line) => line.slice(line.indexOf(':') + 1).trim());
    return new Set(names.filter((name) => name !== ''));
  }

  /** A number: what the driver had before it was removed, or the lowest that nobody has or had; undefined when full. */
  bind(driver: string): number | undefined {
    const majors = this.majors();
    const removed = parseNumbers(this.read('removed'));
    const before = removed.get(driver);
    if (before !== undefined) this.write('removed', withoutName(this.read('removed'), driver));
    const inUse = [...this.session.kernel.state(configuration).majors].filter(([name]) => name !== driver);
    const taken = new Set([...majors.values(), ...(this.running ? inUse.map(([, number]) => number) : [])]);
    const kept = before !== undefined && !taken.has(before) ? before : undefined;
    const others = [...removed].filter(([name]) => name !== driver);
    const major = kept ?? freeNumber(new Map([...majors, ...others, ...(this.running ? inUse : [])]));
    if (major >= MAX_MAJOR) return undefined;
    this.append('majors', `${driver} ${major}`);
    return major;
  }

  /** Everything about a driver. */
  forget(driver: string): void {
    for (const table of ['majors', 'aliases', 'classes', 'permissions', 'policy', 'privileges'] as const)
      if (this.read(table) !== '') this.write(table, withoutName(this.read(table), driver));
  }

  /** One permission: it takes the place of the one for the same minor node, whose comment stays. */
  setPermission(driver: string, entry: string): void {
    let found = false;
    const lines = this.read('permissions')
      .split('\n')
      .map((line) => {
        const [known] = parseMinorPermissions(line);
        if (known === undefined || !isAbout(known, driver, entry)) return line;
        found = true;
        const comment = /#.*$/.exec(line)?.[0];
        return permissionLine(driver, entry) + (comment === undefined ? '' : ` ${comment}`);
      });
    if (found) this.write('permissions', lines.join('\n'));
    else this.append('permissions', permissionLine(driver, entry));
  }

  /**
   * Takes one entry of a driver out, which must be there as it is; false when it is not. Blanks around it and quotes
   * do not count.
   */
  removeEntry(table: 'permissions' | 'aliases' | 'privileges', driver: string, entry: string): boolean {
    let found = false;
    const wanted = entry.trim();
    const kept = this.read(table)
      .split('\n')
      .filter((line) => {
        if (firstName(line) !== driver) return true;
        const own = line
          .replace(/^\s*[^\s:]+[\s:]/, '')
          .trim()
          .replace(/^["']+|["']+$/g, '')
          .trim();
        if (own !== wanted) return true;
        found = true;
        return false;
      });
    if (found) this.write(table, kept.join('\n'));
    return found;
  }

  /** Lines of device_policy(4) take the place of those for the same minor nodes. */
  setPolicy(lines: readonly string[]): void {
    for (const line of lines) this.removePolicy(line.split('\t')[0]);
    for (const line of lines) this.append('policy', line);
  }

  /** `driver:minor`; `driver:*` is also a line of the driver alone. False when there is none. */
  removePolicy(entry: string): boolean {
    const [driver] = entry.split(':');
    const before = this.read('policy').split('\n');
    const kept = before.filter((line) => {
      const [name] = line.trim().split(/\s+/);
      return name !== entry && !(entry === `${driver}:*` && name === driver);
    });
    if (kept.length === before.length) return false;
    this.write('policy', kept.join('\n'));
    return true;
  }
}
