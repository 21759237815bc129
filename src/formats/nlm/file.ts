/** What an NLM says, without where in the file it says so: what the reader gives and the writer takes. */
import type { EXTENDED_WORDS, FIXED_WORDS } from './layout.ts';

export type NlmImage = 'code' | 'data';

/** `*place += start of the target image`; the offset into the target stands in the place already. */
export interface NlmFixup {
  readonly target: NlmImage;
  readonly image: NlmImage;
  /** Of the place, in its image. */
  readonly offset: number;
}

export interface NlmReference {
  /** Absolute address, or the distance from the place. */
  readonly absolute: boolean;
  readonly image: NlmImage;
  readonly offset: number;
}

export interface NlmImport {
  /** As it stands in the file, with a `PREFIX@` that names a library. */
  readonly name: string;
  readonly references: readonly NlmReference[];
}

export interface NlmPublic {
  readonly name: string;
  readonly image: NlmImage;
  /** In data: offsets past the data image lie in the uninitialised data. */
  readonly offset: number;
}

export interface NlmDebugRecord {
  readonly name: string;
  readonly type: 'data' | 'code' | 'absolute';
  readonly offset: number;
}

export interface NlmVersion {
  readonly major: number;
  readonly minor: number;
  /** 0 = none, 1 to 26 = a to z. */
  readonly revision: number;
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

/** The data that a CuStHeAd header points at; `stamp` (8 bytes) says whose it is: `CyGnUsEx` holds GNU's own sections. */
export interface NlmCustomHeader {
  readonly stamp: string;
  readonly data: Uint8Array;
  /** What else the header holds behind the stamp. */
  readonly rest: Uint8Array;
}

/** The texts a module brings in its own language; other languages come as files of the same layout. */
export interface NlmMessages {
  readonly languageId: number;
  readonly count: number;
  readonly file: Uint8Array;
}

/** The second image that modules in protected address spaces share. Kept as it stands in the file. */
export interface NlmShared {
  readonly code: Uint8Array;
  readonly data: Uint8Array;
  readonly fixups: readonly NlmFixup[];
  readonly imports: readonly NlmImport[];
  readonly publics: readonly NlmPublic[];
  readonly debug: readonly NlmDebugRecord[];
  readonly initialization: number;
  readonly exitProcedure: number;
}

export interface NlmParts {
  /** `HELLO.NLM`: at most twelve bytes. */
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly description: string;
  readonly stackSize: number;
  readonly screenName: string;
  readonly threadName: string;
  readonly version?: NlmVersion;
  readonly copyright?: string;
  readonly messages?: NlmMessages;
  readonly help?: Uint8Array;
  readonly rpcData?: Uint8Array;
  readonly shared?: NlmShared;
  readonly productId?: number;
  readonly customHeaders: readonly NlmCustomHeader[];
  /** Handed to the start procedure as a place in the file (XDC data and the like). */
  readonly customData: Uint8Array;
  readonly code: Uint8Array;
  readonly data: Uint8Array;
  /** Zeros that follow the data image in memory. */
  readonly uninitializedSize: number;
  readonly fixups: readonly NlmFixup[];
  readonly imports: readonly NlmImport[];
  readonly publics: readonly NlmPublic[];
  readonly dependencies: readonly string[];
  readonly debug: readonly NlmDebugRecord[];
  /** Offsets in the code image. */
  readonly start: number;
  readonly exit: number;
  /** 0 = none. */
  readonly check: number;
}

export type FixedHeader = { readonly [K in (typeof FIXED_WORDS)[number]]: number } & {
  /** 4, with PACKED set when compressed. */
  readonly version: number;
  readonly moduleName: string;
};
export type ExtendedHeader = { readonly [K in (typeof EXTENDED_WORDS)[number]]: number };

/** A validated NLM. */
export interface NlmFile extends NlmParts {
  readonly bytes: Uint8Array;
  readonly header: FixedHeader;
  readonly extended: ExtendedHeader | undefined;
  readonly oldThreadName: string;
  /** Where the auxiliary headers end: offset of the first byte that is none. */
  readonly headerEnd: number;
}
