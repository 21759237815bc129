/** may_init_module, the flags of finit_module and what kernel_read_file says of the file (kernel/module/main.c). */
import { crc32 } from '../../../bytes/checksum.ts';
import { decompressAs } from '../../../bytes/decompress.ts';
import { FormatError, Truncated, Unsupported } from '../../../bytes/errors.ts';
import { EHDR } from '../../../formats/elf/layout.ts';
import { Errno } from '../errno.ts';
import { parseBoolean } from '../number-text.ts';
import { commandLineOption, type Judge, Level } from './judge.ts';
import type { LoadFlags } from './modinfo.ts';
import { enforcesSignatures } from './signature.ts';

export interface Caller {
  /** Has CAP_SYS_MODULE. */
  readonly privileged: boolean;
  /** kernel.modules_disabled */
  readonly modulesDisabled: boolean;
  readonly flags: LoadFlags;
  /** Bytes of the file. */
  readonly size: number;
}

/** How a command line says that no module may ever be loaded: a parameter of the kernel, and a sysctl that it sets first of all. */
const SWITCH = [
  'sysctl.kernel.modules_disabled',
  'sysctl.kernel/modules_disabled',
  'sysctl/kernel/modules_disabled',
];

export function disabledFromStart(commandLine: string, rules: ReadonlySet<string>): boolean {
  const parameter = commandLineOption(commandLine, 'nomodule');
  if (parameter === '' || (parameter !== undefined && parseBoolean(parameter) === 1)) return true;
  return (
    rules.has('sysctl-arguments') && SWITCH.some((name) => Number(commandLineOption(commandLine, name)) === 1)
  );
}

/** Who may load at all, and how. */
export function checkCaller(judge: Judge, { privileged, modulesDisabled, flags, size }: Caller): void {
  judge.enter('privilege');
  if (!privileged) {
    const why = 'Loading a module needs the capability CAP_SYS_MODULE, which the caller does not have.';
    judge.refuse('privilege', Errno.EPERM, why, 'Do it as root.');
  }
  judge.enter('modules-disabled');
  if (modulesDisabled || disabledFromStart(judge.commandLine, judge.kernel.rules)) {
    const why = 'kernel.modules_disabled is 1: nothing can be loaded or unloaded until the next boot.';
    judge.refuse('modules-disabled', Errno.EPERM, why, 'Restart the kernel; the switch only goes one way.');
  }
  judge.enter('flags');
  if (flags.unknown) {
    const why = 'finit_module was called with flags that no kernel knows.';
    judge.refuse('flags', Errno.EINVAL, why, 'Only 1, 2 and 4 have a meaning.');
  }
  judge.enter('decompress');
  if (flags.compressed && !judge.has('decompress')) {
    const why = 'This kernel does not unpack modules itself (CONFIG_MODULE_DECOMPRESS).';
    judge.refuse('decompress', Errno.EOPNOTSUPP, why, 'Unpack the file before, as kmod does.');
  }
  judge.enter('empty');
  if (flags.inMemory && size < EHDR[judge.kernel.bits].size) {
    const why = `The bytes given to init_module are ${size}, an ELF header alone needs more.`;
    judge.refuse('empty', Errno.ENOEXEC, why, 'Give the whole file.');
  }
  if (size === 0) judge.refuse('empty', Errno.EINVAL, 'The file is empty.', 'Fetch or build it again.');
}

/** Each of these lets the kernel go on where its policy would refuse. */
const LENIENT_APPRAISAL = /^(off|log|fix)$/;

/**
 * The policy `secure_boot` of the integrity measurement architecture: a module's file must carry a signature beside its
 * contents (ima_load_data, ima_appraise_measurement in security/integrity/ima). Who gives bytes without a file has none.
 */
export function checkAppraisal(judge: Judge, { inMemory }: LoadFlags): void {
  judge.enter('appraisal');
  const policy = (commandLineOption(judge.commandLine, 'ima_policy') ?? '').split(/[|\s]/);
  const stance = commandLineOption(judge.commandLine, 'ima_appraise') ?? '';
  if (!judge.has('appraisal') || !policy.includes('secure_boot') || LENIENT_APPRAISAL.test(stance)) return;
  if (!inMemory) {
    const what =
      'whether the file has a signature of its own, as ima_policy=secure_boot wants it (EACCES if not)';
    judge.unknown({ what, how: 'getfattr -n security.ima FILE tells' });
    return;
  }
  if (enforcesSignatures(judge)) return;
  const words =
    'impossible to appraise a module without a file descriptor. sig_enforce kernel parameter might help';
  judge.say(Level.ERR, `ima: ${words}`);
  const why =
    'The policy of the command line (ima_policy=secure_boot) wants signed files, and bytes in memory are none.';
  judge.refuse('appraisal', Errno.EACCES, why, 'Load it with finit_module, or enforce module signatures.');
}

/** A module unpacks to less than this; the kernel itself has no bound but memory. */
const MAX_MODULE = 512 << 20;
const XZ = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const GZIP = [0x1f, 0x8b];

/** enum xz_ret (include/linux/xz.h): it went well as far as it went, options that the kernel was built without, wrong data. */
const XZ_STATUS = { OK: 0, OPTIONS: 6, DATA: 7 } as const;

function decompressStatus(error: FormatError): number {
  if (error instanceof Truncated) return XZ_STATUS.OK;
  return error instanceof Unsupported ? XZ_STATUS.OPTIONS : XZ_STATUS.DATA;
}

/** Where an xz file says how its contents are checked; kernels know nothing better than CRC-32 (lib/xz/xz_dec_stream.c). */
const XZ_CHECK_AT = 7;
const XZ_HEADER = 12;
const XZ_CRC32 = 1;

/** The kernel believes the header's checksum first: where that is wrong, so is the data, whatever the header says. */
function asksForeignCheck(bytes: Uint8Array): boolean {
  if (bytes.length < XZ_HEADER || bytes[XZ_CHECK_AT] <= XZ_CRC32) return false;
  const stated = new DataView(bytes.buffer, bytes.byteOffset).getUint32(XZ_CHECK_AT + 1, true);
  return crc32(bytes.subarray(XZ.length, XZ_CHECK_AT + 1)) >>> 0 === stated;
}

/** module_decompress (kernel/module/decompress.c): a kernel unpacks the one format that it was built for. */
export function unpackInKernel(judge: Judge, bytes: Uint8Array, { compressed }: LoadFlags): Uint8Array {
  if (!compressed) return bytes;
  judge.enter('decompress');
  const begins = (magic: readonly number[]) => magic.every((byte, i) => bytes[i] === byte);
  const refuse = (why: string): never =>
    judge.refuse(
      'decompress',
      Errno.EINVAL,
      why,
      'Unpack the file before, as kmod does when the kernel cannot.',
    );
  for (const [rule, magic, words] of [
    ['decompress-xz', XZ, 'not an xz compressed module'],
    ['decompress-gzip', GZIP, 'not a gzip compressed module'],
  ] as const) {
    if (!judge.has(rule) || begins(magic)) continue;
    judge.say(Level.ERR, words);
    refuse(
      'The kernel was told that the file is compressed, and it is not in the one format that it unpacks.',
    );
  }
  const format = begins(XZ) ? 'xz' : begins(GZIP) ? 'gz' : 'zst';
  if (format === 'xz' && asksForeignCheck(bytes)) {
    judge.say(Level.ERR, `decompression failed with status ${XZ_STATUS.OPTIONS}`);
    const why = 'The file was packed with a checksum that kernels do not have; they know CRC-32 only.';
    judge.refuse('decompress', Errno.EINVAL, why, 'Pack it again: xz --check=crc32.');
  }
  try {
    return decompressAs(format, bytes, {
      maxOutput: MAX_MODULE,
      trailing: format === 'xz' ? 'ignore' : 'refuse',
    });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    judge.say(Level.ERR, `decompression failed with status ${decompressStatus(error)}`);
    return refuse(`The file cannot be unpacked: ${error.message}.`);
  }
}
