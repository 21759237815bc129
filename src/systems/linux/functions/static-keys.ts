/** Static keys as modules turn them (kernel/jump_label.c): the count in guest memory, the branches in the code. */
import type { Address } from '../../../memory/space.ts';
import { setStaticKey } from '../jump-labels.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const count = (k: Linux, key: Address): number => k.memory.i32(key);

function enable(k: Linux, key: Address): void {
  if (count(k, key) <= 0) setStaticKey(k, key, 1);
}

function disable(k: Linux, key: Address): void {
  if (count(k, key) === 1) setStaticKey(k, key, 0);
}

function increase(k: Linux, key: Address): boolean {
  setStaticKey(k, key, count(k, key) + 1);
  return true;
}

function decrease(k: Linux, key: Address): void {
  if (count(k, key) <= 0) {
    k.printk(4, 'jump label: negative count!');
    return;
  }
  setStaticKey(k, key, count(k, key) - 1);
}

export const staticKeyFunctions = kernelFunctions({
  'int static_key_count(struct static_key *key)': (k, key) => count(k, key),
  'bool static_key_fast_inc_not_disabled(struct static_key *key)': (k, key) =>
    count(k, key) > 0 ? increase(k, key) : false,
  'bool static_key_slow_inc(struct static_key *key)': (k, key) => increase(k, key),
  'bool static_key_slow_inc_cpuslocked(struct static_key *key)': (k, key) => increase(k, key),
  'void static_key_slow_dec(struct static_key *key)': (k, key) => decrease(k, key),
  'void static_key_slow_dec_cpuslocked(struct static_key *key)': (k, key) => decrease(k, key),
  'void static_key_enable(struct static_key *key)': (k, key) => enable(k, key),
  'void static_key_enable_cpuslocked(struct static_key *key)': (k, key) => enable(k, key),
  'void static_key_disable(struct static_key *key)': (k, key) => disable(k, key),
  'void static_key_disable_cpuslocked(struct static_key *key)': (k, key) => disable(k, key),
});
