/** NTSTATUS values, their names, and the Win32 errors that the service controller turns them into. */

import type { Release } from './release.ts';

const s = (value: number): number => value | 0;

/** As signed 32-bit numbers: below zero means failure (or a warning, 0x8...). */
export const Status = {
  SUCCESS: 0,
  WAIT_1: 1,
  ABANDONED: 0x80,
  ALERTED: 0x101,
  TIMEOUT: 0x102,
  PENDING: 0x103,
  REPARSE: 0x104,
  OBJECT_NAME_EXISTS: 0x40000000,
  BREAKPOINT: s(0x80000003),
  DATATYPE_MISALIGNMENT: s(0x80000002),
  BUFFER_OVERFLOW: s(0x80000005),
  NO_MORE_ENTRIES: s(0x8000001a),
  UNSUCCESSFUL: s(0xc0000001),
  NOT_IMPLEMENTED: s(0xc0000002),
  INVALID_INFO_CLASS: s(0xc0000003),
  INFO_LENGTH_MISMATCH: s(0xc0000004),
  ACCESS_VIOLATION: s(0xc0000005),
  INVALID_HANDLE: s(0xc0000008),
  INVALID_PARAMETER: s(0xc000000d),
  NO_SUCH_DEVICE: s(0xc000000e),
  NO_SUCH_FILE: s(0xc000000f),
  INVALID_DEVICE_REQUEST: s(0xc0000010),
  END_OF_FILE: s(0xc0000011),
  MORE_PROCESSING_REQUIRED: s(0xc0000016),
  NO_MEMORY: s(0xc0000017),
  ILLEGAL_INSTRUCTION: s(0xc000001d),
  ACCESS_DENIED: s(0xc0000022),
  DEVICE_BUSY: s(0x80000011),
  BUFFER_TOO_SMALL: s(0xc0000023),
  OBJECT_TYPE_MISMATCH: s(0xc0000024),
  NONCONTINUABLE_EXCEPTION: s(0xc0000025),
  OBJECT_NAME_INVALID: s(0xc0000033),
  OBJECT_NAME_NOT_FOUND: s(0xc0000034),
  OBJECT_NAME_COLLISION: s(0xc0000035),
  OBJECT_PATH_NOT_FOUND: s(0xc000003a),
  OBJECT_PATH_SYNTAX_BAD: s(0xc000003b),
  IMAGE_CHECKSUM_MISMATCH: s(0xc0000221),
  MUTANT_NOT_OWNED: s(0xc0000046),
  SEMAPHORE_LIMIT_EXCEEDED: s(0xc0000047),
  DELETE_PENDING: s(0xc0000056),
  PRIVILEGE_NOT_HELD: s(0xc0000061),
  NO_SUCH_PRIVILEGE: s(0xc0000060),
  DISK_FULL: s(0xc000007f),
  PROCEDURE_NOT_FOUND: s(0xc000007a),
  INVALID_IMAGE_FORMAT: s(0xc000007b),
  INTEGER_DIVIDE_BY_ZERO: s(0xc0000094),
  INTEGER_OVERFLOW: s(0xc0000095),
  PRIVILEGED_INSTRUCTION: s(0xc0000096),
  INSUFFICIENT_RESOURCES: s(0xc000009a),
  DEVICE_NOT_READY: s(0xc00000a3),
  FILE_IS_A_DIRECTORY: s(0xc00000ba),
  NOT_SUPPORTED: s(0xc00000bb),
  REDIRECTOR_NOT_STARTED: s(0xc00000fb),
  CANCELLED: s(0xc0000120),
  FILE_DELETED: s(0xc0000123),
  DEVICE_DOES_NOT_EXIST: s(0xc00000c0),
  CONFLICTING_ADDRESSES: s(0xc0000018),
  IMAGE_ALREADY_LOADED: s(0xc000010e),
  ILL_FORMED_SERVICE_ENTRY: s(0xc0000160),
  NOT_FOUND: s(0xc0000225),
  IMAGE_MP_UP_MISMATCH: s(0xc0000249),
  DRIVER_ORDINAL_NOT_FOUND: s(0xc0000262),
  DRIVER_ENTRYPOINT_NOT_FOUND: s(0xc0000263),
  DRIVER_UNABLE_TO_LOAD: s(0xc000026c),
  FAILED_DRIVER_ENTRY: s(0xc0000365),
  DRIVER_BLOCKED_CRITICAL: s(0xc000036b),
  DRIVER_BLOCKED: s(0xc000036c),
  INVALID_IMAGE_HASH: s(0xc0000428),
  IMAGE_CERT_REVOKED: s(0xc0000603),
  STACK_OVERFLOW: s(0xc00000fd),
  FLT_DELETING_OBJECT: s(0xc01c000b),
} as const;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Status).map(([name, value]) => [value, `STATUS_${name}`]),
);

export const success = (status: number): boolean => status >= 0;

/** 0xC0000010, as tools show it. */
export const hex32 = (value: number): string =>
  `0x${(value >>> 0).toString(16).toUpperCase().padStart(8, '0')}`;

/** `STATUS_NO_SUCH_DEVICE (0xC000000E)`. */
export function statusText(status: number): string {
  const name = NAMES.get(status);
  return name === undefined ? hex32(status) : `${name} (${hex32(status)})`;
}

/** Win32 error numbers by status (RtlNtStatusToDosError); what is not listed becomes 317. */
const ERRORS: ReadonlyMap<number, number> = new Map<number, number>([
  [Status.SUCCESS, 0],
  [Status.TIMEOUT, 258],
  [Status.PENDING, 997],
  [Status.BUFFER_OVERFLOW, 234],
  [Status.NO_MORE_ENTRIES, 259],
  [Status.UNSUCCESSFUL, 31],
  [Status.NOT_IMPLEMENTED, 1],
  [Status.ACCESS_VIOLATION, 998],
  [Status.INVALID_HANDLE, 6],
  [Status.INVALID_PARAMETER, 87],
  [Status.NO_SUCH_DEVICE, 2],
  [Status.NO_SUCH_FILE, 2],
  [Status.INVALID_DEVICE_REQUEST, 1],
  [Status.END_OF_FILE, 38],
  [Status.NO_MEMORY, 8],
  [Status.ACCESS_DENIED, 5],
  [Status.DEVICE_BUSY, 170],
  [Status.BUFFER_TOO_SMALL, 122],
  [Status.INFO_LENGTH_MISMATCH, 24],
  [Status.OBJECT_TYPE_MISMATCH, 6],
  [Status.OBJECT_NAME_INVALID, 123],
  [Status.OBJECT_NAME_NOT_FOUND, 2],
  [Status.OBJECT_NAME_COLLISION, 183],
  [Status.OBJECT_PATH_NOT_FOUND, 3],
  [Status.OBJECT_PATH_SYNTAX_BAD, 161],
  [Status.IMAGE_CHECKSUM_MISMATCH, 193],
  [Status.CONFLICTING_ADDRESSES, 487],
  [Status.DELETE_PENDING, 5],
  [Status.PRIVILEGE_NOT_HELD, 1314],
  [Status.PROCEDURE_NOT_FOUND, 127],
  [Status.INVALID_IMAGE_FORMAT, 193],
  [Status.INSUFFICIENT_RESOURCES, 1450],
  [Status.DEVICE_NOT_READY, 21],
  [Status.NOT_SUPPORTED, 50],
  [Status.CANCELLED, 995],
  [s(0xc0000043), 32],
  [s(0xc0000059), 1306],
  [s(0xc00000e5), 1359],
  [s(0xc0000135), 126],
  [s(0xc0000184), 22],
  [s(0xc0000185), 1117],
  [Status.DEVICE_DOES_NOT_EXIST, 55],
  [Status.IMAGE_ALREADY_LOADED, 1056],
  [Status.ILL_FORMED_SERVICE_ENTRY, 1083],
  [Status.NOT_FOUND, 1168],
  [Status.DRIVER_ORDINAL_NOT_FOUND, 182],
  [Status.DRIVER_ENTRYPOINT_NOT_FOUND, 127],
  [Status.DRIVER_UNABLE_TO_LOAD, 1275],
  [Status.FAILED_DRIVER_ENTRY, 647],
  [Status.DRIVER_BLOCKED_CRITICAL, 1275],
  [Status.DRIVER_BLOCKED, 1275],
  [Status.INVALID_IMAGE_HASH, 577],
  [Status.IMAGE_CERT_REVOKED, 1275],
]);

/** ERROR_MR_MID_NOT_FOUND: the system has no message for this status. */
const NO_MESSAGE = 317;

/** ERROR_NO_SUCH_DEVICE, which Windows 10 has added. */
const NO_SUCH_DEVICE = 433;

/** @param release the one that translates (the newest): 10 and later know a number for a device that is not there */
export function win32Error(status: number, release?: Release): number {
  if (status === Status.NO_SUCH_DEVICE && (release?.major ?? 10) >= 10) return NO_SUCH_DEVICE;
  return ERRORS.get(status) ?? NO_MESSAGE;
}
