import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { windowsChecker as checker } from '../../../src/tools/windows/check/checker.ts';
import { BUILT } from '../../systems/windows/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'lkm-windows-'));
afterAll(() => rmSync(folder, { recursive: true }));
const around = { environment: {}, packaged: (path: string) => path };
const at = (name: string) => join(BUILT, name);

async function check(
  kernel: string,
  name: string,
  settings: Readonly<Record<string, string>> = {},
  companions: readonly string[] = [],
) {
  const verdict = await checker.check({
    module: { path: at(name), bytes: new Uint8Array(readFileSync(at(name))) },
    kernel: await checker.open(kernel, around),
    settings: new Map(Object.entries(settings)),
    companions,
  });
  const rules = Object.fromEntries(verdict.rules.map(({ rule, outcome }) => [rule, outcome]));
  return { ...verdict, outcomes: rules };
}

const NTOSKRNL = at('ntoskrnl.exe');

describe('drivers against a kernel file', () => {
  it('load when every rule of the kernel lets them', async () => {
    const { answer, outcomes } = await check(NTOSKRNL, 'hello.sys', { integrity: 'off' });
    expect(answer).toBe('loads');
    expect(outcomes).toMatchObject({ 'image-machine': 'pass', 'code-signing': 'note', imports: 'pass' });
  });

  it('are refused with the status of the first rule that says no, and the rest is not reached', async () => {
    const { answer, rules, outcomes } = await check(NTOSKRNL, 'hello.sys');
    expect(answer).toBe('refused');
    const rule = rules.find(({ outcome }) => outcome === 'refuse');
    expect(rule).toMatchObject({
      rule: 'code-signing',
      error: { name: 'STATUS_INVALID_IMAGE_HASH', number: 0xc0000428 },
    });
    expect(rule?.said[0].text).toMatch(/^\[SC\] StartService FAILED 577: Windows cannot verify/);
    expect(outcomes).toMatchObject({ 'memory-integrity': 'not-reached', imports: 'not-reached' });
    expect((await check(NTOSKRNL, 'hello-x86.sys')).outcomes['image-machine']).toBe('refuse');
  });

  it('say which imports the kernel lacks, and take other drivers of the command line', async () => {
    const timers = await check(NTOSKRNL, 'timers.sys', { integrity: 'off' });
    expect(timers).toMatchObject({ answer: 'refused' });
    expect(timers.symbols.map(({ name }) => name)).toContain('KeSetTimerEx');
    const alone = await check(NTOSKRNL, 'user.sys', { integrity: 'off' });
    expect(alone.missing.map(({ what }) => what)).toEqual([]);
    const missing = await check('builtin:windows-10', 'user.sys', { integrity: 'off' });
    expect(missing).toMatchObject({ answer: 'cannot-tell' });
    expect(missing.missing[0].what).toBe('the exports of kdll.sys');
    const beside = await check('builtin:windows-10', 'user.sys', { integrity: 'off' }, [at('kdll.sys')]);
    expect(beside).toMatchObject({ answer: 'loads', first: [{ name: 'kdll', from: at('kdll.sys') }] });
  });

  it('are signed by somebody whom the kernel trusts, or it cannot be told', async () => {
    const unknown = await check(NTOSKRNL, 'signed.sys');
    expect(unknown).toMatchObject({ answer: 'cannot-tell' });
    expect(unknown.missing[0].what).toBe('the certificates that the kernel trusts');
    expect((await check(NTOSKRNL, 'signed.sys', { roots: at('test-root.pem') })).answer).toBe('loads');
    expect(
      (await check(NTOSKRNL, 'tampered.sys', { roots: at('test-root.pem') })).outcomes['image-checksum'],
    ).toBe('refuse');
    expect(
      (await check(NTOSKRNL, 'hello.sys', { roots: at('test-root.pem'), catalogs: at('hello.cat') })).answer,
    ).toBe('loads');
    expect((await check('builtin:windows-xp', 'hello.sys')).outcomes['image-subsystem-version']).toBe(
      'refuse',
    );
    expect((await check('builtin:windows-7-x86', 'hello-x86.sys')).outcomes['code-signing']).toBe('note');
  });

  it('by a saved kernel as by the kernel itself', async () => {
    const saved = (await checker.open(NTOSKRNL, around)).save?.();
    const path = join(folder, 'ten.kernel');
    writeFileSync(path, saved ?? '');
    expect(checker.recogniseKernel({ path, bytes: new Uint8Array(readFileSync(path)) })).toBe(1);
    expect((await check(path, 'hello.sys', { integrity: 'off' })).answer).toBe('loads');
    expect((await check(path, 'timers.sys', { integrity: 'off' })).answer).toBe('refused');
    writeFileSync(path, (saved ?? new Uint8Array()).subarray(0, 60));
    expect(() => checker.open(path, around)).toThrow('is cut or damaged');
  });
});
