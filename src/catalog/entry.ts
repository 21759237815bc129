/** A module file of any system, as a set of them is looked at: what it offers, what it needs, what it says of itself. */

export interface CatalogSymbol {
  readonly name: string;
  /** A version that both sides must agree on, where the system has one (a CRC, as hexadecimal digits). */
  readonly version?: string;
  /** The module starts without it. */
  readonly weak?: boolean;
  /** The library the file expects it from, where the system names one. */
  readonly from?: string;
}

export interface CatalogParameter {
  readonly name: string;
  readonly type: string;
}

export interface CatalogEntry {
  readonly system: string;
  /** The name it is loaded by. */
  readonly name: string;
  /** Where it is in its tree. */
  readonly path: string;
  readonly version: string;
  readonly offers: readonly CatalogSymbol[];
  readonly needs: readonly CatalogSymbol[];
  /** Other names that stand for it (modules in a file, an identifier). */
  readonly names: readonly string[];
  /** Names of modules that it says it needs. */
  readonly depends: readonly string[];
  /** What it can be asked for by; may have wildcards. */
  readonly aliases: readonly string[];
  /** Modules to be loaded before and after it if they can be had, and those that it may ask for later. */
  readonly soft: { readonly before: readonly string[]; readonly after: readonly string[] };
  readonly weak: readonly string[];
  /** Files it asks for when it has found its device. */
  readonly firmware: readonly string[];
  readonly parameters: readonly CatalogParameter[];
  /** It is the kernel itself, or a part of it: modules need it, and it is none. */
  readonly kernel?: boolean;
  /** Names of its system do not tell upper from lower case. */
  readonly anyCase?: boolean;
}

/** All empty, for readers that fill in what their system has. */
export const BARE_ENTRY: Omit<CatalogEntry, 'system' | 'name' | 'path'> = {
  version: '',
  offers: [],
  needs: [],
  names: [],
  depends: [],
  aliases: [],
  soft: { before: [], after: [] },
  weak: [],
  firmware: [],
  parameters: [],
};
