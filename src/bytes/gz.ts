/** The gzip container (RFC 1952) around fflate's DEFLATE, which checks neither the CRC nor any limit itself. */
import { Gunzip } from 'fflate';
import { crc32 } from './checksum.ts';
import { BadMagic, FormatError, Invalid, Truncated, Unsupported } from './errors.ts';
import { ByteView } from './view.ts';

/** Input given to the decoder at a time: DEFLATE grows at most 1032-fold, so no step makes more than 64 MiB. */
const STEP = 65536;
/** CRC-32 and size, section 2.3. */
const TRAILER = 8;

export function isGz(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Unpacks a gzip file of one or more members.
 * @throws BadMagic, Truncated, Invalid (also when a CRC or a size does not match), Unsupported beyond maxOutput
 */
export function unpackGz(bytes: Uint8Array, maxOutput: number): Uint8Array {
  if (!isGz(bytes)) throw new BadMagic('gzip', 'must begin with 1f 8b', { offset: 0 });
  const view = new ByteView(bytes, true);
  view.need(0, 18, 'gzip member');
  const parts: Uint8Array[] = [];
  let size = 0;
  let memberSize = 0;
  let crc = 0;
  const checkTrailer = (at: number): void => {
    if (view.u32(at, 'gzip trailer') !== crc || view.u32(at + 4, 'gzip trailer') !== memberSize % 2 ** 32) {
      throw new Invalid('gzip member', 'CRC-32 or size does not match: the file is damaged', { offset: at });
    }
    crc = 0;
    memberSize = 0;
  };
  const gunzip = new Gunzip((chunk) => {
    size += chunk.length;
    memberSize += chunk.length;
    if (size > maxOutput)
      throw new Unsupported('gzip', `unpacks to more than the limit of ${maxOutput} bytes`);
    crc = crc32(chunk, crc);
    parts.push(chunk);
  });
  gunzip.onmember = (offset) => checkTrailer(offset - TRAILER);
  try {
    for (let at = 0; at < bytes.length; at += STEP) {
      gunzip.push(bytes.subarray(at, at + STEP), at + STEP >= bytes.length);
    }
  } catch (error) {
    throw typed(error);
  }
  checkTrailer(bytes.length - TRAILER);
  return join(parts, size);
}

/** fflate's FlateErrorCode 0 is the unexpected end of the input. */
function typed(error: unknown): FormatError {
  if (error instanceof FormatError) return error;
  const { code, message } = error as { code?: number; message?: string };
  if (code === 0) return new Truncated('gzip', 'the input ends inside the compressed data');
  return new Invalid('gzip', message ?? 'the compressed data is damaged');
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
