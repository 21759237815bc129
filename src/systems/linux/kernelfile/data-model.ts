/** How the compiler of a kernel laid out its data: BTF tells sizes of records, but not of pointers. */
import { type DataModel, ILP32, ILP32_BE, ILP32_I386, LP64, LP64_BE } from '../../../ctypes/model.ts';
import type { KernelFile } from './kernelfile.ts';

export function dataModelOf(kernel: Pick<KernelFile, 'machine' | 'bits' | 'littleEndian'>): DataModel {
  const { machine, bits, littleEndian } = kernel;
  if (bits === 64) return littleEndian ? LP64 : LP64_BE;
  if (machine === 'i386') return ILP32_I386;
  return littleEndian ? ILP32 : ILP32_BE;
}
