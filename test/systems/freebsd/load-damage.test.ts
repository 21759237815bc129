/** Damaged modules are loaded: whatever they do, it ends in a result, and the kernel is an object that can be thrown away. */
import { expect, it } from 'vitest';
import { bootFreeBsd } from '../../../src/systems/freebsd/boot.ts';
import { kldload, kldunload, performCall } from '../../../src/systems/freebsd/syscalls.ts';
import { fixture } from './fixtures.ts';

it('ends in a result for every damaged module', { timeout: 120_000 }, () => {
  let seed = Number(process.env.LKM_SEED ?? 11);
  const random = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed >>> 8) % below;
  };
  const outcomes = new Map<string, number>();
  for (const name of ['hello.ko', 'echo.ko', 'busy.ko', 'hello32.ko', 'shared.ko']) {
    const good = fixture(name);
    for (let round = 0; round < 40; round++) {
      const bytes = good.slice();
      for (let i = 0; i < 1 + random(3); i++) bytes[random(bytes.length)] = random(256);
      const files = { read: (path: string) => (path === '/boot/modules/m.ko' ? bytes : undefined) };
      const bits = name === 'hello32.ko' ? 32 : 64;
      const booted = bootFreeBsd({ version: 1302001, bits, files, ramMiB: 16 });
      booted.k.scheduler.instructionBudget = 200_000;
      booted.k.scheduler.runBudget = 2_000_000;
      const before = seed;
      try {
        const loaded = performCall(booted, 'kldload', kldload(booted, 'm.ko'));
        outcomes.set(loaded.outcome, (outcomes.get(loaded.outcome) ?? 0) + 1);
        if (loaded.outcome === 'done') performCall(booted, 'kldunload', kldunload(booted, loaded.value));
      } catch (error) {
        throw new Error(`${name}, seed ${before}`, { cause: error });
      }
    }
  }
  expect(outcomes.get('failed')).toBeGreaterThan(10);
  expect(outcomes.get('done')).toBeGreaterThan(10);
});
