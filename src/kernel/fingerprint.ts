/** A whole machine in a few words, to compare runs by. */
import type { Kernel } from './kernel.ts';

/**
 * Equal for two kernels that nothing could tell apart, and as good as never otherwise: all of memory, registers, the count of
 * instructions, the clock, and when each record of the log was written.
 */
export function fingerprint({ memory, cpu, log, time }: Kernel): string {
  const ram = new Int32Array(memory.wasm.buffer, memory.ramBase, memory.frames.total * 1024);
  let [low, high] = [0, 0];
  for (let n = 0; n < ram.length; n++) {
    // Most of it was never touched.
    if (ram[n] === 0) continue;
    low = Math.imul(low ^ ram[n] ^ n, 0x85ebca6b);
    high = Math.imul(high + ram[n], 0x9e3779b1) ^ (high >>> 15) ^ n;
  }
  const registers = Array.from({ length: 16 }, (_, n) => cpu.gprBig(n).toString(16));
  const times = log.records.map((record) => record.time);
  return [low, high, cpu.rip, cpu.rflags, cpu.retired, time.now(), ...registers, ...times].join(' ');
}
