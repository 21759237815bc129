/** What compilers call without being asked: operators new and delete, divisions of 64 bits, the end of a program. */
import { definer } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { ERRNO } from '../errno.ts';
import { noneFor } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';
import { taskDelete } from './tasks.ts';

const functions = definer<VxWorks>();

const take = (k: VxWorks, bytes: number): number => {
  // Every object has an address of its own.
  const at = k.allocate(Math.max(1, bytes), k.caller);
  return at === 0 ? noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY) : at;
};

const give = (k: VxWorks, at: number): void => {
  if (at !== 0) k.pool.free(at);
};

/** Itanium C++ ABI: j is unsigned int, m unsigned long, which is what size_t is; gcc 2 had names of its own. */
export const runtimeFunctions = functions({
  'void *_Znwj(size_t bytes)': take,
  'void *_Znaj(size_t bytes)': take,
  'void *_Znwm(size_t bytes)': take,
  'void *_Znam(size_t bytes)': take,
  'void *__builtin_new(size_t bytes)': take,
  'void *__builtin_vec_new(size_t bytes)': take,
  'void _ZdlPv(void *at)': give,
  'void _ZdaPv(void *at)': give,
  'void _ZdlPvj(void *at, size_t bytes)': give,
  'void _ZdaPvj(void *at, size_t bytes)': give,
  'void _ZdlPvm(void *at, size_t bytes)': give,
  'void _ZdaPvm(void *at, size_t bytes)': give,
  'void __builtin_delete(void *at)': give,
  'void __builtin_vec_delete(void *at)': give,
  'void abort(void)': (k) => taskDelete(k, 0, true),
  // The words are those of the GNU library's run-time support.
  'void __cxa_pure_virtual(void)': function* (k): Steps<number> {
    k.console.say('pure virtual method called');
    return yield* taskDelete(k, 0, true);
  },
  'unsigned long long __udivdi3(unsigned long long a, unsigned long long b)': (k, a, b) =>
    b === 0n ? divisionByZero(k) : a / b,
  'unsigned long long __umoddi3(unsigned long long a, unsigned long long b)': (k, a, b) =>
    b === 0n ? divisionByZero(k) : a % b,
  'long long __divdi3(long long a, long long b)': (k, a, b) =>
    b === 0n ? divisionByZero(k) : BigInt.asIntN(64, a / b),
  'long long __moddi3(long long a, long long b)': (k, a, b) => (b === 0n ? divisionByZero(k) : a % b),
});

/** The routine divides by the instruction, whose exception this is. */
function divisionByZero(k: VxWorks): bigint {
  const thread = k.scheduler.current;
  if (thread !== undefined) k.trap(thread, 0);
  return 0n;
}
