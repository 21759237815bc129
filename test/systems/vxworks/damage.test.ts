/** Damaged modules: they are refused, or loaded and called, and nothing else happens. */
import { describe, expect, it } from 'vitest';
import { describeModule } from '../../../src/systems/vxworks/describe.ts';
import { LoadRefused, readModule } from '../../../src/systems/vxworks/load.ts';
import { vxworks } from '../../../src/tools/vxworks/native.ts';
import type { VxWorksSession } from '../../../src/tools/vxworks/session.ts';
import { mutations } from '../../real/mutate.ts';
import { fixture } from '../../tools/vxworks/shell.ts';

const FULL = process.env.LKM_FULL === '1';

function loading(bytes: Uint8Array): VxWorksSession {
  const files = { read: () => bytes, list: () => undefined, stat: () => undefined };
  const session = vxworks.start({ files, settings: new Map([['machine', 'i386']]) }) as VxWorksSession;
  // Damaged code may loop; a short patience keeps the test short.
  session.kernel.scheduler.instructionBudget = 1_000_000;
  session.kernel.scheduler.settleBudget = 1_000_000;
  session.kernel.scheduler.runBudget = 10_000_000;
  return session;
}

describe('damage', () => {
  it('is described or refused with a reason', () => {
    for (const path of [
      'i386/ramdev.o',
      'ppc/hello.o',
      'arm/hello.o',
      'statics.o',
      'common.o',
      'coff/addThem.o',
    ]) {
      const bytes = fixture(path) ?? new Uint8Array(0);
      for (const { bytes: damaged, what } of mutations(bytes, 21, { count: FULL ? 20_000 : 1000 })) {
        try {
          describeModule(readModule(damaged));
        } catch (error) {
          if (!(error instanceof LoadRefused)) throw new Error(`${path}: ${what}`, { cause: error });
        }
      }
    }
  }, 600_000);

  it('never gets through the loader or the shell', () => {
    const bytes = fixture('i386/hello.o') ?? new Uint8Array(0);
    for (const { bytes: damaged, what } of mutations(bytes, 22, { count: FULL ? 20_000 : 250 })) {
      const session = loading(damaged);
      expect(() => session.line('ld < x.o'), what).not.toThrow();
      expect(() => session.line('hello "Ada"'), what).not.toThrow();
      expect(() => session.line('unld "x.o"'), what).not.toThrow();
    }
  }, 3_600_000);
});
