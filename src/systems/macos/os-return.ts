/** OSReturn codes of kernel extensions (xnu libkern/OSKextLib.h) and their texts (libsyscall/mach/err_libkern.sub). */

/** err_system(0x37) | err_sub(2): what every code begins with. */
const BASE = 0xdc008000;

export const OS_RETURN = {
  Success: 0,
  Internal: BASE + 0x1,
  NoMemory: BASE + 0x2,
  NoResources: BASE + 0x3,
  NotPrivileged: BASE + 0x4,
  InvalidArgument: BASE + 0x5,
  NotFound: BASE + 0x6,
  BadData: BASE + 0x7,
  Serialization: BASE + 0x8,
  Unsupported: BASE + 0x9,
  Disabled: BASE + 0xa,
  NotAKext: BASE + 0xb,
  Validation: BASE + 0xc,
  Authentication: BASE + 0xd,
  Dependencies: BASE + 0xe,
  ArchNotFound: BASE + 0xf,
  Cache: BASE + 0x10,
  Deferred: BASE + 0x11,
  BootLevel: BASE + 0x12,
  NotLoadable: BASE + 0x13,
  LoadedVersionDiffers: BASE + 0x14,
  DependencyLoadError: BASE + 0x15,
  LinkError: BASE + 0x16,
  StartStopError: BASE + 0x17,
  InUse: BASE + 0x18,
  Timeout: BASE + 0x19,
  Stopping: BASE + 0x1a,
  SystemPolicy: BASE + 0x1b,
} as const;

export type OsReturnName = keyof typeof OS_RETURN;

const TEXTS: Readonly<Record<Exclude<OsReturnName, 'Success'>, string>> = {
  Internal: 'internal error',
  NoMemory: 'allocation failure',
  NoResources: 'resource shortage',
  NotPrivileged: 'not privileged',
  InvalidArgument: 'invalid argument',
  NotFound: 'not found',
  BadData: 'bad data (mkext/other)',
  Serialization: 'XML (un)serialization error',
  Unsupported: 'function/version unsupported',
  Disabled: 'function disabled',
  NotAKext: 'malformed kext (bundle layout/missing plist)',
  Validation: 'validation failure (plist/executable)',
  Authentication: 'authentication failure (file ownership/permissions)',
  Dependencies: 'dependency resolution failure',
  ArchNotFound: 'requested architecture/executable not found',
  Cache: 'cache error',
  Deferred: 'operation deferred (queued to user space)',
  BootLevel: 'operation/kext not allowed at current boot level',
  NotLoadable: 'not loadable (reason unspecified)',
  LoadedVersionDiffers: 'different version/uuid already loaded',
  DependencyLoadError: 'dependency load failed',
  LinkError: 'link error',
  StartStopError: 'kext (kmod) start/stop routine failed',
  InUse: 'kext is in use or retained (cannot unload)',
  Timeout: 'kext request timed out',
  Stopping: 'kext is stopping and cannot issue requests',
  SystemPolicy: 'system policy prevents loading',
};

/** `(libkern/kext) link error`, as mach_error_string gives it. */
export function osReturnText(name: OsReturnName): string {
  return name === 'Success' ? '(os/kern) successful' : `(libkern/kext) ${TEXTS[name]}`;
}

/** The code as kmutil prints it: a signed number. */
export function osReturnNumber(name: OsReturnName): number {
  return OS_RETURN[name] | 0;
}

/** A request on a kext was refused or failed. */
export class KextError extends Error {
  readonly code: Exclude<OsReturnName, 'Success'>;
  /** In our words: why, and what to do. */
  readonly note: string | undefined;
  /** The rule that refused, by its stable id. */
  readonly rule: string | undefined;

  constructor(code: Exclude<OsReturnName, 'Success'>, more: { note?: string; rule?: string } = {}) {
    super(osReturnText(code));
    this.name = 'KextError';
    this.code = code;
    this.note = more.note;
    this.rule = more.rule;
  }
}
