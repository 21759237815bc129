/** The settings of a FreeBSD session, and what they are when nobody says: taken from the module that is at hand. */
import { FormatError } from '../../bytes/errors.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { builtWith } from '../../systems/freebsd/built-with.ts';
import type { Bits } from '../../systems/freebsd/declarations.ts';
import type { KernelFile } from '../../systems/freebsd/kernelfile.ts';
import { KldFile } from '../../systems/freebsd/kldfile.ts';
import { parseVersion } from '../../systems/freebsd/version.ts';
import {
  checkSettingNames,
  type SessionOptions,
  type Setting,
  SettingError,
  type SystemFiles,
} from '../system.ts';

/** 13.2-RELEASE */
export const DEFAULT_VERSION = 1302001;

export const SETTINGS: readonly Setting[] = [
  {
    name: 'release',
    summary: 'release or __FreeBSD_version of the kernel (of the module on the command line, else 13.2)',
  },
  { name: 'machine', summary: 'amd64 or i386 (of the module on the command line, else amd64)' },
  { name: 'config', summary: 'generic (the default) or minimal: which interfaces are built in' },
  {
    name: 'missing',
    summary: 'refuse, stop (when it is used, the default) or stand-in: symbols that nobody has',
  },
  { name: 'module_path', summary: 'kern.module_path (/boot/kernel;/boot/modules)' },
  {
    name: 'devices',
    summary:
      "devices without a driver, for devmatch and lkm boot ('vendor=0x8086 device=0x100e on pci0; ...')",
  },
  { name: 'securelevel', summary: 'kern.securelevel: -1 (the default) to 3' },
];

export interface Choices {
  readonly version: number;
  readonly bits: Bits;
  readonly config: 'generic' | 'minimal';
  readonly missing: MissingPolicy;
  readonly modulePath: string | undefined;
  readonly securelevel: number;
}

/** @throws SettingError */
export function chooseKernel(options: SessionOptions, kernel?: KernelFile): Choices {
  const settings = options.settings ?? new Map<string, string>();
  checkSettingNames('FreeBSD', SETTINGS, settings);
  const config = settings.get('config') ?? 'generic';
  if (config !== 'generic' && config !== 'minimal')
    throw new SettingError(`config=${config} is not known`, 'it is generic or minimal');
  const securelevel = Number(settings.get('securelevel') ?? -1);
  if (!Number.isInteger(securelevel) || securelevel < -1 || securelevel > 3)
    throw new SettingError(
      `securelevel=${settings.get('securelevel')} is no level`,
      'levels are -1, 0, 1, 2 and 3',
    );
  const missing = settings.get('missing') ?? options.missing ?? 'stop';
  if (missing !== 'refuse' && missing !== 'stop' && missing !== 'stand-in')
    throw new SettingError(`missing=${missing} is not known`, 'it is refuse, stop or stand-in');
  const modulePath = settings.get('module_path');
  return {
    version: chooseVersion(options, kernel),
    bits: chooseBits(options, kernel),
    config,
    missing,
    modulePath,
    securelevel,
  };
}

function chooseVersion({ settings, named, files }: SessionOptions, kernel: KernelFile | undefined): number {
  const text = settings?.get('release');
  if (text !== undefined) {
    const version = parseVersion(text);
    if (version === undefined)
      throw new SettingError(
        `release=${text} is no release`,
        'give one such as 12.1, or a __FreeBSD_version such as 1201000',
      );
    return version;
  }
  if (kernel !== undefined) return kernel.version;
  for (const { bytes } of named ?? []) {
    const version = bytes === undefined ? undefined : builtFor(bytes);
    if (version !== undefined) return version;
  }
  for (const { path } of named ?? []) {
    const version = builtBeside(files, path);
    if (version !== undefined) return version;
  }
  for (const { bytes } of named ?? []) {
    const kld = bytes === undefined ? undefined : kldOf(bytes);
    const found = kld === undefined ? undefined : builtWith(kld.file);
    if (found !== undefined) return found.version;
  }
  return DEFAULT_VERSION;
}

/** Files that are looked at for what the others of a module's folder were built for. */
const NEIGHBOURS = 64;

/** A library that starts nothing does not say which kernel it was built for, but its neighbours do. */
function builtBeside(files: SystemFiles, path: string): number | undefined {
  const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) || '/' : '.';
  const names = (files.list(folder) ?? []).filter((name) => name.endsWith('.ko')).slice(0, NEIGHBOURS);
  for (const name of names) {
    const bytes = files.read(`${folder}/${name}`);
    const version = bytes === undefined ? undefined : builtFor(bytes);
    if (version !== undefined) return version;
  }
  return undefined;
}

function chooseBits({ settings, named }: SessionOptions, kernel: KernelFile | undefined): Bits {
  const machine = settings?.get('machine');
  if (machine !== undefined && machine !== 'amd64' && machine !== 'i386')
    throw new SettingError(`machine=${machine} is not known`, 'it is amd64 or i386');
  if (machine !== undefined) return machine === 'i386' ? 32 : 64;
  if (kernel !== undefined) return kernel.bits;
  for (const { bytes } of named ?? []) {
    const kld = bytes === undefined ? undefined : kldOf(bytes);
    if (kld !== undefined) return kld.file.machine === 'i386' ? 32 : 64;
  }
  return 64;
}

const builtFor = (bytes: Uint8Array): number | undefined => kldOf(bytes)?.builtFor;

function kldOf(bytes: Uint8Array): KldFile | undefined {
  try {
    return new KldFile(readElfObject(bytes));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
