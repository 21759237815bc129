/**
 * Bytes -> NlmFile. Everything is read and bounded here, once: images, records and texts lie inside the file, and no
 * count is larger than the bytes that could hold it.
 */

import { type CodePage, decodeCodePage } from '../../bytes/codepage.ts';
import { BadMagic, Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import { ByteView, Cursor } from '../../bytes/view.ts';
import type {
  ExtendedHeader,
  FixedHeader,
  NlmCustomHeader,
  NlmDebugRecord,
  NlmFile,
  NlmFixup,
  NlmImage,
  NlmImport,
  NlmMessages,
  NlmPublic,
  NlmReference,
  NlmShared,
  NlmVersion,
} from './file.ts';
import {
  EXTENDED_WORDS,
  FIXED,
  FIXED_WORDS,
  MAX_NAME,
  MESSAGE_FILE,
  NLM_VERSION,
  PACKED,
  RECORD_BIT,
  SIGNATURE,
  STAMP,
} from './layout.ts';

const EMPTY = new Uint8Array(0);

/** Does the file begin as an NLM does? */
export function isNlm(bytes: Uint8Array): boolean {
  return bytes.length >= SIGNATURE.length && latin1(bytes.subarray(0, SIGNATURE.length)) === SIGNATURE;
}

/** The fixed header alone: it stands uncompressed in packed files, too. @throws BadMagic, Truncated, Invalid */
export function readFixedHeader(bytes: Uint8Array): FixedHeader {
  if (!isNlm(bytes)) {
    throw new BadMagic('signature', `not an NLM: it must begin with "${SIGNATURE.slice(0, -1)}"`, {
      offset: 0,
    });
  }
  const view = new ByteView(bytes, true);
  view.need(0, FIXED.size, 'fixed header');
  const length = bytes[FIXED.moduleName];
  if (length > MAX_NAME) {
    throw new Invalid('moduleName', `is longer than ${MAX_NAME} bytes`, {
      offset: FIXED.moduleName,
      value: length,
    });
  }
  const words: Record<string, number> = {};
  for (const name of FIXED_WORDS) words[name] = view.u32(FIXED[name]);
  return {
    ...(words as { [K in (typeof FIXED_WORDS)[number]]: number }),
    version: view.u32(FIXED.version),
    moduleName: latin1(bytes.subarray(FIXED.moduleName + 1, FIXED.moduleName + 1 + length)),
  };
}

/** Was the file compressed by NLMPACK? Only its fixed header can be read then. */
export function isPacked(header: FixedHeader): boolean {
  return (header.version & PACKED) !== 0;
}

/**
 * Reads an NLM whole. Texts are taken to be in `codePage`.
 * @throws BadMagic, Truncated, Invalid, Unsupported (packed; another version)
 */
export function readNlm(bytes: Uint8Array, codePage: CodePage = 437): NlmFile {
  const header = readFixedHeader(bytes);
  checkVersion(header);
  const view = new ByteView(bytes, true);
  const cursor = new Cursor(view, FIXED.size);
  const description = text(counted(cursor, 'description'), codePage);
  const stackSize = cursor.u32('stackSize');
  cursor.skip(4, 'reserved');
  const oldThreadName = latin1(cursor.bytes(5, 'oldThreadName'));
  const screenName = text(counted(cursor, 'screenName'), codePage);
  const threadName = text(counted(cursor, 'threadName'), codePage);
  const auxiliary = readAuxiliary(cursor, codePage);
  const images = readImages(view, header);
  const { extended } = auxiliary;
  return {
    bytes,
    header,
    name: header.moduleName,
    type: header.moduleType,
    flags: header.flags,
    description,
    stackSize,
    oldThreadName,
    screenName,
    threadName,
    version: auxiliary.version,
    copyright: auxiliary.copyright,
    extended,
    ...(extended === undefined ? {} : readExtended(view, extended)),
    customHeaders: auxiliary.custom,
    customData: extent(view, header.customDataOffset, header.customDataSize, 'custom data'),
    ...images,
    uninitializedSize: header.uninitializedDataSize,
    ...readRecords(view, header, images),
    dependencies: names(
      view,
      header.moduleDependencyOffset,
      header.numberOfModuleDependencies,
      'module dependency',
    ),
    start: procedure(header, 'codeStartOffset'),
    exit: procedure(header, 'exitProcedureOffset'),
    check: procedure(header, 'checkUnloadProcedureOffset'),
    headerEnd: cursor.at,
  };
}

function checkVersion(header: FixedHeader): void {
  const { version, moduleName } = header;
  if (version === (NLM_VERSION | PACKED)) {
    const problem = `${moduleName} is compressed by NLMPACK: unpack it first`;
    throw new Unsupported('version', problem, { offset: FIXED.version, value: version });
  }
  if (version !== NLM_VERSION) {
    throw new Unsupported('version', `only version ${NLM_VERSION} is known`, {
      offset: FIXED.version,
      value: version,
    });
  }
}

function procedure(
  header: FixedHeader,
  field: 'codeStartOffset' | 'exitProcedureOffset' | 'checkUnloadProcedureOffset',
): number {
  const offset = header[field];
  if (offset !== 0 && offset >= header.codeImageSize) {
    const problem = `is outside the code image of ${header.codeImageSize} bytes`;
    throw new Invalid(field, problem, { offset: FIXED[field], value: offset });
  }
  return offset;
}

function readImages(view: ByteView, header: FixedHeader): { code: Uint8Array; data: Uint8Array } {
  if (header.uninitializedDataSize > 0x10000000) {
    throw new Invalid('uninitializedDataSize', 'asks for more memory than any server had', {
      offset: FIXED.uninitializedDataSize,
      value: header.uninitializedDataSize,
    });
  }
  return {
    code: extent(view, header.codeImageOffset, header.codeImageSize, 'code image'),
    data: extent(view, header.dataImageOffset, header.dataImageSize, 'data image'),
  };
}

interface Images {
  readonly code: Uint8Array;
  readonly data: Uint8Array;
}

function readRecords(view: ByteView, header: FixedHeader, images: Images) {
  const { relocationFixupOffset, externalReferencesOffset, publicsOffset, debugInfoOffset } = header;
  const limits = {
    code: images.code.length,
    data: images.data.length,
    all: images.data.length + header.uninitializedDataSize,
  };
  return {
    fixups: readFixups(view, relocationFixupOffset, header.numberOfRelocationFixups, limits),
    imports: readImports(view, externalReferencesOffset, header.numberOfExternalReferences, limits),
    publics: readPublics(view, publicsOffset, header.numberOfPublics, limits),
    debug: readDebug(view, debugInfoOffset, header.numberOfDebugRecords),
  };
}

/** Bytes in each image that records may name: places need stored bytes, publics may lie in what is zeroed. */
interface Limits {
  readonly code: number;
  readonly data: number;
  readonly all: number;
}

function readFixups(view: ByteView, offset: number, count: number, limits: Limits): NlmFixup[] {
  const cursor = recordsAt(view, offset, count, 4, 'relocation fixups');
  const fixups: NlmFixup[] = [];
  for (let i = 0; i < count; i++) {
    const word = cursor.u32('relocation fixup');
    const place = placeOf(word, cursor.at - 4, limits, `relocation fixup ${i}`);
    fixups.push({ target: (word & RECORD_BIT.high) !== 0 ? 'code' : 'data', ...place });
  }
  return fixups;
}

function readImports(view: ByteView, offset: number, count: number, limits: Limits): NlmImport[] {
  const cursor = recordsAt(view, offset, count, 5, 'external references');
  const imports: NlmImport[] = [];
  for (let i = 0; i < count; i++) {
    const name = nameAt(cursor, 'external reference');
    const uses = cursor.u32('number of references');
    if (uses > cursor.left / 4) {
      throw new Invalid(`external reference ${name}`, 'has more places than the file has words', {
        offset: cursor.at - 4,
        value: uses,
      });
    }
    const references: NlmReference[] = [];
    for (let n = 0; n < uses; n++) {
      const word = cursor.u32('place');
      const place = placeOf(word, cursor.at - 4, limits, `external reference ${name}`);
      references.push({ absolute: (word & RECORD_BIT.high) !== 0, ...place });
    }
    imports.push({ name, references });
  }
  return imports;
}

function placeOf(
  word: number,
  at: number,
  limits: Limits,
  what: string,
): { image: NlmImage; offset: number } {
  const image: NlmImage = (word & RECORD_BIT.inCode) !== 0 ? 'code' : 'data';
  const offset = word & RECORD_BIT.offset;
  if (offset + 4 > limits[image]) {
    throw new Invalid(what, `place is outside the ${image} image of ${limits[image]} bytes`, {
      offset: at,
      value: offset,
    });
  }
  return { image, offset };
}

function readPublics(view: ByteView, offset: number, count: number, limits: Limits): NlmPublic[] {
  const cursor = recordsAt(view, offset, count, 5, 'publics');
  const publics: NlmPublic[] = [];
  for (let i = 0; i < count; i++) {
    const name = nameAt(cursor, 'public');
    const word = cursor.u32('public offset');
    const image: NlmImage = (word & RECORD_BIT.high) !== 0 ? 'code' : 'data';
    const at = word & ~RECORD_BIT.high;
    // One past the end is where a linker puts labels like `_end`.
    if (at > (image === 'code' ? limits.code : limits.all)) {
      throw new Invalid(`public ${name}`, `is outside the ${image} image`, {
        offset: cursor.at - 4,
        value: at,
      });
    }
    publics.push({ name, image, offset: at });
  }
  return publics;
}

/** Debug records are never used to link: their offsets are given as they stand. */
function readDebug(view: ByteView, offset: number, count: number): NlmDebugRecord[] {
  const cursor = recordsAt(view, offset, count, 6, 'debug records');
  const records: NlmDebugRecord[] = [];
  for (let i = 0; i < count; i++) {
    const type = cursor.u8('debug record type');
    const at = cursor.u32('debug record offset');
    const kind = type === 0 ? 'data' : type === 1 ? 'code' : 'absolute';
    records.push({ name: nameAt(cursor, 'debug record'), type: kind, offset: at });
  }
  return records;
}

function names(view: ByteView, offset: number, count: number, what: string): string[] {
  const cursor = recordsAt(view, offset, count, 1, `${what} records`);
  return Array.from({ length: count }, () => nameAt(cursor, what));
}

interface Auxiliary {
  version: NlmVersion | undefined;
  copyright: string | undefined;
  extended: ExtendedHeader | undefined;
  readonly custom: NlmCustomHeader[];
}

function readAuxiliary(cursor: Cursor, codePage: CodePage): Auxiliary {
  const found: Auxiliary = { version: undefined, copyright: undefined, extended: undefined, custom: [] };
  for (;;) {
    if (takeStamp(cursor, STAMP.version)) found.version = readVersion(cursor);
    else if (takeStamp(cursor, STAMP.copyright))
      found.copyright = text(counted(cursor, 'copyright'), codePage);
    else if (takeStamp(cursor, STAMP.messages)) found.extended = readExtendedHeader(cursor);
    else if (takeStamp(cursor, STAMP.custom)) found.custom.push(readCustomHeader(cursor));
    else return found;
  }
}

function takeStamp(cursor: Cursor, stamp: string): boolean {
  if (cursor.left < stamp.length) return false;
  const here = cursor.view.slice(cursor.at, stamp.length);
  if (latin1(here) !== stamp) return false;
  cursor.skip(stamp.length);
  return true;
}

function readVersion(cursor: Cursor): NlmVersion {
  const field = (what: string) => cursor.u32(`version ${what}`);
  const [major, minor, revision] = [field('major'), field('minor'), field('revision')];
  return { major, minor, revision, year: field('year'), month: field('month'), day: field('day') };
}

function readExtendedHeader(cursor: Cursor): ExtendedHeader {
  const words: Record<string, number> = {};
  for (const name of EXTENDED_WORDS) words[name] = cursor.u32(name);
  return words as ExtendedHeader;
}

function readCustomHeader(cursor: Cursor): NlmCustomHeader {
  const length = cursor.u32('custom header length');
  const at = cursor.at;
  const body = cursor.bytes(length, 'custom header');
  if (length < 16) return { stamp: '', data: EMPTY, rest: body };
  const { view } = cursor;
  const data = extent(view, view.u32(at), view.u32(at + 4), 'data of a custom header');
  return { stamp: latin1(body.subarray(8, 16)), data, rest: body.subarray(16) };
}

function readExtended(view: ByteView, header: ExtendedHeader) {
  const { messageFileOffset, messageFileLength, languageId, messageCount } = header;
  const messages: NlmMessages | undefined =
    messageFileLength === 0
      ? undefined
      : {
          languageId,
          count: messageCount,
          file: extent(view, messageFileOffset, messageFileLength, 'message file'),
        };
  const some = (offset: number, length: number, what: string) =>
    length === 0 ? undefined : extent(view, offset, length, what);
  return {
    messages,
    help: some(header.helpFileOffset, header.helpFileLength, 'help file'),
    rpcData: some(header.rpcDataOffset, header.rpcDataLength, 'RPC data'),
    shared: readShared(view, header),
    productId: header.productId,
  };
}

function readShared(view: ByteView, header: ExtendedHeader): NlmShared | undefined {
  if (header.sharedCodeLength === 0 && header.sharedDataLength === 0) return undefined;
  const code = extent(view, header.sharedCodeOffset, header.sharedCodeLength, 'shared code');
  const data = extent(view, header.sharedDataOffset, header.sharedDataLength, 'shared data');
  const limits = { code: code.length, data: data.length, all: data.length };
  const { sharedExternalReferenceOffset: references, sharedExternalReferenceCount } = header;
  return {
    code,
    data,
    fixups: readFixups(view, header.sharedRelocationFixupOffset, header.sharedRelocationFixupCount, limits),
    imports: readImports(view, references, sharedExternalReferenceCount, limits),
    publics: readPublics(view, header.sharedPublicsOffset, header.sharedPublicsCount, limits),
    debug: readDebug(view, header.sharedDebugRecordOffset, header.sharedDebugRecordCount),
    initialization: header.sharedInitializationOffset,
    exitProcedure: header.sharedExitProcedureOffset,
  };
}

/** The texts of a message file. [uncertain: see MESSAGE_FILE.table] @throws Invalid, Truncated, BadMagic */
export function readMessages(
  file: Uint8Array,
  codePage: CodePage = 437,
): { languageId: number; texts: string[] } {
  const view = new ByteView(file, true);
  view.need(0, MESSAGE_FILE.table, 'message file header');
  const { signature } = MESSAGE_FILE;
  if (latin1(file.subarray(0, signature.length)) !== signature) {
    throw new BadMagic('message file', `does not begin with "${signature}"`, { offset: 0 });
  }
  const count = view.u32(MESSAGE_FILE.count);
  recordsAt(view, MESSAGE_FILE.table, count, 4, 'message offsets');
  const texts: string[] = [];
  let budget = file.length * 4;
  for (let i = 0; i < count; i++) {
    const at = view.u32(MESSAGE_FILE.table + i * 4);
    const end = file.indexOf(0, at);
    if (at >= file.length || end < 0) {
      throw new Invalid(`message ${i}`, 'does not end inside the message file', { value: at });
    }
    budget -= end - at;
    if (budget < 0) throw new Invalid('message file', 'texts overlap too much');
    texts.push(decodeCodePage(file.subarray(at, end), codePage));
  }
  return { languageId: view.u32(MESSAGE_FILE.languageId), texts };
}

/** A cursor at the records, of which each takes at least `least` bytes. @throws Truncated */
function recordsAt(view: ByteView, offset: number, count: number, least: number, what: string): Cursor {
  if (count === 0) return new Cursor(view, view.length);
  if (offset > view.length || count > (view.length - offset) / least) {
    throw new Truncated(what, `${count} of them do not fit behind their offset`, { offset });
  }
  return new Cursor(view, offset);
}

function extent(view: ByteView, offset: number, length: number, what: string): Uint8Array {
  return length === 0 ? EMPTY : view.slice(offset, length, what);
}

/** A length byte, so many bytes, a NUL. */
function counted(cursor: Cursor, what: string): Uint8Array {
  const bytes = cursor.bytes(cursor.u8(`${what} length`), what);
  cursor.skip(1, `end of ${what}`);
  return bytes;
}

function nameAt(cursor: Cursor, what: string): string {
  return latin1(cursor.bytes(cursor.u8(`${what} name length`), `${what} name`));
}

function text(bytes: Uint8Array, codePage: CodePage): string {
  return decodeCodePage(bytes, codePage);
}

/** Symbol names are bytes: each becomes the character of its number. */
function latin1(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += String.fromCharCode(byte);
  return out;
}
