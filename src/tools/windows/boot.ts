/**
 * `lkm boot windows`: the boot loader takes the SYSTEM hive and the boot-start drivers, the kernel starts those and the
 * system-start ones, and the service controller the rest, each in the order of groups, tags and dependencies.
 */
import { FormatError } from '../../bytes/errors.ts';
import { loadHive } from '../../systems/windows/hive.ts';
import { imagePath } from '../../systems/windows/load.ts';
import { inSafeMode, Start, startOrder } from '../../systems/windows/order.ts';
import { applyRegFile } from '../../systems/windows/regfile.ts';
import type { RegistryKey } from '../../systems/windows/registry.ts';
import { inAnyCase } from '../any-case.ts';
import type { Boot, BootOptions } from '../boot.ts';
import { Story } from '../boot-story.ts';
import type { SystemFiles } from '../system.ts';
import { errorText, WinError } from './errors.ts';
import type { WindowsSession } from './session.ts';

/** What starts the session: the system's own `start`. */
export type StartSession = (options: BootOptions) => WindowsSession;

const STAGES = ['boot-start', 'system-start', 'auto-start'] as const;
const STARTS = [Start.BOOT, Start.SYSTEM, Start.AUTO] as const;
const ErrorControl = { IGNORE: 0, NORMAL: 1, SEVERE: 2, CRITICAL: 3 } as const;
const HIVE = '/Windows/System32/config/SYSTEM';

export function boot(options: BootOptions, start: StartSession): Boot {
  const story = new WindowsStory(options, start);
  return { steps: story.steps, session: story.tell() };
}

/** The root folder as the session asks for files: drives, SystemRoot and host paths. */
function rootFiles(root: SystemFiles): SystemFiles {
  const own = (path: string) =>
    path
      .replaceAll('\\', '/')
      .replace(/^\/?SystemRoot\//i, '/Windows/')
      .replace(/^\/*(\?\?\/)?C:\//i, '/')
      .replace(/^(System32|drivers)\//i, '/Windows/$1/');
  const here = (path: string) => inAnyCase(root, `/${own(path).replace(/^\/+/, '')}`);
  return {
    read: (path) => root.read(here(path)),
    list: (path) => root.list(own(path)),
    stat: (path) => root.stat(here(path)),
  };
}

class WindowsStory extends Story {
  private readonly options: BootOptions;
  private readonly start: StartSession;
  /** Drivers of an earlier stage that did not start: one event tells of them together. */
  private readonly failed: string[] = [];

  constructor(options: BootOptions, start: StartSession) {
    super();
    this.options = options;
    this.start = start;
  }

  tell(): WindowsSession | undefined {
    const { root } = this.options;
    const files = root === undefined ? undefined : rootFiles(root);
    const session = this.start(files === undefined ? this.options : { ...this.options, files });
    if (files !== undefined && !this.registry(session, files)) return undefined;
    const safe = /\bSAFEBOOT:(MINIMAL|NETWORK)\b/i.exec(this.options.commandLine ?? '')?.[1].toLowerCase();
    const mode = safe === undefined ? undefined : safe === 'network' ? 'Network' : 'Minimal';
    if (mode !== undefined)
      this.add('winload', `safe mode (${mode})`, 'note', { because: this.options.commandLine });
    for (const [i, stage] of STAGES.entries()) {
      for (const { key } of startOrder(session.kernel.registry, STARTS[i])) {
        if (mode !== undefined && !inSafeMode(session.kernel.registry, key, mode)) {
          const why = `not listed below SafeBoot\\${mode}, by its name, file or group`;
          this.add(stage, key.name, 'skipped', { because: because(key), why });
          continue;
        }
        if (!this.driver(session, stage, key)) return undefined;
      }
    }
    this.disabled(session);
    if (this.failed.length > 0)
      this.add('events', 'Service Control Manager', 'note', {
        said: ['The following boot-start or system-start driver(s) did not load: ', ...this.failed],
      });
    return session;
  }

  /** The SYSTEM hive, or .reg files at the top of the root folder. False: damaged, so the loader stops. */
  private registry({ kernel }: WindowsSession, files: SystemFiles): boolean {
    const bytes = files.read(HIVE);
    const texts = (files.list('/') ?? []).filter((name) => /\.reg$/i.test(name));
    if (bytes === undefined && texts.length === 0) {
      this.add('winload', HIVE, 'absent', {
        why: 'Without it no driver is known; a .reg file at the top of the folder does as well, or --set registry=FILE.',
      });
      return true;
    }
    try {
      if (bytes !== undefined) {
        const { keys, values, notes } = loadHive(kernel.registry, bytes, '\\Registry\\Machine\\System');
        this.add('winload', HIVE, 'loaded', { why: [`${keys} keys, ${values} values`, ...notes].join('; ') });
      }
      for (const name of texts) {
        applyRegFile(kernel.registry, files.read(`/${name}`) ?? new Uint8Array(0));
        this.add('winload', `/${name}`, 'loaded');
      }
      return true;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.add('winload', HIVE, 'stopped', { said: ['Status: 0xc0000225'], why: error.message });
      return false;
    }
  }

  /** Starts one driver. False: the system does not come up. */
  private driver({ scm, kernel }: WindowsSession, stage: string, key: RegistryKey): boolean {
    const line = because(key);
    if (scm.driver(key) !== undefined) {
      this.add(stage, key.name, 'present', {
        because: line,
        why: 'started as a dependency of one before it',
      });
      return true;
    }
    const group = missingGroup(scm.all(), key, (one) => scm.driver(one) !== undefined);
    const { error, load, dependency } =
      group === undefined
        ? scm.start(key, new Set(), key.dword('Start') === Start.BOOT)
        : { error: WinError.SERVICE_DEPENDENCY_FAIL, load: undefined, dependency: group };
    if (error === 0) {
      this.add(stage, key.name, 'loaded', { because: line });
      return true;
    }
    if (kernel.stopped !== undefined) {
      const { code, name } = kernel.stopped;
      this.add(stage, key.name, 'stopped', {
        because: line,
        said: [`*** STOP: 0x${code.toString(16).toUpperCase().padStart(8, '0')} ${name ?? ''}`.trimEnd()],
      });
      return false;
    }
    const depends =
      dependency === undefined ? undefined : `${dependency}, which it depends on, did not start.`;
    const why = depends ?? [load?.why, load?.hint].filter((text) => text !== undefined).join(' ');
    const control = key.dword('ErrorControl') ?? ErrorControl.NORMAL;
    if (stage === 'auto-start') {
      const said =
        control === ErrorControl.IGNORE
          ? []
          : [
              `The ${key.text('DisplayName') ?? key.name} service failed to start due to the following error: `,
              errorText(error),
            ];
      this.add(stage, key.name, 'refused', { because: line, said, why, rule: load?.rule });
      return true;
    }
    if (control !== ErrorControl.IGNORE) this.failed.push(key.name);
    const absent = load?.rule === 'image-file';
    this.add(stage, key.name, absent ? 'absent' : 'refused', { because: line, why, rule: load?.rule });
    return (
      control < ErrorControl.SEVERE ||
      this.severe(kernel.registry.find('\\Registry\\Machine\\System\\Select'), key, control)
    );
  }

  /**
   * Severe and critical: the machine starts again with the last known good set. When that is the set already in use, severe
   * errors are passed over and critical ones stop the system.
   */
  private severe(select: RegistryKey | undefined, key: RegistryKey, control: number): boolean {
    const [current, good] = [select?.dword('Current'), select?.dword('LastKnownGood')];
    if (good !== undefined && current !== undefined && good !== current) {
      this.add('boot-start', 'LastKnownGood', 'stopped', {
        because: `Select\\LastKnownGood = ${good}, ErrorControl = ${control} of ${key.name}`,
        why: `The machine would start again with ControlSet${String(good).padStart(3, '0')}.`,
      });
      return false;
    }
    if (control < ErrorControl.CRITICAL) return true;
    this.add('boot-start', key.name, 'stopped', {
      said: ['*** STOP: 0x0000005A CRITICAL_SERVICE_FAILED'],
      why: 'Its ErrorControl is critical, and no other set is known to be good.',
    });
    return false;
  }

  private disabled({ scm }: WindowsSession): void {
    for (const key of scm.all())
      if (key.dword('Start') === Start.DISABLED && (key.dword('Type') ?? 0) < 0x10)
        this.add('disabled', key.name, 'skipped', { because: because(key) });
  }
}

const START_WORDS = ['BOOT_START', 'SYSTEM_START', 'AUTO_START', 'DEMAND_START', 'DISABLED'];

/** The values that decided: `Start=0 (BOOT_START), Group=Base, Tag=3, \SystemRoot\...`. */
function because(key: RegistryKey): string {
  const start = key.dword('Start') ?? Start.DEMAND;
  const [group, tag] = [key.text('Group'), key.dword('Tag')];
  const parts = [
    `Start=${start} (${START_WORDS[start] ?? 'unknown'})`,
    ...(group === undefined ? [] : [`Group=${group}`]),
    ...(tag === undefined ? [] : [`Tag=${tag}`]),
    ...key.multi('DependOnService').map((name) => `DependOnService=${name}`),
    ...key.multi('DependOnGroup').map((name) => `DependOnGroup=${name}`),
  ];
  const type = key.value('ImagePath')?.type;
  return [
    ...parts,
    type === undefined || type === 1 || type === 2 ? imagePath(key) : 'ImagePath is no string',
  ].join(', ');
}

/** The first group of DependOnGroup of which nobody runs. */
function missingGroup(
  all: readonly RegistryKey[],
  key: RegistryKey,
  running: (key: RegistryKey) => boolean,
): string | undefined {
  return key
    .multi('DependOnGroup')
    .find(
      (group) => !all.some((one) => one.text('Group')?.toLowerCase() === group.toLowerCase() && running(one)),
    );
}
