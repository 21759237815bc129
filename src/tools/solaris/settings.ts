/** What `--set` changes of a Solaris session. */
import { FormatError } from '../../bytes/errors.ts';
import { readElfHeader } from '../../formats/elf/headers.ts';
import type { BootOptions } from '../../systems/solaris/boot.ts';
import { isCardName } from '../../systems/solaris/hardware.ts';
import { POLICIES } from '../../systems/solaris/rules/signature.ts';
import {
  checkSettingNames,
  type ModuleFile,
  type Setting,
  SettingError,
  type SystemFiles,
} from '../system.ts';

export const SETTINGS: readonly Setting[] = [
  {
    name: 'isa',
    summary: 'the kernel to run: amd64 or i386 (of the module on the command line, else amd64)',
  },
  {
    name: 'missing',
    summary:
      'refuse, stop (when it is used, the default) or stand-in: functions of the kernel that nobody wrote',
  },
  { name: 'debug', summary: 'yes: a DEBUG kernel, which unloads actively' },
  { name: 'variant', summary: 'solaris (default) or illumos, which checks no signatures' },
  { name: 'system', summary: 'a file to use as /etc/system' },
  { name: 'module-path', summary: 'the boot property: directories of modules, before those of /etc/system' },
  { name: 'policy', summary: 'signatures: none (default), warning or enforce' },
  { name: 'certs', summary: 'a PEM or DER file of certificates that are trusted; the kernel can only ask' },
  {
    name: 'device',
    summary:
      'PCI cards that are in the machine, with nobody behind their registers: pci10ec,8169 pci1022,2000',
  },
  { name: 'immutable', summary: 'yes: an immutable global zone, changed over the trusted path alone' },
];

export interface SolarisSettings {
  readonly boot: Omit<BootOptions, 'files' | 'seed'>;
  readonly system: Uint8Array | undefined;
  readonly certificates: Uint8Array | undefined;
}

/** What was said, else what the first module is built for. */
function bitsOf(isa: 'amd64' | 'i386' | undefined, named: readonly ModuleFile[]): 32 | 64 {
  if (isa !== undefined) return isa === 'i386' ? 32 : 64;
  for (const { bytes } of named) {
    try {
      if (bytes !== undefined) return readElfHeader(bytes).bits;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }
  return 64;
}

/** At most as many as there are slots. */
const MAX_CARDS = 16;

function cardsOf(text = ''): string[] {
  const cards = text.split(/\s+/).filter((one) => one !== '');
  const bad = cards.find((one) => !isCardName(one));
  if (bad !== undefined)
    throw new SettingError(
      `device cannot be '${bad}'`,
      'give vendor and device in hexadecimal: pci10ec,8169',
    );
  if (cards.length > MAX_CARDS)
    throw new SettingError(`${cards.length} cards are too many`, `at most ${MAX_CARDS}`);
  return cards;
}

/** @throws SettingError */
export function readSettings(
  settings: ReadonlyMap<string, string>,
  files: SystemFiles,
  named: readonly ModuleFile[] = [],
): SolarisSettings {
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
      bits: bitsOf(one('isa', ['amd64', 'i386'] as const), named),
      missing: one('missing', ['refuse', 'stop', 'stand-in'] as const),
      debug: one('debug', ['yes', 'no'] as const) === 'yes',
      variant,
      modulePath: settings.get('module-path'),
      policy,
      cards: cardsOf(settings.get('device')),
      immutable: one('immutable', ['yes', 'no'] as const) === 'yes',
    },
    system: file('system'),
    certificates: file('certs'),
  };
}
