/** The kinds of linkage that mod_install(9F) takes (sys/modctl.h): which mod_ops each names, and what its third field is. */

export type LinkageKind =
  | 'driver'
  | 'system call'
  | '32-bit system call'
  | 'file system'
  | 'STREAMS module'
  | 'scheduling class'
  | 'exec format'
  | 'miscellaneous'
  | 'cryptography'
  | 'cpu'
  | 'dacf'
  | 'pcbe'
  | 'brand'
  | 'ipp'
  | 'sockets'
  | 'kiconv';

export interface LinkageRow {
  readonly kind: LinkageKind;
  /** The symbol of the kernel that the linkage begins with. */
  readonly ops: string;
}

export const linkageKinds: readonly LinkageRow[] = [
  { kind: 'driver', ops: 'mod_driverops' },
  { kind: 'system call', ops: 'mod_syscallops' },
  { kind: '32-bit system call', ops: 'mod_syscallops32' },
  { kind: 'file system', ops: 'mod_fsops' },
  { kind: 'STREAMS module', ops: 'mod_strmodops' },
  { kind: 'scheduling class', ops: 'mod_schedops' },
  { kind: 'exec format', ops: 'mod_execops' },
  { kind: 'miscellaneous', ops: 'mod_miscops' },
  { kind: 'cryptography', ops: 'mod_cryptoops' },
  { kind: 'cpu', ops: 'mod_cpuops' },
  { kind: 'dacf', ops: 'mod_dacfops' },
  { kind: 'pcbe', ops: 'mod_pcbeops' },
  { kind: 'brand', ops: 'mod_brandops' },
  { kind: 'ipp', ops: 'mod_ippops' },
  { kind: 'sockets', ops: 'mod_sockmodops' },
  { kind: 'kiconv', ops: 'mod_kiconvops' },
];
