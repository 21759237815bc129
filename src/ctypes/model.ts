/**
 * What a compiler decides before it lays out a record: widths of the basic types, their alignment, byte order.
 * LP64 is every 64-bit Unix, LLP64 is 64-bit Windows, ILP32 every 32-bit system.
 */
export interface DataModel {
  readonly name: 'LP64' | 'LLP64' | 'ILP32';
  readonly pointer: number;
  readonly long: number;
  /** `long double`, which only its size is known of. */
  readonly longDouble: number;
  readonly littleEndian: boolean;
  /** Is plain `char` signed: yes on x86, no on s390, arm and powerpc. */
  readonly charSigned: boolean;
  readonly wchar: number;
  /** Alignment of 8-byte integers and doubles inside a record: 4 on i386 System V, 8 elsewhere. */
  readonly align8: number;
  /**
   * Does a bit-field start a new unit whenever its declared type changes (Microsoft), or does it go on in the
   * same bits as long as it crosses no boundary of its own type (System V ABI, section 3.1.2)?
   */
  readonly bitFields: 'system-v' | 'microsoft';
}

const unix64 = {
  name: 'LP64',
  pointer: 8,
  long: 8,
  longDouble: 16,
  littleEndian: true,
  charSigned: true,
  wchar: 4,
  align8: 8,
  bitFields: 'system-v',
} as const satisfies DataModel;

/** x86-64 System V. */
export const LP64: DataModel = unix64;
/** s390x, big-endian powerpc64, sparc64: big-endian LP64 with unsigned plain char. */
export const LP64_BE: DataModel = { ...unix64, littleEndian: false, charSigned: false };
/** x86-64 Windows. */
export const LLP64: DataModel = {
  ...unix64,
  name: 'LLP64',
  long: 4,
  longDouble: 8,
  wchar: 2,
  bitFields: 'microsoft',
};
const unix32 = { ...unix64, name: 'ILP32', pointer: 4, long: 4, longDouble: 8 } as const;
/** 32-bit targets whose 8-byte values are aligned to 8 (arm, mips, powerpc in little-endian form). */
export const ILP32: DataModel = unix32;
/** i386 System V: 8-byte values inside records are aligned to 4. */
export const ILP32_I386: DataModel = { ...unix32, longDouble: 12, align8: 4 };
/** i386 Windows: 8-byte values are aligned to 8, bit-fields as Microsoft lays them out. */
export const ILP32_WINDOWS: DataModel = { ...unix32, wchar: 2, bitFields: 'microsoft' };
/** 32-bit big-endian: PowerPC, PA-RISC, sparc. */
export const ILP32_BE: DataModel = { ...unix32, littleEndian: false, charSigned: false };
