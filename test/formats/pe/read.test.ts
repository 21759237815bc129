import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { peChecksum } from '../../../src/formats/pe/checksum.ts';
import { readExports } from '../../../src/formats/pe/exports.ts';
import { readImports } from '../../../src/formats/pe/imports.ts';
import { peObject } from '../../../src/formats/pe/object.ts';
import { readPe } from '../../../src/formats/pe/read.ts';
import { readRelocations } from '../../../src/formats/pe/relocations.ts';
import { readCertificates } from '../../../src/formats/pe/security.ts';
import { describeDriver } from '../../../src/systems/windows/describe.ts';
import { BUILT, fixture } from '../../systems/windows/fixtures.ts';

describe('readPe', () => {
  it('reads headers, imports and exports of both widths', () => {
    const hello = readPe(fixture('hello.sys'));
    expect(hello.header).toMatchObject({ bits: 64, machine: 0x8664, subsystem: 1, subsystemVersion: [6, 1] });
    expect(readImports(hello)[0].imports.map(({ name }) => name)).toContain('IoCreateDevice');
    const small = readPe(fixture('hello-x86.sys'));
    expect(small.header).toMatchObject({ bits: 32, machine: 0x14c });
    expect(readRelocations(small).every(({ type }) => type === 3)).toBe(true);
    const library = readExports(readPe(fixture('kdll.sys')));
    expect(library?.entries.map(({ name }) => name)).toEqual(['DllInitialize', 'DllUnload', 'KdllAdd']);
  });

  it('adds up the checksum as the linker and osslsigncode do', () => {
    for (const name of readdirSync(BUILT).filter((one) => one.endsWith('.sys'))) {
      const pe = readPe(fixture(name));
      expect([name, pe.header.checksum === peChecksum(pe)]).toEqual([name, name !== 'tampered.sys']);
    }
  });

  it('finds certificates, and gives imports and exports as symbols', () => {
    expect(readCertificates(readPe(fixture('signed.sys')))[0]).toMatchObject({ revision: 0x200, type: 2 });
    const object = peObject(readPe(fixture('user.sys')));
    expect(object.symbols.map(({ name }) => name)).toContain('kdll.sys!KdllAdd');
    expect(object.machine).toBe('x86-64');
  });

  it('answers truncations and mutations with errors of its own', () => {
    let seed = 0x1234567;
    const random = (n: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    const attempt = (bytes: Uint8Array) => {
      try {
        describeDriver(bytes);
        const pe = readPe(bytes);
        const object = peObject(pe);
        for (const { index } of object.sections) object.relocations(index);
        readCertificates(pe);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    };
    for (const name of ['user.sys', 'kdll.sys', 'signed.sys', 'hello-x86.sys']) {
      const good = fixture(name);
      for (let end = 0; end < good.length; end += 37) attempt(good.subarray(0, end));
      for (let i = 0; i < 500; i++) {
        const bad = good.slice();
        for (let n = 0; n <= random(4); n++) bad[random(random(3) === 0 ? bad.length : 0x400)] = random(256);
        attempt(bad);
      }
    }
  });
});
