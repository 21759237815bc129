/** Branches of AArch64: as the assembler and linker make them, and what does not reach. */
import { describe, expect, it } from 'vitest';
import { AARCH64, R_AARCH64 } from '../../src/link/relocate/aarch64.ts';

function store(
  type: number,
  instruction: number,
  value: number,
): { fits: boolean | undefined; word: number } {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, instruction, true);
  const fits = AARCH64.forms.get(type)?.field?.store(view, 0, true, value);
  return { fits, word: view.getUint32(0, true) };
}

describe('AArch64 branches', () => {
  // bl .+0x1000 = 94000400, b .-4 = 17ffffff, b.eq .+8 = 54000040, tbz w0, #0, .-8 = 3607ffc0 (llvm-mc)
  it.each([
    [R_AARCH64.CALL26, 0x94000000, 0x1000, 0x94000400],
    [R_AARCH64.JUMP26, 0x14000000, -4, 0x17ffffff],
    [R_AARCH64.CONDBR19, 0x54000000, 8, 0x54000040],
    [R_AARCH64.TSTBR14, 0x36000000, -8, 0x3607ffc0],
  ])('type %i', (type, instruction, value, word) => {
    expect(store(type, instruction, value)).toEqual({ fits: true, word });
  });

  it.each([
    [R_AARCH64.CALL26, 2 ** 27],
    [R_AARCH64.CALL26, -(2 ** 27) - 4],
    [R_AARCH64.CONDBR19, 2 ** 20],
    [R_AARCH64.TSTBR14, 2 ** 15],
    [R_AARCH64.JUMP26, 2],
  ])('type %i does not reach %i', (type, value) => {
    expect(store(type, 0, value).fits).toBe(false);
  });
});
