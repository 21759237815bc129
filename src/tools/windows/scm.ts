/** The service controller as far as drivers go: keys of the registry, starting, stopping, deletion. */
import type { Address } from '../../memory/space.ts';
import { devicesOf, ExtensionFlag, extensionFlags } from '../../systems/windows/devices.ts';
import type { Leak } from '../../systems/windows/leaks.ts';
import { driverOf, type LoadResult, loadDriver } from '../../systems/windows/load.ts';
import type { SessionPolicy } from '../../systems/windows/policy.ts';
import type { RegistryKey } from '../../systems/windows/registry.ts';
import { RegType } from '../../systems/windows/registry.ts';
import { win32Error } from '../../systems/windows/status.ts';
import { unloadDriver } from '../../systems/windows/unload.ts';
import type { Windows } from '../../systems/windows/windows.ts';
import { WinError } from './errors.ts';

export type ServiceState = 'STOPPED' | 'RUNNING' | 'STOP_PENDING';

export const SERVICE_TYPES: readonly (readonly [word: string, value: number, shown: string])[] = [
  ['kernel', 1, 'KERNEL_DRIVER'],
  ['filesys', 2, 'FILE_SYSTEM_DRIVER'],
  ['adapt', 4, 'ADAPTER'],
  ['rec', 8, 'RECOGNIZER_DRIVER'],
];
export const START_TYPES: readonly (readonly [word: string, value: number, shown: string])[] = [
  ['boot', 0, 'BOOT_START'],
  ['system', 1, 'SYSTEM_START'],
  ['auto', 2, 'AUTO_START'],
  ['demand', 3, 'DEMAND_START'],
  ['disabled', 4, 'DISABLED'],
];
export const ERROR_CONTROLS: readonly (readonly [word: string, value: number, shown: string])[] = [
  ['ignore', 0, 'IGNORE'],
  ['normal', 1, 'NORMAL'],
  ['severe', 2, 'SEVERE'],
  ['critical', 3, 'CRITICAL'],
];

const DISABLED = 4;

export interface StartOutcome {
  readonly error: number;
  readonly load?: LoadResult;
  /** A dependency that did not start. */
  readonly dependency?: string;
}

export interface StopOutcome {
  readonly error: number;
  readonly deferred: boolean;
  readonly leaks: readonly Leak[];
  readonly why?: string;
}

export class ServiceController {
  readonly k: Windows;
  readonly policy: SessionPolicy;
  private readonly doomed = new Set<string>();
  /** Win32 exit code of the last start or stop, by service. */
  private readonly exits = new Map<string, number>();

  constructor(k: Windows, policy: SessionPolicy) {
    this.k = k;
    this.policy = policy;
  }

  find(name: string): RegistryKey | undefined {
    const key = this.k.registry.services.child(name);
    return key?.value('Type') === undefined ? undefined : key;
  }

  all(): RegistryKey[] {
    const keys = [...this.k.registry.services.keys.values()].filter((key) => key.value('Type') !== undefined);
    return keys.sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
  }

  driver(key: RegistryKey): Address | undefined {
    return driverOf(this.k, key);
  }

  state(key: RegistryKey): ServiceState {
    const driver = this.driver(key);
    if (driver === undefined) return 'STOPPED';
    for (const device of devicesOf(this.k, driver)) {
      if ((extensionFlags(this.k, device) & ExtensionFlag.UNLOAD_PENDING) !== 0) return 'STOP_PENDING';
    }
    return 'RUNNING';
  }

  /** What WIN32_EXIT_CODE shows: 1077 until a service was started for the first time. */
  exitCode(key: RegistryKey): number {
    return this.exits.get(key.name.toLowerCase()) ?? 1077;
  }

  marked(key: RegistryKey): boolean {
    return this.doomed.has(key.name.toLowerCase());
  }

  create(name: string, path: string, type = 1, start = 3, error = 1): RegistryKey {
    const key = this.k.registry.services.create(name);
    key.setDword('Type', type);
    key.setDword('Start', start);
    key.setDword('ErrorControl', error);
    key.setText('ImagePath', path, RegType.EXPAND_SZ);
    return key;
  }

  /** Deleted at once, or when the driver stops. */
  remove(key: RegistryKey): number {
    if (this.marked(key)) return WinError.SERVICE_MARKED_FOR_DELETE;
    if (this.driver(key) === undefined) key.remove();
    else this.doomed.add(key.name.toLowerCase());
    return 0;
  }

  /** Does a service depend on itself, by way of others? */
  circular(key: RegistryKey): boolean {
    const seen = new Set<string>();
    const names = key.multi('DependOnService');
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      if (name.toLowerCase() === key.name.toLowerCase()) return true;
      if (seen.has(name.toLowerCase())) continue;
      seen.add(name.toLowerCase());
      names.push(...(this.find(name)?.multi('DependOnService') ?? []));
    }
    return false;
  }

  /** @param bootStart the boot loader starts it, which looks into no catalogs */
  start(key: RegistryKey, seen: ReadonlySet<string> = new Set(), bootStart = false): StartOutcome {
    if (this.marked(key)) return { error: WinError.SERVICE_MARKED_FOR_DELETE };
    if (key.dword('Start') === DISABLED) return { error: WinError.SERVICE_DISABLED };
    if (this.driver(key) !== undefined) return { error: WinError.SERVICE_ALREADY_RUNNING };
    for (const name of key.multi('DependOnService')) {
      const other = this.find(name);
      if (other !== undefined && this.driver(other) !== undefined) continue;
      const circle = seen.has(name.toLowerCase());
      const started =
        other === undefined || circle
          ? undefined
          : this.start(other, new Set([...seen, key.name.toLowerCase()]));
      if (started?.error !== 0) return { error: WinError.SERVICE_DEPENDENCY_FAIL, dependency: name };
    }
    // Of a group one is enough, once all of it have been tried.
    for (const group of key.multi('DependOnGroup')) {
      const members = this.all().filter((one) => one.text('Group')?.toLowerCase() === group.toLowerCase());
      for (const one of members)
        if (this.driver(one) === undefined && !seen.has(one.name.toLowerCase()))
          this.start(one, new Set([...seen, key.name.toLowerCase()]));
      if (!members.some((one) => this.driver(one) !== undefined))
        return { error: WinError.SERVICE_DEPENDENCY_FAIL, dependency: `the group ${group}` };
    }
    const load = this.k.runThread(
      'System',
      false,
      loadDriver(this.k, { ...this.policy, bootStart }, key.name),
    );
    this.k.scheduler.settle();
    const error = load.status >= 0 ? 0 : win32Error(load.status, this.k.release);
    this.exits.set(key.name.toLowerCase(), error);
    return { error, load };
  }

  stop(key: RegistryKey): StopOutcome {
    const nothing = { deferred: false, leaks: [] };
    if (this.driver(key) === undefined) return { error: WinError.SERVICE_NOT_ACTIVE, ...nothing };
    const result = this.k.runThread('System', false, unloadDriver(this.k, key));
    this.k.scheduler.settle();
    if (result.status < 0) return { error: WinError.INVALID_SERVICE_CONTROL, ...nothing, why: result.why };
    this.swept(key);
    return { error: 0, deferred: result.deferred, leaks: result.leaks };
  }

  /** Services that were to go with their driver: asked for whenever one may have stopped. */
  sweep(): void {
    for (const name of [...this.doomed]) {
      const key = this.find(name);
      if (key !== undefined) this.swept(key);
    }
  }

  private swept(key: RegistryKey): void {
    if (this.driver(key) !== undefined) return;
    this.exits.set(key.name.toLowerCase(), 0);
    if (!this.doomed.delete(key.name.toLowerCase())) return;
    key.remove();
  }
}
