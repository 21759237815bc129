/** Archives of module trees, whatever they are: tar, cpio (an initramfs, too), zip, deb, rpm; compressed or not. */
import { isBzip2, unpackBzip2 } from '../../bytes/bzip2.ts';
import { CodecMemory } from '../../bytes/codec.ts';
import { type Compression, compressionOf, decompressAs } from '../../bytes/decompress.ts';
import { FormatError, Unsupported } from '../../bytes/errors.ts';
import { isLz4, unpackLz4Frames } from '../../bytes/lz4.ts';
import { isCpio, readCpio } from './cpio.ts';
import type { ArchiveEntry } from './entry.ts';
import { debData, isDeb, isRpm, rpmPayload } from './packages.ts';
import { type ByteStore, inMemory, NoRoom, type Spill } from './store.ts';
import { isTar, readTar } from './tar.ts';
import { isZip, readZip } from './zip.ts';

export type ArchiveFormat = 'tar' | 'cpio' | 'zip' | 'deb' | 'rpm';

export interface Archive {
  readonly format: ArchiveFormat;
  readonly entries: readonly ArchiveEntry[];
}

/** The largest kernel package unpacks to some 600 MB; what unpacks to more than this is a bomb, or not for one process. */
const MOST_BYTES = 2 ** 30;
/** A package's tar is compressed once; anything deeper was made to tire a reader. */
const MOST_LAYERS = 3;

/** Could these be the first bytes of an archive? 512 of them are enough to know, but for what is compressed. */
export function mayBeArchive(head: Uint8Array): boolean {
  return packingOf(head) !== undefined || formatOf(head) !== undefined;
}

/** Archives are packed in two ways more than modules are. */
type Packing = Compression | 'bzip2' | 'lz4';

function packingOf(bytes: Uint8Array): Packing | undefined {
  if (isBzip2(bytes)) return 'bzip2';
  return isLz4(bytes) ? 'lz4' : compressionOf(bytes);
}

function formatOf(bytes: Uint8Array): ArchiveFormat | undefined {
  if (isDeb(bytes)) return 'deb';
  if (isRpm(bytes)) return 'rpm';
  if (isZip(bytes)) return 'zip';
  if (isCpio(bytes)) return 'cpio';
  return isTar(bytes) ? 'tar' : undefined;
}

/** What makes a place outside of memory for what an archive unpacks to. */
export type SpillMaker = () => Spill;

/**
 * Reads an archive; undefined when it is none. Entries are views of the bytes, or of what they unpack to, or of a place outside
 * of memory (`spill`) where that is much.
 * @throws FormatError
 */
export function readArchive(bytes: Uint8Array, spill?: SpillMaker): Archive | undefined {
  return readLayer(bytes, MOST_LAYERS, spill);
}

function readLayer(bytes: Uint8Array, layers: number, spill?: SpillMaker): Archive | undefined {
  if (layers === 0)
    throw new Unsupported('archive', 'is packed in more layers than any that is meant to be read');
  const compression = packingOf(bytes);
  if (compression !== undefined) {
    const store = spill === undefined ? undefined : spilled(compression, bytes, spill);
    if (store !== undefined && isTar(store.slice(0, 512))) return { format: 'tar', entries: readTar(store) };
    return readLayer(store?.slice(0, store.size) ?? unpacked(compression, bytes), layers - 1);
  }
  const format = formatOf(bytes);
  switch (format) {
    case 'deb':
      return inner(format, debData(bytes), layers, spill);
    case 'rpm':
      return inner(format, rpmPayload(bytes), layers);
    case 'zip':
      return { format, entries: readZip(bytes) };
    case 'tar':
      return { format, entries: readTar(inMemory(bytes)) };
    case 'cpio':
      return { format, entries: initramfs(bytes, layers) };
    default:
      return undefined;
  }
}

/** What a package is made of is either there or the package is damaged. */
function inner(format: ArchiveFormat, bytes: Uint8Array, layers: number, spill?: SpillMaker): Archive {
  const archive = readLayer(bytes, layers, spill);
  if (archive === undefined)
    throw new Unsupported(format, 'holds its files in a form that is not known here');
  return { format, entries: archive.entries };
}

/** Packed archives below this size are unpacked in memory. */
const SPILLED = 2 ** 22;

/** undefined where the archive is small, or this does not work: then it is unpacked in memory, which has the last word. */
function spilled(compression: Packing, bytes: Uint8Array, spill: SpillMaker): ByteStore | undefined {
  if (bytes.length < SPILLED || (compression !== 'xz' && compression !== 'zst')) return undefined;
  let place: Spill | undefined;
  try {
    const one = spill();
    place = one;
    decompressAs(compression, bytes, { maxOutput: MOST_BYTES, sink: (piece) => one.add(piece) });
    return one.done();
  } catch (error) {
    place?.drop();
    if (error instanceof FormatError || error instanceof NoRoom) return undefined;
    throw error;
  }
}

/** The result is a view of memory that nothing else uses: a copy of half a gigabyte would be one too many. */
function unpacked(compression: Packing, bytes: Uint8Array): Uint8Array {
  if (compression === 'bzip2') return unpackBzip2(bytes, MOST_BYTES);
  if (compression === 'lz4') return unpackLz4Frames(bytes, MOST_BYTES);
  const options = { maxOutput: MOST_BYTES, borrow: true };
  try {
    return decompressAs(compression, bytes, { ...options, memory: new CodecMemory() });
  } catch (error) {
    // An initramfs may be filled up with zeros behind its last part.
    if (!(error instanceof FormatError) || error.kind === 'Unsupported') throw error;
    return decompressAs(compression, bytes, { ...options, memory: new CodecMemory(), trailing: 'ignore' });
  }
}

/** Archives one behind the other, zeros between them; the last ones may be compressed. Later files replace earlier ones. */
function initramfs(bytes: Uint8Array, layers: number): ArchiveEntry[] {
  const entries: ArchiveEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] === 0) at++;
    else if (isCpio(bytes, at)) {
      const { entries: more, end } = readCpio(bytes, at);
      for (const entry of more) entries.push(entry);
      at = end;
    } else {
      const rest = bytes.subarray(at);
      const more = readLayer(rest, layers - 1);
      if (more === undefined)
        throw new Unsupported('initramfs', 'goes on with something that is no archive', { offset: at });
      for (const entry of more.entries) entries.push(entry);
      return entries;
    }
  }
  return entries;
}
