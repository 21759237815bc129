/** Calls kernel functions by name on a booted kernel, without any machine code. */
import { readFileSync } from 'node:fs';
import type { VarArgs } from '../../../../src/abi/convention.ts';
import { isSteps, type Steps } from '../../../../src/kernel/steps.ts';
import { bootLinux } from '../../../../src/systems/linux/bootkernel.ts';
import { decode } from '../../../../src/systems/linux/kernelfile/saved.ts';
import type { Linux } from '../../../../src/systems/linux/linux.ts';
import { linuxFunctions } from '../../../../src/systems/linux/registry.ts';

const profile = decode(new Uint8Array(readFileSync('profiles/debian-6.1.kernel')));

export function boot(): Linux {
  return bootLinux(profile, { seed: 7 });
}

export type Value = number | bigint;

/** Values as a variable argument list. */
export function varArgs(values: readonly Value[], at = 0): VarArgs {
  let next = at;
  const big = () => BigInt.asUintN(64, BigInt(values[next++] ?? 0));
  return {
    i32: () => Number(BigInt.asIntN(32, big())),
    u32: () => Number(BigInt.asUintN(32, big())),
    long: () => Number(BigInt.asIntN(64, big())),
    pointer: () => Number(BigInt.asIntN(64, big())),
    i64: () => BigInt.asIntN(64, big()),
    u64: big,
    f64: () => 0,
    copy: () => varArgs(values, next),
  };
}

/** Calls a kernel function in a task of its own, to its end. */
export function call(k: Linux, name: string, ...args: (Value | VarArgs)[]): Value {
  return k.runTask('test', callSteps(k, name, ...args));
}

export function* callSteps(k: Linux, name: string, ...args: (Value | VarArgs)[]): Steps<Value> {
  const handler = linuxFunctions.get(name)?.handler as
    | ((k: Linux, ...args: unknown[]) => unknown)
    | undefined;
  if (handler === undefined) throw new Error(`no kernel function ${name}`);
  const result = handler(k, ...args);
  const value = isSteps(result) ? yield* result : result;
  if (typeof value === 'boolean') return Number(value);
  return (value ?? 0) as Value;
}

/** A string in guest memory. */
export function text(k: Linux, value: string): number {
  const bytes = new TextEncoder().encode(`${value}\0`);
  const at = k.heap.allocate(bytes.length);
  k.memory.write(at, bytes);
  return at;
}

/** What sprintf makes of a format and its arguments. */
export function sprintf(k: Linux, format: string, ...args: Value[]): string {
  const buffer = k.heap.allocate(1024);
  call(k, 'snprintf', buffer, 1024, text(k, format), varArgs(args));
  return k.memory.cstring(buffer);
}
