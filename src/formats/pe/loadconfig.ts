/** The load configuration directory: cookie, safe handlers and control flow guard. */
import { ByteView } from '../../bytes/view.ts';
import { DIRECTORY } from './layout.ts';
import type { PeFile } from './read.ts';

/** RVAs; 0 = the directory is too old to have the field, or it is not set. */
export interface PeLoadConfig {
  readonly securityCookie: number;
  /** x86: table of handlers that exceptions may be given to. */
  readonly seHandlerTable: number;
  readonly seHandlerCount: number;
  readonly guardCheck: number;
  readonly guardDispatch: number;
  readonly guardFlags: number;
}

/** Offsets of the fields in either size ("Load Configuration Layout"). */
const FIELDS = {
  64: { cookie: 0x58, table: 0x60, count: 0x68, check: 0x70, dispatch: 0x78, flags: 0x90 },
  32: { cookie: 0x3c, table: 0x40, count: 0x44, check: 0x48, dispatch: 0x4c, flags: 0x58 },
} as const;

/** Undefined when there is none. @throws Invalid, Truncated */
export function readLoadConfig(pe: PeFile): PeLoadConfig | undefined {
  const { address } = pe.directory(DIRECTORY.LOAD_CONFIG);
  if (address === 0) return undefined;
  // The directory's own size is right, the data directory's is 0x40 in old x86 files.
  const size = Math.min(pe.u32(address, 'load configuration'), 0x200);
  const view = new ByteView(pe.at(address, Math.max(4, size), 'load configuration'), true);
  const has = (at: number, bytes: number) => at + bytes <= size;
  const word = (at: number): bigint => {
    if (!has(at, pe.word)) return 0n;
    return pe.word === 8 ? view.u64(at) : BigInt(view.u32(at));
  };
  const rva = (at: number): number => {
    const value = word(at);
    return value === 0n ? 0 : (pe.rvaOf(value) ?? 0);
  };
  const at = FIELDS[pe.bits];
  return {
    securityCookie: rva(at.cookie),
    seHandlerTable: rva(at.table),
    seHandlerCount: Number(word(at.count) & 0xffffffffn),
    guardCheck: rva(at.check),
    guardDispatch: rva(at.dispatch),
    guardFlags: has(at.flags, 4) ? view.u32(at.flags) : 0,
  };
}
