/** What `--set` changes of a Solaris session. */
import type { BootOptions } from '../../systems/solaris/boot.ts';
import { POLICIES } from '../../systems/solaris/rules/signature.ts';
import { checkSettingNames, type Setting, SettingError, type SystemFiles } from '../system.ts';

export const SETTINGS: readonly Setting[] = [
  { name: 'isa', summary: 'the kernel to run: amd64 (default) or i386' },
  { name: 'debug', summary: 'yes: a DEBUG kernel, which unloads actively' },
  { name: 'variant', summary: 'solaris (default) or illumos, which checks no signatures' },
  { name: 'system', summary: 'a file to use as /etc/system' },
  { name: 'module-path', summary: 'the boot property: directories of modules, before those of /etc/system' },
  { name: 'policy', summary: 'signatures: none (default), warning or enforce' },
  { name: 'certs', summary: 'a PEM or DER file of certificates that are trusted; the kernel can only ask' },
  { name: 'immutable', summary: 'yes: an immutable global zone, changed over the trusted path alone' },
];

export interface SolarisSettings {
  readonly boot: Omit<BootOptions, 'files' | 'seed' | 'missing'>;
  readonly system: Uint8Array | undefined;
  readonly certificates: Uint8Array | undefined;
}

/** @throws SettingError */
export function readSettings(settings: ReadonlyMap<string, string>, files: SystemFiles): SolarisSettings {
  checkSettingNames('Solaris', SETTINGS, settings);
  const one = <T extends string>(name: string, values: readonly T[]): T | undefined => {
    const given = settings.get(name);
    const value = values.find((candidate) => candidate === given);
    if (given !== undefined && value === undefined)
      throw new SettingError(`${name} cannot be '${given}'`, `it is one of ${values.join(', ')}`);
    return value;
  };
  const file = (name: string): Uint8Array | undefined => {
    const path = settings.get(name);
    if (path === undefined) return undefined;
    const bytes = files.read(path);
    if (bytes === undefined)
      throw new SettingError(`${name}: there is no file ${path}`, 'give the path of a file');
    return bytes;
  };
  const variant = one('variant', ['solaris', 'illumos'] as const);
  const policy = one('policy', POLICIES);
  if (variant === 'illumos' && policy !== undefined && policy !== 'none')
    throw new SettingError('illumos checks no signatures of modules', 'leave policy out');
  return {
    boot: {
      bits: one('isa', ['amd64', 'i386'] as const) === 'i386' ? 32 : 64,
      debug: one('debug', ['yes', 'no'] as const) === 'yes',
      variant,
      modulePath: settings.get('module-path'),
      policy,
      immutable: one('immutable', ['yes', 'no'] as const) === 'yes',
    },
    system: file('system'),
    certificates: file('certs'),
  };
}
