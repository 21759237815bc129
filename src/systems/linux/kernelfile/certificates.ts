/**
 * The certificates that a kernel was built with: the list that certs/system_certificates.S puts into the init data, DER
 * one behind another, then (aligned) the length of the list and the length of the part that is the build's own key.
 */
import { roundUp } from '../../../bytes/align.ts';
import { FormatError } from '../../../bytes/errors.ts';
import { readDer } from '../../../formats/der.ts';
import { readCertificate } from '../../../formats/pki/certificate.ts';
import type { KernelFile } from './kernelfile.ts';

const SEQUENCE = 0x30;
/** Certificates longer than 255 bytes, as all are, have a length of two bytes behind 82. */
const LONG = 0x82;
const MAX_LIST = 1 << 20;
/** A reserved place for a certificate that is put in later (CONFIG_SYSTEM_EXTRA_CERTIFICATE) may lie between. */
const MAX_RESERVED = 64 << 10;

/**
 * The kernel's built-in keyring, as DER; empty when it has none; undefined when there is no image to look in and the file
 * does not say.
 */
export function readBuiltInCertificates(kernel: KernelFile): readonly Uint8Array[] | undefined {
  if (kernel.certificates !== undefined) return kernel.certificates;
  let looked = false;
  for (const { role, zeroFill, base, size } of kernel.sections) {
    if ((role !== 'init' && role !== 'rodata') || zeroFill) continue;
    const data = kernel.read(base, size);
    if (data === undefined) continue;
    looked = true;
    const found = findList(data, kernel);
    if (found !== undefined) return found;
  }
  return looked ? [] : undefined;
}

/** The list in bytes that are anything: an image without sections. Undefined where there is none. */
export function findList(
  data: Uint8Array,
  kernel: Pick<KernelFile, 'bits' | 'littleEndian'>,
): Uint8Array[] | undefined {
  for (let at = data.indexOf(SEQUENCE); at >= 0; at = data.indexOf(SEQUENCE, at + 1)) {
    if ((at & 7) !== 0 || data[at + 1] !== LONG || data[at + 4] !== SEQUENCE || data[at + 5] !== LONG)
      continue;
    const list = readList(data.subarray(at, at + MAX_LIST));
    if (list.length > 0 && hasLength(data, at, list, kernel)) return list;
  }
  return undefined;
}

function readList(bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  try {
    for (let at = 0; bytes[at] === SEQUENCE; ) {
      const { whole } = readDer(bytes, 'certificate', at);
      readCertificate(whole);
      found.push(whole);
      at += whole.length;
    }
  } catch (error) {
    // The list ends where no certificate stands any more.
    if (!(error instanceof FormatError)) throw error;
  }
  return found;
}

/** Behind the list stands its length; without that it is some other certificate, as that of a revoked key. */
function hasLength(
  data: Uint8Array,
  at: number,
  list: readonly Uint8Array[],
  kernel: Pick<KernelFile, 'bits' | 'littleEndian'>,
): boolean {
  const total = list.reduce((sum, { length }) => sum + length, 0);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const step = kernel.bits / 8;
  const word = (where: number): number =>
    view.getUint32(where + (kernel.littleEndian ? 0 : step - 4), kernel.littleEndian);
  const end = Math.min(data.length - 2 * step, at + total + MAX_RESERVED);
  for (let where = roundUp(at + total, step); where <= end; where += step) {
    if (word(where) === total && isPartOf(list, word(where + step))) return true;
  }
  return false;
}

/** The build's own certificates come first; their length ends one of them. */
function isPartOf(list: readonly Uint8Array[], length: number): boolean {
  let sum = 0;
  return length === 0 || list.some((one) => (sum += one.length) === length);
}
