/**
 * Static calls (kernel/static_call.c): code calls a trampoline, and the trampoline is a jump that is rewritten. Call sites
 * are left calling the trampoline, so that it alone decides.
 */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const JMP = 0xe9;
const RET = 0xc3;
const INT3 = 0xcc;

/** A jump to `target`, or a return when there is none (arch_static_call_transform). */
function writeTrampoline(k: Linux, at: Address, target: Address): void {
  const code = new Uint8Array(5).fill(INT3);
  if (target === 0) code[0] = RET;
  else {
    code[0] = JMP;
    new DataView(code.buffer).setInt32(1, target - at - 5, true);
  }
  k.memory.poke(at, code);
}

export const staticCallFunctions = kernelFunctions({
  'void __static_call_update(struct static_call_key *key, void *tramp, void *func)': (
    k,
    key,
    trampoline,
    func,
  ) => {
    if (k.read('static_call_key.func', key) === func) return;
    k.write('static_call_key.func', key, func);
    writeTrampoline(k, trampoline, func);
  },
  'void arch_static_call_transform(void *site, void *tramp, void *func, bool tail)': (
    k,
    _site,
    trampoline,
    func,
  ) => {
    if (trampoline !== 0) writeTrampoline(k, trampoline, func);
  },
  'long __static_call_return0(void)': () => 0,
});
