/** The machine without a kernel: that what makes its engine ready leaves nothing behind. */
import { describe, expect, it } from 'vitest';
import { bareMachine } from '../../src/cpu/bare-machine.ts';
import { ENGINES } from '../../src/cpu/engines.ts';

/** lea (%rdi,%rdi,2), %rax; add (%rsi), %rax; mov %rax, (%rsi); ret */
const CODE_BYTES = [0x48, 0x8d, 0x04, 0x7f, 0x48, 0x03, 0x06, 0x48, 0x89, 0x06, 0xc3];

describe('bareMachine', () => {
  it('begins with nothing run, whatever its engine', () => {
    for (const engine of ENGINES) {
      const { cpu, memory, data, call } = bareMachine(engine, Uint8Array.from(CODE_BYTES), 4096);
      expect([cpu.retired, cpu.translated, cpu.regions]).toEqual([0, 0, 0]);
      expect(call(14, data)).toBe(42n);
      expect(call(14, data)).toBe(84n);
      expect(memory.u32(data)).toBe(84);
      expect(cpu.retired).toBe(8);
    }
  });
});
