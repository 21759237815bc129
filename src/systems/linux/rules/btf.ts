/**
 * btf_parse_module (kernel/bpf/btf.c): the type information that a module brings is looked at when the module comes, by
 * kernels built for it. Only the header is judged here, not each type.
 */
import { ByteView } from '../../../bytes/view.ts';
import { Errno } from '../errno.ts';
import type { KernelFile } from '../kernelfile/kernelfile.ts';
import type { ModuleFile } from '../module-file.ts';
import { type Judge, Level } from './judge.ts';

/** struct btf_header (include/uapi/linux/btf.h) */
const HEADER = 24;
const MAGIC = 0xeb9f;
const MAX_STRINGS = 0xffffff;
/** ENOTSUPP, which no program knows. */
const ENOTSUPP = 524;

const TOLERATED = 'Kernel module BTF mismatch detected, BTF debug info may be unavailable for some modules';

interface Fault {
  readonly text: string;
  readonly errno: number;
}

const invalid = (text: string): Fault => ({ text, errno: Errno.EINVAL });

export function checkTypeInformation(judge: Judge, file: ModuleFile): void {
  judge.enter('type-information');
  if (!judge.has('module-types')) return;
  const section = file.elf.sections.find(({ name }, index) => index > 0 && name === '.BTF');
  if (section === undefined || section.size === 0) return;
  const bytes = file.whole.subarray(section.offset, section.offset + section.size);
  const fault = headerFault(bytes, judge.kernel);
  if (fault === undefined) return;
  judge.say(Level.ERR, `BPF: ${fault.text}`);
  if (!judge.has('module-types-words')) {
    if (judge.firstTime('type information')) judge.say(Level.WARNING, TOLERATED);
    return;
  }
  judge.say(Level.WARNING, `failed to validate module [${file.name}] BTF: -${fault.errno}`);
  if (!judge.has('module-types-required')) return;
  const why = `The type information in the module (section .BTF) is not what the kernel reads: ${fault.text}.`;
  const hint = 'Build the module against this kernel, or take the section out: objcopy -R .BTF.';
  judge.refuse('type-information', fault.errno, why, hint);
}

function headerFault(bytes: Uint8Array, { littleEndian, types: known }: KernelFile): Fault | undefined {
  // Newer kernels have a third part, of what kinds of types there are.
  const three = known.has('btf_header.layout_off');
  if (bytes.length < 8) return invalid('hdr_len not found');
  const view = new ByteView(bytes, littleEndian);
  const length = view.u32(4);
  if (bytes.length < length) return invalid('btf_header not found');
  if (bytes.subarray(three ? HEADER + 8 : HEADER, length).some((byte) => byte !== 0))
    return { text: 'Unsupported btf_header', errno: Errno.E2BIG };
  const field = (at: number) => (at + 4 <= Math.min(length, bytes.length) ? view.u32(at) : 0);
  if (length < 2 || view.u16(0) !== MAGIC) return invalid('Invalid magic');
  if (length < 3 || view.u8(2) !== 1) return { text: 'Unsupported version', errno: ENOTSUPP };
  if (length > 3 && view.u8(3) !== 0) return { text: 'Unsupported flags', errno: ENOTSUPP };
  const types = { offset: field(8), length: field(12) };
  const strings = { offset: field(16), length: field(20) };
  const kinds = { offset: field(24), length: field(28) };
  const parts = [types, strings, ...(three && kinds.length > 0 ? [kinds] : [])];
  return layoutFault(bytes.length - length, parts) ?? stringFault(bytes, length, types, strings);
}

interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** btf_check_sec_info: the parts fill the rest without gaps. */
function layoutFault(rest: number, parts: readonly Extent[]): Fault | undefined {
  let total = 0;
  for (const { offset, length } of [...parts].sort((a, b) => a.offset - b.offset)) {
    if (rest < offset) return invalid('Invalid section offset');
    if (total < offset) return invalid('Unsupported section found');
    if (total > offset) return invalid('Section overlap found');
    if (rest - total < length) return invalid('Total section length too long');
    total += length;
  }
  return total === rest ? undefined : invalid('Unsupported section found');
}

/** btf_parse_str_sec and the beginning of btf_parse_type_sec. */
function stringFault(bytes: Uint8Array, header: number, types: Extent, strings: Extent): Fault | undefined {
  const end = header + strings.offset + strings.length;
  if (end !== bytes.length) return invalid('String section is not at the end');
  if (strings.length > MAX_STRINGS || (strings.length > 0 && bytes[end - 1] !== 0))
    return invalid('Invalid string section');
  return types.offset % 4 === 0 ? undefined : invalid('Unaligned type_off');
}
