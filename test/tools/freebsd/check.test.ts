/** `lkm check` says what a load says: the same answer, the same words, over the file of a kernel alone. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { isKernelFile, readKernelFile } from '../../../src/systems/freebsd/kernelfile.ts';
import type { Verdict } from '../../../src/tools/check.ts';
import { freebsdChecker } from '../../../src/tools/freebsd/check/checker.ts';
import { startSession } from './session.ts';

const built = fileURLToPath(new URL('../../../fixtures/freebsd/built/', import.meta.url));
const modules = readdirSync(built).filter((name) => name.endsWith('.ko'));
const around = { environment: {}, packaged: (path: string) => path };
const kernel = await freebsdChecker.open(join(built, 'kernel-13.2'), around);

async function check(name: string, settings: Record<string, string> = {}, on = kernel): Promise<Verdict> {
  const path = join(built, name);
  return await freebsdChecker.check({
    module: { path, bytes: new Uint8Array(readFileSync(path)) },
    kernel: on,
    companions: modules.map((one) => join(built, one)),
    settings: new Map(Object.entries(settings)),
  });
}

/** Lines of the linker itself; what a module says, and what becomes of its start, is not the check's. */
const OF_LINKER = /^(KLD |link_elf|linker_load_file|kldload: |interface |module_register: )/;

describe('lkm check on FreeBSD', () => {
  it.each(modules)('agrees with the load: %s', async (name) => {
    const session = await startSession({
      release: '1302001',
      missing: 'refuse',
      machine: 'amd64',
    });
    await session.load(name, []);
    const linker = session.kernel.log.records.map(({ text }) => text).filter((line) => OF_LINKER.test(line));
    const verdict = await check(name);
    const said = verdict.rules.flatMap((rule) => rule.said.map(({ text }) => text));
    const plain = (line: string) => line.replaceAll(built, '').replaceAll('/boot/modules/', '');
    expect(said.map(plain)).toEqual(linker.map(plain));
    expect(verdict.answer).toBe(linker.length === 0 ? 'loads' : 'refused');
  });

  it('knows the kernel version rule: built for 13.2, refused on 14.0', async () => {
    const next = await freebsdChecker.open(join(built, 'kernel-14.0'), around);
    const verdict = await check('hello.ko', {}, next);
    const refusing = verdict.rules.find(({ outcome }) => outcome === 'refuse');
    expect(refusing?.rule).toBe('kernel-version');
    expect(refusing?.error).toEqual({ name: 'ENOEXEC', number: 8 });
    expect(refusing?.why).toContain('of a later major version');
    expect(verdict.rules.filter(({ outcome }) => outcome === 'not-reached').length).toBeGreaterThan(0);
  });

  it('names what has to be loaded first, and who has a symbol that was not asked for rightly', async () => {
    expect((await check('importer.ko')).first.map(({ name }) => name)).toEqual(['exporter.ko']);
    const { symbols } = await check('undeclared.ko');
    expect(symbols).toMatchObject([{ name: 'exporter_add', kind: 'other', owner: 'exporter.ko' }]);
  });

  it('refuses everything from securelevel 1 on', async () => {
    const verdict = await check('hello.ko', { securelevel: '1' });
    expect(verdict.rules[0]).toMatchObject({ outcome: 'refuse', error: { name: 'EPERM' } });
    expect(() =>
      freebsdChecker.check({
        module: { path: 'x', bytes: new Uint8Array(0) },
        kernel,
        settings: new Map([['securelevel', '9']]),
      }),
    ).toThrow('no level');
  });

  it('reads the file of a kernel, compressed too, and no module', () => {
    const bytes = new Uint8Array(readFileSync(join(built, 'kernel-13.2')));
    const file = readKernelFile(new Uint8Array(gzipSync(bytes)), 'kernel.gz');
    expect(file).toMatchObject({ version: 1302001, machine: 'amd64', bits: 64 });
    expect(file.interfaces).toContainEqual(expect.objectContaining({ name: 'pci', version: 1 }));
    expect([...file.modules]).toEqual(['pci']);
    expect([file.has('printf'), file.has('nothing')]).toEqual([true, false]);
    expect(isKernelFile(new Uint8Array(readFileSync(join(built, 'hello.ko'))))).toBe(false);
  });

  it('ends in a verdict for every damaged module', async () => {
    const whole = new Uint8Array(readFileSync(join(built, 'importer.ko')));
    for (let at = 0; at < whole.length; at += 37) {
      const bytes =
        at % 2 === 0 ? whole.slice(0, at) : whole.map((byte, i) => (i === at ? byte ^ 0xff : byte));
      const verdict = await freebsdChecker.check({
        module: { path: 'bad.ko', bytes },
        kernel,
        settings: new Map(),
      });
      expect(['loads', 'refused', 'cannot-tell']).toContain(verdict.answer);
    }
  });
});
