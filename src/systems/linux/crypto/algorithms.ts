/** The registry with the kernel's own algorithms in it: they are there before the first module's algorithm or request. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Linux } from '../linux.ts';
import { registerBuiltIns } from './builtin.ts';
import { type CryptoRegistry, cryptoRegistry } from './registry.ts';

const builtIns = perKernel<{ ready: boolean }, Linux>((k) => {
  registerBuiltIns(k);
  return { ready: true };
});

export function cryptoAlgorithms(k: Linux): CryptoRegistry {
  k.state(builtIns);
  return k.state(cryptoRegistry);
}
