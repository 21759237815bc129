/** Modules that go wrong, and files that are damaged. */

import { describe, expect, it } from 'vitest';
import { newlyStanding, standingNow } from '../../../src/kernel/standing.ts';
import { give, module, start } from './shell.ts';

const text = (value: string) => new TextEncoder().encode(value);
const withKind = (kind: number, isa = 'amd64') =>
  start({ isa, system: 's' }, { extra: { s: text(`set oops:kind = ${kind}\n`) } });

describe('a module that goes wrong', () => {
  it.each(['amd64', 'i386'])('brings a machine down by a null pointer (%s)', async (isa) => {
    const session = await withKind(0, isa);
    const result = await give(session, 'modload -p misc/oops');
    expect(result).toMatchObject({
      code: 137,
      note: expect.stringContaining('#pf Page fault in oops:_init+'),
    });
    const log = session.kernel.log.records.map((record) => record.text).join('\n');
    expect(log).toContain('BAD TRAP: type=e (#pf Page fault) rp=');
    expect(log).toContain('addr=0 occurred in module "oops" due to a NULL pointer dereference');
    expect(await give(session, 'modinfo')).toMatchObject({
      code: 255,
      note: expect.stringContaining('panicked'),
    });
    expect((await give(session, 'dmesg')).code).toBe(0);
  });

  it.each([
    [1, 'recursive mutex_enter'],
    [2, 'kernel heap corruption detected'],
    [5, 'oops: kind 5'],
  ])('kind %i: panic, %s', async (kind, words) => {
    const session = await withKind(kind);
    expect((await give(session, 'modload -p misc/oops')).code).toBe(137);
    expect(session.kernel.log.records.map((record) => record.text).join('\n')).toContain(words);
    expect(session.kernel.panicked).toBeDefined();
  });

  it('is stopped when it runs without an end', async () => {
    const session = await withKind(3);
    session.kernel.scheduler.instructionBudget = 100_000;
    expect((await give(session, 'modload -p misc/oops')).note).toContain('runs without an end');
  });

  it('is told what it did not give back', async () => {
    const session = await withKind(4);
    expect((await give(session, 'modload -p misc/oops')).code).toBe(0);
    const { leaks } = await session.unload('oops');
    expect(leaks).toMatchObject([{ what: 'kmem', bytes: 64 }]);
  });
});

it('a module that forgets to take things back is told of', async () => {
  const session = await start();
  const before = standingNow(session.standing());
  expect((await give(session, 'modload -p misc/forgetful')).code).toBe(0);
  const during = standingNow(session.standing());
  const { code, leaks } = await session.unload('forgetful');
  expect({ code, leaks }).toMatchObject({ code: 0, leaks: [{ what: 'kmem' }, {}, {}] });
  const left = newlyStanding(before, during, standingNow(session.standing()));
  expect(left.map(({ what, name }) => `${what} ${name}`)).toEqual([
    'kstat forgetful:0:left',
    expect.stringMatching(/^timeout forgetful:never/),
    'task queue forgotten',
    'kmem cache forgetful_cache',
  ]);
});

it('a module that takes everything back leaves nothing', async () => {
  const session = await start();
  const before = standingNow(session.standing());
  for (const name of ['echo', 'ramdisk', 'packets', 'loopy']) {
    expect((await give(session, `add_drv ${name}`)).code).toBe(0);
    expect((await give(session, `rem_drv ${name}`)).code).toBe(0);
  }
  expect((await give(session, 'modload -p misc/ticker')).code).toBe(0);
  expect(await session.unload('ticker')).toMatchObject({ code: 0, leaks: [] });
  expect((await give(session, 'modunload -i 0')).code).toBe(0);
  const now = standingNow(session.standing());
  expect(newlyStanding(before, now, now)).toEqual([]);
});

it('damaged files are clear answers only', async () => {
  let seed = Number(process.env.LKM_SEED ?? 1);
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const names = [
    'misc/amd64/hello',
    'drv/amd64/echo',
    'fs/amd64/tinyfs',
    'misc/amd64/teller',
    'strmod/amd64/upper',
  ];
  let session = await start();
  for (let round = 0; round < 250; round++) {
    if (session.kernel.panicked !== undefined || round % 50 === 49) session = await start();
    const name = names[random(names.length)];
    const whole = module(name);
    const bytes = random(6) === 0 ? whole.slice(0, random(whole.length)) : whole.slice();
    for (let i = random(3); i >= 0 && bytes.length > 0; i--) bytes[random(bytes.length)] = random(256);
    session.files.write(`/usr/kernel/${name}`, bytes);
    const result = await give(session, `modload -p ${name.replace('/amd64', '')}`);
    if (result.code !== 0) expect(result.err + (result.note ?? '')).not.toBe('');
    else await give(session, 'modinfo');
  }
}, 60_000);
