import { BadMagic, Invalid, Truncated } from '../../../bytes/errors.ts';
import { hexOf } from '../../../bytes/hex.ts';
import { ByteView } from '../../../bytes/view.ts';

/** How the payload of a boot image is packed, by its first bytes. */
export type PayloadFormat = 'gzip' | 'xz' | 'zstd' | 'lz4' | 'lzma' | 'bzip2' | 'lzo' | 'elf';

export interface KernelPayload {
  readonly format: PayloadFormat;
  /** Offset in the boot image. */
  readonly offset: number;
  /** The packed bytes: a view, without the size field that the build appends. */
  readonly data: Uint8Array;
  /** Bytes of the unpacked kernel as the build recorded them; undefined for formats that record it themselves. */
  readonly size: number | undefined;
}

const SIGNATURES: readonly (readonly [PayloadFormat, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]], // the legacy frame, which is what lz4 -l writes
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['elf', [0x7f, 0x45, 0x4c, 0x46]],
];

// Offsets of the setup header: kernel documentation arch/x86/boot.rst, "The Real-Mode Kernel Header".
const SETUP_SECTS = 0x1f1;
const BOOT_FLAG = 0x1fe;
const HEADER_MAGIC = 0x202;
const PROTOCOL = 0x206;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const KERNEL_VERSION = 0x20e;

/** Is this an x86 boot image (bzImage)? */
export function isBootImage(bytes: Uint8Array): boolean {
  if (bytes.length < 0x260) return false;
  const view = new ByteView(bytes, true);
  return view.u16(BOOT_FLAG) === 0xaa55 && view.u32(HEADER_MAGIC) === 0x53726448;
}

/**
 * Finds the packed kernel inside an x86 boot image by its header (protocol 2.08 and later).
 * Throws BadMagic, Truncated, Invalid or Unsupported.
 */
export function findPayload(bytes: Uint8Array): KernelPayload {
  if (!isBootImage(bytes)) {
    throw new BadMagic('boot image', 'no x86 boot header: expected "HdrS" at 0x202 and 0xaa55 at 0x1fe');
  }
  const view = new ByteView(bytes, true);
  const protocol = view.u16(PROTOCOL);
  if (protocol < 0x208) {
    throw new Invalid('boot image', 'boot protocol below 2.08 does not say where the kernel lies', {
      offset: PROTOCOL,
      value: protocol,
    });
  }
  // A zero count means four sectors, for images older than the field.
  const sectors = view.u8(SETUP_SECTS) || 4;
  const offset = (sectors + 1) * 512 + view.u32(PAYLOAD_OFFSET);
  const length = view.u32(PAYLOAD_LENGTH);
  if (offset + length > bytes.length) {
    throw new Truncated('boot image', `payload ends at ${offset + length}, the file at ${bytes.length}`, {
      offset,
    });
  }
  return describePayload(bytes.subarray(offset, offset + length), offset);
}

/** Release string of a boot image's header (`6.1.0-56-amd64 (debian-kernel@...) ...`), empty when it has none. */
export function headerVersion(bytes: Uint8Array): string {
  const view = new ByteView(bytes, true);
  const at = view.u16(KERNEL_VERSION);
  if (at === 0) return '';
  let text = '';
  for (let i = at + 0x200; i < bytes.length && bytes[i] !== 0 && text.length < 512; i++) {
    text += String.fromCharCode(bytes[i]!);
  }
  return text;
}

function describePayload(data: Uint8Array, offset: number): KernelPayload {
  const format = payloadFormat(data);
  if (format === undefined) {
    const first = hexOf(data.subarray(0, 6), ' ');
    throw new Invalid('boot image payload', `begins with ${first}: no known compression`, { offset });
  }
  // The build appends the unpacked size as 32 bits to every format but gzip, whose own trailer ends in just that.
  if (format === 'elf' || data.length < 8) return { format, offset, data, size: undefined };
  const size = new ByteView(data, true).u32(data.length - 4);
  return { format, offset, size, data: format === 'gzip' ? data : data.subarray(0, data.length - 4) };
}

/** The packing of bytes by their signature; undefined when none fits. */
export function payloadFormat(data: Uint8Array): PayloadFormat | undefined {
  return SIGNATURES.find(([, magic]) => magic.every((byte, i) => data[i] === byte))?.[0];
}
