/** Packages: Debian's (deb(5), an ar archive with a tar in it) and RPM's (lead, two headers, a compressed cpio). */
import { BadMagic, Invalid, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { textOf } from './entry.ts';

const AR_MAGIC = '!<arch>\n';
const AR_HEADER = 60;

export const isDeb = (bytes: Uint8Array): boolean =>
  textOf(bytes, 0, 8) === AR_MAGIC && textOf(bytes, 8, 21) === 'debian-binary';

/** The tar with the files, compressed as it is. @throws Invalid */
export function debData(bytes: Uint8Array): Uint8Array {
  const view = new ByteView(bytes, true);
  for (let at = 8; at + AR_HEADER <= bytes.length; ) {
    const name = textOf(bytes, at, at + 16).trimEnd();
    const size = Number(textOf(bytes, at + 48, at + 58).trim());
    if (!Number.isSafeInteger(size) || size < 0)
      throw new Invalid('deb member', 'has a size that is no number', { offset: at });
    if (name.startsWith('data.tar')) return view.slice(at + AR_HEADER, size, 'deb member data.tar');
    at += AR_HEADER + size + (size & 1);
  }
  throw new Invalid('deb', 'has no member data.tar');
}

const RPM_LEAD = 0xedabeedb;
const RPM_HEADER = 0x8eade801;
const LEAD_BYTES = 96;

export const isRpm = (bytes: Uint8Array): boolean =>
  bytes.length > LEAD_BYTES && new ByteView(bytes, false).u32(0) === RPM_LEAD;

/** The cpio with the files, compressed as it is. @throws BadMagic, Truncated, Unsupported */
export function rpmPayload(bytes: Uint8Array): Uint8Array {
  const view = new ByteView(bytes, false);
  const signature = headerEnd(view, LEAD_BYTES, 'rpm signature header');
  // Only the signature's header is filled up to eight bytes.
  const start = headerEnd(view, Math.ceil(signature / 8) * 8, 'rpm header');
  if (textOf(bytes, start, start + 6) === '07070X')
    throw new Unsupported('rpm payload', 'has files of four gigabytes and more', { offset: start });
  return view.slice(start, bytes.length - start, 'rpm payload');
}

/** A header: magic, four bytes, the number of entries of 16 bytes, the size of what they point to. */
function headerEnd(view: ByteView, at: number, what: string): number {
  if (view.u32(at, what) !== RPM_HEADER)
    throw new BadMagic(what, 'must begin with 8e ad e8 01', { offset: at });
  return at + 16 + 16 * view.u32(at + 8, what) + view.u32(at + 12, what);
}
