/** Options of loadModule and unldByModuleId, as the public headers number them. */
export const LOAD = {
  NO_SYMBOLS: 0x2,
  LOCAL_SYMBOLS: 0x4,
  GLOBAL_SYMBOLS: 0x8,
  ALL_SYMBOLS: 0xc,
  HIDDEN_MODULE: 0x10,
  COMMON_MATCH_NONE: 0x100,
  COMMON_MATCH_USER: 0x200,
  COMMON_MATCH_ALL: 0x400,
  CPLUS_XTOR_AUTO: 0x1000,
  CPLUS_XTOR_MANUAL: 0x2000,
  /** LOAD_FULLY_LINKED, LOAD_NO_DOWNLOAD, LOAD_COMMON_HEAP, LOAD_MODULE_INFO_ONLY: refused by name. */
  NOT_WRITTEN: 0x20 | 0x40 | 0x800 | 0x1000000,
} as const;

export const UNLD = {
  KEEP_BREAKPOINTS: 0x1,
  FORCE: 0x2,
  CPLUS_XTOR_AUTO: 0x20,
  CPLUS_XTOR_MANUAL: 0x40,
} as const;

/** symFlag as the first releases had it: -1 none, 0 globals, 1 all. */
export function symbolFlags(symFlag: number): number {
  if (symFlag === -1) return LOAD.NO_SYMBOLS;
  if (symFlag === 0) return LOAD.GLOBAL_SYMBOLS;
  return symFlag === 1 ? LOAD.ALL_SYMBOLS : symFlag;
}
