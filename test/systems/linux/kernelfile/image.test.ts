import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../../src/bytes/errors.ts';
import { ExportTable } from '../../../../src/systems/linux/kernelfile/exports.ts';
import { readImage } from '../../../../src/systems/linux/kernelfile/image.ts';
import { region } from '../../../../src/systems/linux/kernelfile/kernelfile.ts';
import { DATA, EXPORTS, RODATA, smallKernel, TEXT } from './small-kernel.ts';

describe('a kernel image', () => {
  const kernel = readImage(smallKernel({ strings: ['Module %s is blacklisted'] }), { origin: 'small' });

  it('tells release, banner and vermagic with its trailing space', () => {
    expect(kernel.release).toBe('6.1.0-small');
    expect(kernel.banner).toMatch(/^Linux version 6\.1\.0-small .*2026-01-01\)$/);
    expect(kernel.vermagic).toBe('6.1.0-small SMP preempt mod_unload modversions ');
    expect([kernel.machine, kernel.bits, kernel.littleEndian]).toEqual(['x86-64', 64, true]);
  });

  it('has its exports with CRC, licence, namespace and kind, names merged by suffix too', () => {
    expect(kernel.exports.size).toBe(EXPORTS.length);
    for (const { name, address, crc, gplOnly = false, namespace = '' } of EXPORTS) {
      expect(kernel.exports.find(name)).toMatchObject({ name, address, crc, gplOnly, namespace });
    }
    const kinds = ['kfree', 'jiffies', 'this_cpu_off'].map((name) => kernel.exports.find(name)?.kind);
    expect(kinds).toEqual(['function', 'data', 'percpu']);
    expect(kernel.exports.find('kfre')).toBeUndefined();
    expect(kernel.exports.find('zzz')).toBeUndefined();
  });

  it('finds what lies at an address', () => {
    expect(kernel.nearest(TEXT + 0x45)).toEqual({
      name: 'free',
      address: TEXT + 0x40,
      size: 0x40,
      module: undefined,
    });
    expect(kernel.exports.atAddress(TEXT + 0x10)?.name).toBe('kfree');
    expect(kernel.exports.atAddress(TEXT + 0x11)).toBeUndefined();
    expect(kernel.nearest(TEXT - 1)).toBeUndefined();
  });

  it('maps its sections, and reads bytes at link addresses', () => {
    expect(region(kernel, 'text')).toEqual({ base: TEXT, size: 0x100 });
    expect(region(kernel, 'percpu')).toEqual({ base: 0, size: 64 });
    expect(kernel.read(RODATA + 1, 5)).toEqual(new TextEncoder().encode('Linux'));
    expect(kernel.read(DATA + 0x1000, 4)).toEqual(new Uint8Array(4));
    expect(kernel.read(DATA + 0x10f0, 64)).toBeUndefined();
  });

  it('reads types when they are asked for', () => {
    expect(kernel.moduleBytes).toBe(60);
    expect(kernel.types.offset('module.state')).toBe(56);
    expect(kernel.percpu).toEqual([{ name: 'this_cpu_off', offset: 0x18, size: 4 }]);
  });

  it('has the loader rules that its own strings and types show, with the reason', () => {
    const of = (rule: string) => kernel.evidence.find((e) => e.rule === rule)!;
    // A kernel that shares loads (6.5) also looks for duplicates early (6.4), whatever its compiler inlined.
    const rules = ['blacklist', 'symbol-versions', 'unload', 'early-duplicate-check', 'idempotent-load'];
    expect([...kernel.rules]).toEqual(rules);
    expect(of('blacklist').because).toContain('contains "Module %s is blacklisted"');
    expect(of('this-module-size')).toMatchObject({ present: false });
  });

  it('believes a configuration more than strings', () => {
    const text =
      'CONFIG_MODULE_SIG_FORCE=y\nCONFIG_LOCALVERSION="-\\"x\\""\n# CONFIG_MODULE_UNLOAD is not set\n';
    const inside = readImage(smallKernel({ config: text }));
    expect(inside.config?.get('CONFIG_LOCALVERSION')).toBe('-"x"');
    expect(inside.rules.has('signature-required')).toBe(true);
    expect(inside.rules.has('unload')).toBe(false);
    const beside = readImage(smallKernel(), { config: text });
    expect([...beside.config!]).toEqual([...inside.config!]);
  });
});

describe.each([
  ['relative, without namespaces', { namespaces: false }],
  ['pointers', { pointers: true }],
  ['pointers, without namespaces', { pointers: true, namespaces: false }],
  ['32-bit pointers', { pointers: true, bits: 32 }],
  ['big-endian', { littleEndian: false }],
] as const)('an export table of another shape: %s', (_, shape) => {
  it('is read the same', () => {
    const { exports } = readImage(smallKernel(shape));
    const unsigned = (address: number) =>
      shape === undefined || !('bits' in shape) ? address : address >>> 0;
    for (const { name, address, crc, namespace = '' } of EXPORTS) {
      const expected = 'namespaces' in shape ? '' : namespace;
      expect(exports.find(name)).toMatchObject({ address: unsigned(address), crc, namespace: expected });
    }
  });
});

describe('what is no kernel image', () => {
  it('is refused in words', () => {
    expect(() => readImage(smallKernel({ release: 'x' }))).toThrow(/not a Linux kernel/);
    expect(() => readImage(new Uint8Array(10))).toThrow(FormatError);
  });

  it('every truncation is refused or read, never anything else', () => {
    const bytes = smallKernel();
    for (let length = 0; length < bytes.length; length += 7) {
      try {
        const kernel = readImage(bytes.subarray(0, length));
        [...kernel.exports];
        kernel.moduleBytes;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
  });
});

describe('an export table', () => {
  it('gives the first by name where several share an address', () => {
    const row = { crc: undefined, gplOnly: false, namespace: '', kind: 'function' } as const;
    const table = ExportTable.from(
      ['b', 'a', 'c'].map((name) => ({ ...row, name, address: name === 'c' ? 9 : 5 })),
    );
    expect(table.nearest(6)?.name).toBe('a');
    expect(table.at(0)).toMatchObject({ name: 'a', crc: undefined, isFunction: true });
    expect(table.next(5)).toBe(9);
    expect(table.next(9)).toBeUndefined();
  });
});
