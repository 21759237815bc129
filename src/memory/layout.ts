/**
 * Where things are in a kernel's one WebAssembly.Memory. Constants only.
 *
 * | offset    | what |
 * |-----------|------|
 * | 0x0000    | never used, so that a stray 0 is seen |
 * | 0x1000    | CPU state (registers, flags, vector registers; fields in cpu/state.ts) |
 * | 0x2000    | bounce buffer for accesses that cross a page; the window around the stack |
 * | 0x4000    | tables of the AES instructions |
 * | 0x10000   | software TLB |
 * | 0x20000   | block lookup cache: guest pc to translated operations |
 * | 0x40000   | translated operations |
 * | after it  | a byte for each frame: {@link FrameFlag} |
 * | after it  | guest RAM: frame n at `ramBase + n * 4096` |
 */
export const CPU_STATE = 0x1000;
export const BOUNCE = 0x2000;
/** Tables of substitution of AES, 2.5 KiB, once code with its instructions has been seen. */
export const AES_TABLES = 0x4000;

/**
 * The window: addresses around a stack pointer that lie in one piece in linear memory too, readable, writable and
 * without code. First address and size, 8 bytes each, and a 4-byte addend as that of a TLB entry; size 0: there is none.
 */
export const WINDOW_BASE = 0x2080;
export const WINDOW_BYTES = 0x2088;
export const WINDOW_ADDEND = 0x2090;

/**
 * A TLB entry is 32 bytes: three 8-byte tags (read, write, execute), a 4-byte addend, 4 unused bytes. A tag
 * is the page's address; a page without that permission has {@link TLB_EMPTY}, which no page address equals.
 * linear offset = low 32 bits of the address + addend (modulo 2^32). A page that gives way to another with the same
 * place goes to a second one, the first with this bit of the number turned: two pages in turn are common.
 */
export const TLB_BASE = 0x10000;
export const TLB_ENTRIES = 2048;
export const TLB_ENTRY_SHIFT = 5;
export const TLB_READ = 0;
export const TLB_WRITE = 8;
export const TLB_EXECUTE = 16;
export const TLB_ADDEND = 24;
export const TLB_EMPTY = 1;
export const TLB_SECOND = (TLB_ENTRIES / 2) << TLB_ENTRY_SHIFT;

/**
 * A lookup entry is 16 bytes: 8-byte pc, 4-byte offset of the block's first operation, 4-byte place of its
 * translation in the table of functions (0: none). A pc has
 * two places: the one its hash names and that with the lowest bit of the index turned.
 */
export const LOOKUP_BASE = 0x20000;
export const LOOKUP_ENTRIES = 8192;
export const LOOKUP_ENTRY_SHIFT = 4;
export const LOOKUP_SLOT = 12;

/** What a store by way of the direct map has to know of a frame. */
export const FrameFlag = {
  /** Holds translated code. */
  CODE: 1,
  /** The next frame does: a store over the end of this one is not simple. */
  BEFORE_CODE: 2,
  /** Was never handed out or written to: the first store is noted. */
  UNTOUCHED: 4,
} as const;

export const CODE_BASE = 0x40000;
/** Room for about 350,000 operations: the text of the largest modules, translated once. */
export const DEFAULT_CODE_BYTES = 8 * 1024 * 1024;
export const MIN_CODE_BYTES = 256 * 1024;

/** Linear memory comes in units of this. */
export const WASM_PAGE = 65536;
/** Frame numbers must fit the page-table entry, and linear offsets 32 bits. */
export const MAX_RAM_BYTES = 2 * 1024 * 1024 * 1024;
