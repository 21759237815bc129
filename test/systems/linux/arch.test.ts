import { describe, expect, it } from 'vitest';
import { TypeTable } from '../../../src/ctypes/table.ts';
import { architectureOf } from '../../../src/systems/linux/arch.ts';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { noTypes } from '../../../src/systems/linux/kernelfile/no-types.ts';

describe('a kernel that was built without types', () => {
  it('is refused with what to do about it', () => {
    const file = { machine: 'i386', types: new TypeTable(noTypes) } as unknown as KernelFile;
    expect(() => architectureOf(file)).toThrow(/does not tell its types.*FILE\.btf/);
  });
});
