/** NlmParts -> bytes, in the order in which the linkers of the time wrote their files (Open Watcom loadnov.c). */

import { type CodePage, encodeCodePage } from '../../bytes/codepage.ts';
import { joinBytes } from '../../bytes/join.ts';
import type { NlmDebugRecord, NlmFixup, NlmImport, NlmParts, NlmPublic } from './file.ts';
import {
  DEBUG_TYPE,
  EXTENDED_WORDS,
  FIXED,
  FIXED_WORDS,
  MAX_DESCRIPTION,
  MAX_NAME,
  MAX_SCREEN_NAME,
  MAX_THREAD_NAME,
  NLM_VERSION,
  OLD_THREAD_NAME,
  RECORD_BIT,
  SIGNATURE,
  STAMP,
} from './layout.ts';

/** A value that the format has no room for. */
export class NlmWriteError extends Error {
  constructor(what: string, problem: string) {
    super(`${what}: ${problem}`);
    this.name = 'NlmWriteError';
  }
}

/** Writes an NLM. Texts are written in `codePage`. @throws NlmWriteError */
export function writeNlm(parts: NlmParts, codePage: CodePage = 437): Uint8Array {
  return new NlmWriter(codePage).write(parts);
}

class NlmWriter {
  readonly #out: number[] = [];
  readonly #chunks: Uint8Array[] = [];
  readonly #codePage: CodePage;
  #length = 0;

  constructor(codePage: CodePage) {
    this.#codePage = codePage;
  }

  write(parts: NlmParts): Uint8Array {
    const fixed: Record<string, number> = {};
    const extended: Record<string, number> = {};
    this.#bytes(new Uint8Array(FIXED.size));
    this.#variableHeader(parts);
    const places = this.#auxiliaryHeaders(parts);
    this.#body(parts, fixed);
    this.#extendedBody(parts, extended);
    const customData = parts.customHeaders.map(({ data }) => this.#blob(data));
    fixed.debugInfoOffset = this.#length;
    fixed.numberOfDebugRecords = this.#debugRecords(parts.debug);
    const bytes = this.#finish();
    fixHeader(bytes, parts, fixed);
    const view = new DataView(bytes.buffer);
    if (places.extended !== undefined) {
      for (const [i, name] of EXTENDED_WORDS.entries())
        view.setUint32(places.extended + i * 4, extended[name] ?? 0, true);
    }
    for (const [i, at] of places.custom.entries()) {
      view.setUint32(at, customData[i], true);
      view.setUint32(at + 4, parts.customHeaders[i].data.length, true);
    }
    return bytes;
  }

  #variableHeader(parts: NlmParts): void {
    this.#counted('description', this.#encode(parts.description), MAX_DESCRIPTION);
    this.#u32(parts.stackSize);
    this.#u32(0);
    this.#bytes(ascii('old thread name', OLD_THREAD_NAME));
    this.#counted('screen name', this.#encode(parts.screenName), MAX_SCREEN_NAME);
    this.#counted('thread name', this.#encode(parts.threadName), MAX_THREAD_NAME);
  }

  /** Writes what is known by now; gives where offsets into the rest of the file have to be filled in. */
  #auxiliaryHeaders(parts: NlmParts): { extended: number | undefined; custom: number[] } {
    const { version, copyright } = parts;
    if (version !== undefined) {
      this.#bytes(ascii('stamp', STAMP.version));
      const { major, minor, revision, year, month, day } = version;
      for (const word of [major, minor, revision, year, month, day]) this.#u32(word);
    }
    let extended: number | undefined;
    if (needsExtended(parts)) {
      this.#bytes(ascii('stamp', STAMP.messages));
      extended = this.#length;
      this.#bytes(new Uint8Array(EXTENDED_WORDS.length * 4));
    }
    if (copyright !== undefined) {
      this.#bytes(ascii('stamp', STAMP.copyright));
      this.#counted('copyright', this.#encode(copyright), 255);
    }
    const custom = parts.customHeaders.map(({ stamp, rest }) => {
      if (stamp.length !== 8) throw new NlmWriteError('custom header', 'a stamp has eight bytes');
      this.#bytes(ascii('stamp', STAMP.custom));
      this.#u32(16 + rest.length);
      const at = this.#length;
      this.#bytes(new Uint8Array(8));
      this.#bytes(ascii('custom header stamp', stamp));
      this.#bytes(rest);
      return at;
    });
    return { extended, custom };
  }

  #body(parts: NlmParts, fixed: Record<string, number>): void {
    this.#image(fixed, 'codeImage', parts.code);
    this.#image(fixed, 'dataImage', parts.data);
    fixed.relocationFixupOffset = this.#length;
    fixed.numberOfRelocationFixups = this.#fixups(parts.fixups);
    fixed.externalReferencesOffset = this.#length;
    fixed.numberOfExternalReferences = this.#imports(parts.imports);
    fixed.publicsOffset = this.#length;
    fixed.numberOfPublics = this.#publics(parts.publics);
    fixed.moduleDependencyOffset = this.#length;
    fixed.numberOfModuleDependencies = parts.dependencies.length;
    for (const name of parts.dependencies) this.#name(name);
    fixed.customDataOffset = parts.customData.length === 0 ? 0 : this.#length;
    fixed.customDataSize = parts.customData.length;
    this.#bytes(parts.customData);
  }

  #extendedBody(parts: NlmParts, words: Record<string, number>): void {
    const { messages, help, rpcData, shared, productId } = parts;
    words.productId = productId ?? 0;
    if (messages !== undefined) {
      words.languageId = messages.languageId;
      words.messageCount = messages.count;
      words.messageFileOffset = this.#blob(messages.file);
      words.messageFileLength = messages.file.length;
    }
    if (help !== undefined) {
      words.helpFileOffset = this.#blob(help);
      words.helpFileLength = help.length;
    }
    if (rpcData !== undefined) {
      words.rpcDataOffset = this.#blob(rpcData);
      words.rpcDataLength = rpcData.length;
    }
    if (shared === undefined) return;
    words.sharedCodeOffset = this.#blob(shared.code);
    words.sharedCodeLength = shared.code.length;
    words.sharedDataOffset = this.#blob(shared.data);
    words.sharedDataLength = shared.data.length;
    words.sharedRelocationFixupOffset = this.#length;
    words.sharedRelocationFixupCount = this.#fixups(shared.fixups);
    words.sharedExternalReferenceOffset = this.#length;
    words.sharedExternalReferenceCount = this.#imports(shared.imports);
    words.sharedPublicsOffset = this.#length;
    words.sharedPublicsCount = this.#publics(shared.publics);
    words.sharedDebugRecordOffset = this.#length;
    words.sharedDebugRecordCount = this.#debugRecords(shared.debug);
    words.sharedInitializationOffset = shared.initialization;
    words.sharedExitProcedureOffset = shared.exitProcedure;
  }

  #image(fixed: Record<string, number>, field: 'codeImage' | 'dataImage', bytes: Uint8Array): void {
    fixed[`${field}Offset`] = this.#length;
    fixed[`${field}Size`] = bytes.length;
    this.#bytes(bytes);
  }

  #fixups(fixups: readonly NlmFixup[]): number {
    for (const { target, image, offset } of fixups) this.#place(target === 'code', image, offset);
    return fixups.length;
  }

  #imports(imports: readonly NlmImport[]): number {
    for (const { name, references } of imports) {
      this.#name(name);
      this.#u32(references.length);
      for (const { absolute, image, offset } of references) this.#place(absolute, image, offset);
    }
    return imports.length;
  }

  #publics(publics: readonly NlmPublic[]): number {
    for (const { name, image, offset } of publics) {
      this.#name(name);
      this.#u32(image === 'code' ? offset + RECORD_BIT.high : offset);
    }
    return publics.length;
  }

  #debugRecords(records: readonly NlmDebugRecord[]): number {
    for (const { name, type, offset } of records) {
      this.#out.push(DEBUG_TYPE[type]);
      this.#length++;
      this.#u32(offset);
      this.#name(name);
    }
    return records.length;
  }

  #place(high: boolean, image: 'code' | 'data', offset: number): void {
    if (!(offset >= 0 && offset <= RECORD_BIT.offset)) {
      throw new NlmWriteError('record', `offset ${offset} does not fit 30 bits`);
    }
    this.#u32(offset + (high ? RECORD_BIT.high : 0) + (image === 'code' ? RECORD_BIT.inCode : 0));
  }

  #encode(value: string): Uint8Array {
    const bytes = encodeCodePage(value, this.#codePage);
    if (bytes === undefined) {
      throw new NlmWriteError('text', `"${value}" has characters that code page ${this.#codePage} lacks`);
    }
    return bytes;
  }

  #counted(what: string, bytes: Uint8Array, most: number): void {
    if (bytes.length > most) throw new NlmWriteError(what, `is longer than ${most} bytes`);
    this.#bytes(Uint8Array.of(bytes.length));
    this.#bytes(bytes);
    this.#bytes(Uint8Array.of(0));
  }

  #name(name: string): void {
    const bytes = ascii('name', name);
    if (bytes.length > 255)
      throw new NlmWriteError(`name ${name.slice(0, 20)}...`, 'is longer than 255 bytes');
    this.#bytes(Uint8Array.of(bytes.length));
    this.#bytes(bytes);
  }

  #blob(bytes: Uint8Array): number {
    const at = this.#length;
    this.#bytes(bytes);
    return at;
  }

  #u32(value: number): void {
    this.#out.push(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff);
    this.#length += 4;
  }

  #bytes(bytes: Uint8Array): void {
    this.#flush();
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  #flush(): void {
    if (this.#out.length > 0) this.#chunks.push(Uint8Array.from(this.#out.splice(0)));
  }

  #finish(): Uint8Array {
    this.#flush();
    return joinBytes(this.#chunks);
  }
}

function needsExtended({ messages, help, rpcData, shared, productId }: NlmParts): boolean {
  return [messages, help, rpcData, shared, productId].some((part) => part !== undefined);
}

function fixHeader(bytes: Uint8Array, parts: NlmParts, words: Record<string, number>): void {
  const view = new DataView(bytes.buffer);
  const name = ascii('module name', parts.name);
  if (name.length > MAX_NAME)
    throw new NlmWriteError(`module name ${parts.name}`, `is longer than ${MAX_NAME} bytes`);
  bytes.set(ascii('signature', SIGNATURE), 0);
  view.setUint32(FIXED.version, NLM_VERSION, true);
  bytes[FIXED.moduleName] = name.length;
  bytes.set(name, FIXED.moduleName + 1);
  const all: Record<string, number> = {
    ...words,
    uninitializedDataSize: parts.uninitializedSize,
    codeStartOffset: parts.start,
    exitProcedureOffset: parts.exit,
    checkUnloadProcedureOffset: parts.check,
    moduleType: parts.type,
    flags: parts.flags,
  };
  for (const field of FIXED_WORDS) view.setUint32(FIXED[field], all[field], true);
}

/** Names are bytes below 256. */
function ascii(what: string, value: string): Uint8Array {
  const bytes = new Uint8Array(value.length);
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0xff) throw new NlmWriteError(what, `${value} has characters that are no single byte`);
    bytes[i] = code;
  }
  return bytes;
}
