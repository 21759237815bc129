/** Drivers that Oracle ships for Solaris, signed: described as readelf sees them, started and stopped with their own code. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FormatError } from '../../src/bytes/errors.ts';
import { readElf } from '../../src/formats/elf/read.ts';
import { describeSolaris, recogniseSolaris } from '../../src/systems/solaris/describe.ts';
import { readSignatures, writeSignatures } from '../../src/systems/solaris/signature.ts';
import { give, start } from '../tools/solaris/shell.ts';
import { describeWith, needsSolarisDrivers, needsTool } from './require.ts';

const read = (path: string) => new Uint8Array(readFileSync(path));

describeWith(needsSolarisDrivers(), 'real Solaris drivers', (folders) => {
  const all = (['amd64', 'i386'] as const).flatMap((isa) =>
    readdirSync(folders[isa]).map((name) => ({ isa, name, path: join(folders[isa], name) })),
  );

  it.each(all)('$isa/$name is described', ({ isa, path }) => {
    const elf = readElf(read(path));
    const found = describeSolaris(elf);
    expect(recogniseSolaris(elf)).toBe(1);
    expect(found).toMatchObject({
      isa,
      directory: 'drv',
      damage: undefined,
      init: true,
      fini: true,
      info: true,
    });
    expect(found.linkages.map(({ kind }) => kind)).toEqual(['driver']);
    expect(found.dependencies.names).toContain('misc/ctf');
    const [signature] = found.signatures;
    expect(signature).toMatchObject({ oid: '1.2.840.113549.1.1.11', version: 9 });
    expect(signature.signer).toContain('O=Oracle America');
    const section = elf.section('.SUNW_signature');
    if (section === undefined) throw new Error('no signature');
    expect(writeSignatures(readSignatures(elf), true)).toEqual(elf.data(section));
  });

  it.each(all)('$isa/$name has the sections and symbols that readelf lists', ({ path }) => {
    if (needsTool('readelf') === undefined) return;
    const elf = readElf(read(path));
    const sections = execFileSync('readelf', ['-SW', path], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const listed = [...sections.matchAll(/^ +\[ *\d+\] (\S+) +\S+ +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+)/gm)];
    expect(elf.sections.slice(1).map(({ name, size }) => [name, size])).toEqual(
      listed.map(([, name, size]) => [name, Number.parseInt(size, 16)]),
    );
    const symbols = execFileSync('readelf', ['-sW', path], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 26,
    });
    const undefinedNames = [...symbols.matchAll(/ UND (\S+)$/gm)].map(([, name]) => name).sort();
    const { imports } = describeSolaris(elf);
    expect(imports.map(({ name }) => name).sort()).toEqual(undefinedNames);
  });

  it.each(['amd64', 'i386'] as const)('start and stop on %s, and reach no missing function', async (isa) => {
    const extra = Object.fromEntries(
      ['vboxguest', 'vboxms'].map((name) => [name, read(join(folders[isa], name))]),
    );
    const session = await start({ isa }, { extra });
    for (const name of ['vboxguest', 'vboxms'])
      expect(await session.load(name, [])).toMatchObject({ code: 0, module: name });
    expect((await give(session, 'modinfo')).out).toMatch(/vboxguest \(VirtualBox GstDrv/);
    for (const name of ['vboxms', 'vboxguest'])
      expect(await session.unload(name)).toMatchObject({ code: 0, leaks: [] });
    expect([...session.kernel.missing.keys()]).toEqual([]);
  });

  it('bring what they need from beside them', async () => {
    const extra = Object.fromEntries(
      ['vboxguest', 'vboxms'].map((name) => [name, read(join(folders.amd64, name))]),
    );
    const session = await start({}, { extra });
    expect(await session.load('vboxms', [])).toMatchObject({ code: 0, module: 'vboxms' });
    expect((await give(session, 'modinfo')).out).toMatch(/vboxguest[\s\S]*vboxms|vboxms[\s\S]*vboxguest/);
  });

  it('damaged, they are clear errors only', async () => {
    const bytes = read(join(folders.amd64, 'vboxms'));
    let seed = Number(process.env.LKM_SEED ?? 1);
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const headers = readElf(bytes).header.shoff;
    for (let round = 0; round < 1500; round++) {
      const damaged = round % 5 === 0 ? bytes.slice(0, random(bytes.length)) : bytes.slice();
      const where = round % 2 === 0 ? headers + random(bytes.length - headers) : random(bytes.length);
      if (where < damaged.length) damaged[where] = random(256);
      try {
        describeSolaris(readElf(damaged));
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
  });
});
