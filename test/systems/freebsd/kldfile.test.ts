import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { readElfObject } from '../../../src/formats/elf/object.ts';
import { KldFile } from '../../../src/systems/freebsd/kldfile.ts';
import { fixture, kldOf } from './fixtures.ts';

/** What the macros of hello.c say, in the order of the set. */
const HELLO = [
  { kind: 'depend', name: 'kernel', minimum: 1302001, preferred: 1302001, maximum: 1399999 },
  { kind: 'module', name: 'hello', registered: 'hello' },
  { kind: 'version', name: 'hello', version: 1 },
];

describe('the linker sets of a module', () => {
  it.each(['hello.ko', 'shared.ko', 'hello32.ko'])('are the same in every kind of file: %s', (name) => {
    const kld = kldOf(name);
    expect(kld.metadata).toEqual(HELLO);
    expect(kld.builtFor).toBe(1302001);
    expect(kld.sysinits()).toEqual([
      { subsystem: 0x3100000, order: 0x1000000, function: 'module_register_init' },
    ]);
  });

  it('has dependencies with their bounds', () => {
    expect(kldOf('importer.ko').depends).toContainEqual({
      kind: 'depend',
      name: 'exporter',
      minimum: 2,
      preferred: 3,
      maximum: 4,
    });
  });

  it('has the names that modules register under', () => {
    expect(kldOf('newcall.ko').modules[0]).toMatchObject({ name: 'newcall', registered: 'sys/newcall' });
  });

  it('has the functions of the other sets', () => {
    const names = (set: 'sysinit_set' | 'sysuninit_set') =>
      kldOf('echo.ko')
        .sysinits(set)
        .map((one) => one.function);
    expect(names('sysinit_set').sort()).toEqual(['malloc_init', 'module_register_init']);
    expect(names('sysuninit_set')).toEqual(['malloc_uninit']);
  });

  it('never fails with anything but a FormatError on damaged files', () => {
    let seed = Number(process.env.LKM_SEED ?? 7);
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed % below;
    };
    let refused = 0;
    for (const name of ['hello.ko', 'echo.ko', 'pnp.ko', 'hello32.ko', 'shared.ko']) {
      const good = fixture(name);
      for (let round = 0; round < 600; round++) {
        const bytes = round % 4 === 0 ? good.slice(0, random(good.length)) : good.slice();
        for (let i = 0; i < 4 && bytes.length > 0; i++) bytes[random(bytes.length)] = random(256);
        try {
          const kld = new KldFile(readElfObject(bytes));
          kld.sysinits();
          kld.sets();
        } catch (error) {
          if (!(error instanceof FormatError)) throw new Error(`seed ${seed}, ${name}`, { cause: error });
          refused++;
        }
      }
    }
    expect(refused).toBeGreaterThan(100);
  });
});
