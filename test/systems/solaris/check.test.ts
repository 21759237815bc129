import { describe, expect, it } from 'vitest';
import { readElf } from '../../../src/formats/elf/read.ts';
import { solarisData, solarisFunctions } from '../../../src/systems/solaris/registry.ts';
import { type CheckView, checkModule } from '../../../src/systems/solaris/rules/check.ts';
import { give, module, start } from '../../tools/solaris/shell.ts';

const data = new Set(solarisData.map(({ name }) => name));

const view = (over: Partial<CheckView> = {}): CheckView => ({
  bits: 64,
  primary: (name) => solarisFunctions.has(name) || data.has(name),
  module: (name) => (name === 'misc/tally' ? readElf(module('misc/amd64/tally')) : undefined),
  excluded: [],
  major: (driver) => (driver === 'echo' ? 200 : undefined),
  systemCall: () => undefined,
  signatures: { policy: 'none', verdict: () => undefined },
  ...over,
});

const check = (name: string, over: Partial<CheckView> = {}) =>
  checkModule(view(over), module(name), `/usr/kernel/${name}`);
const refusedBy = (name: string, over: Partial<CheckView> = {}) =>
  check(name, over).find(({ verdict }) => verdict === 'refuse')?.rule;

describe('would it load', () => {
  it.each([
    'misc/amd64/hello',
    'misc/amd64/teller',
    'misc/amd64/oldteller',
    'drv/amd64/echo',
    'fs/amd64/tinyfs',
  ])('%s: yes', (name) => expect(refusedBy(name)).toBeUndefined());

  it('no, and by which rule', () => {
    expect(refusedBy('misc/amd64/stray')).toBe('symbols');
    expect(refusedBy('misc/amd64/teller', { module: () => undefined })).toBe('symbols');
    expect(refusedBy('drv/amd64/loopy')).toBe('no-major');
    expect(refusedBy('sys/amd64/pair')).toBe('no-number');
    expect(refusedBy('misc/hello')).toBe('isa');
    expect(refusedBy('misc/sparcv9/hello')).toBe('isa');
    expect(refusedBy('misc/amd64/hello', { excluded: ['misc/hello'] })).toBe('excluded');
    expect(
      refusedBy('misc/amd64/hello', { signatures: { policy: 'enforce', verdict: () => undefined } }),
    ).toBe('signature-unsigned');
    expect(check('misc/amd64/nofini').map(({ rule }) => rule)).toContain('no-fini');
  });

  it('says what the kernel says', async () => {
    const session = await start();
    await give(session, 'modload -p misc/stray');
    const [undefinedSymbols] = check('misc/amd64/stray').filter(({ rule }) => rule === 'symbols');
    expect(session.kernel.log.records.map(({ text }) => text).slice(0, 3)).toEqual(undefinedSymbols.said);
  });
});
