/** The function table (".pdata section"): where each function's unwinding rules are. */
import { DIRECTORY, MACHINE } from './layout.ts';
import type { PeFile } from './read.ts';

export interface RuntimeFunction {
  readonly begin: number;
  /** ARM64: 0, the length stands in the unwind word. */
  readonly end: number;
  /** RVA of the unwind information, or ARM64's packed word. */
  readonly unwind: number;
}

/** @throws Invalid, Truncated */
export function readRuntimeFunctions(pe: PeFile): RuntimeFunction[] {
  const { address, size } = pe.directory(DIRECTORY.EXCEPTION);
  const { machine } = pe.header;
  if (address === 0 || size === 0) return [];
  if (machine !== MACHINE.AMD64 && machine !== MACHINE.ARM64 && machine !== MACHINE.ARMNT) return [];
  const bytes = machine === MACHINE.AMD64 ? 12 : 8;
  const count = Math.floor(size / bytes);
  const view = pe.viewAt(address, count * bytes, 'exception directory');
  return Array.from({ length: count }, (_, i) => {
    const at = i * bytes;
    return bytes === 12
      ? { begin: view.u32(at), end: view.u32(at + 4), unwind: view.u32(at + 8) }
      : { begin: view.u32(at), end: 0, unwind: view.u32(at + 4) };
  });
}
