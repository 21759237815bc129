import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../../src/bytes/errors.ts';
import { kernelFromParts } from '../../../../src/systems/linux/kernelfile/parts.ts';
import { decode, encode } from '../../../../src/systems/linux/kernelfile/saved.ts';
import {
  readStableList,
  readSymvers,
  readSystemMap,
} from '../../../../src/systems/linux/kernelfile/symvers.ts';
import fc from '../../../properties.ts';

const SYMVERS = [
  '0x92997ed8\t_printk\tvmlinux\tEXPORT_SYMBOL\t',
  '0x11111111\tkobject_put\tvmlinux\tEXPORT_SYMBOL_GPL\t',
  '0x22222222\tusb_register_driver\tdrivers/usb/core/usbcore\tEXPORT_SYMBOL_GPL\t',
  '0x33333333\tcxl_thing\tvmlinux\tEXPORT_SYMBOL_GPL\tCXL',
].join('\n');

const CONFIG = `#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.192 Kernel Configuration
#
CONFIG_X86_64=y
CONFIG_SMP=y
CONFIG_PREEMPT_BUILD=y
CONFIG_MODULE_UNLOAD=y
CONFIG_MODVERSIONS=y
CONFIG_MODULE_SIG=y
# CONFIG_MODULE_SIG_FORCE is not set
`;

describe('Module.symvers', () => {
  it('says who exports what, with which version', () => {
    expect(readSymvers(SYMVERS).slice(1, 4)).toEqual([
      { name: 'kobject_put', owner: 'vmlinux', crc: 0x11111111, gplOnly: true, namespace: '' },
      { name: 'usb_register_driver', owner: 'usbcore', crc: 0x22222222, gplOnly: true, namespace: '' },
      { name: 'cxl_thing', owner: 'vmlinux', crc: 0x33333333, gplOnly: true, namespace: 'CXL' },
    ]);
  });

  it('is read in its older forms', () => {
    expect(readSymvers('0x00000001\ta\tfs/b-c\tEXPORT_SYMBOL\r\n')).toMatchObject([
      { owner: 'b_c', namespace: '' },
    ]);
    expect(readSymvers('0x00000001\ta\tNS\tfs/b\tEXPORT_SYMBOL_GPL')).toMatchObject([
      { owner: 'b', namespace: 'NS', gplOnly: true },
    ]);
  });

  it('is refused where a line is something else', () => {
    expect(() => readSymvers(`${SYMVERS}\nnonsense`)).toThrow(/line 5/);
    expect(() => readSymvers('0x1\ta\tvmlinux\tEXPORT_SYMBOL')).toThrow(FormatError);
    fc.assert(fc.property(fc.string(), (text) => typedErrors(() => readSymvers(text))));
  });
});

function typedErrors(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
  }
}

describe('System.map and stable lists', () => {
  it('name exports', () => {
    const map =
      'ffffffff81000000 T _printk\nffffffff82000000 r __ksymtab__printk\n00000000deadbeef A __crc__printk\n';
    expect(readSystemMap(map)).toEqual({
      bits: 64,
      exports: [{ name: '_printk', address: -0x7f000000, crc: 0xdeadbeef }],
    });
    expect(() => readSystemMap('ffffffffffffffff B The real System.map is in the X package\n')).toThrow(
      /X package/,
    );
    fc.assert(fc.property(fc.string(), (text) => typedErrors(() => readSystemMap(text))));
  });

  it('come in two forms', () => {
    expect(readStableList('[rhel9_x86_64_stablelist]\n\tkmalloc\n\t_printk\n')).toEqual([
      { name: 'kmalloc', crc: undefined },
      { name: '_printk', crc: undefined },
    ]);
    expect(readStableList('0x92997ed8\t_printk\tvmlinux\tEXPORT\n')).toEqual([
      { name: '_printk', crc: 0x92997ed8 },
    ]);
    expect(() => readStableList('?what is this')).toThrow(FormatError);
  });
});

describe('a kernel of parts', () => {
  it('has the vermagic that its configuration makes', () => {
    const kernel = kernelFromParts({
      config: CONFIG,
      symvers: SYMVERS,
      release: '6.1.0-1-amd64',
      origin: 'test',
    });
    expect(kernel.vermagic).toBe('6.1.0-1-amd64 SMP preempt mod_unload modversions ');
    expect(kernel.machine).toBe('x86-64');
    expect([...(kernel.gaps ?? [])]).toEqual([]);
    expect(kernel.rules.has('symbol-versions')).toBe(true);
    expect(kernel.undecided?.has('signature-required')).toBe(false);
    expect(kernel.undecided?.has('this-module-size')).toBe(true);
    const arm = CONFIG.replace('X86_64', 'ARM64').replace('CONFIG_PREEMPT_BUILD=y', '');
    expect(kernelFromParts({ config: arm, release: 'r', origin: 't' }).vermagic).toBe(
      'r SMP mod_unload modversions aarch64',
    );
  });

  it('says what is missing', () => {
    const gaps = (parts: object) => [...(kernelFromParts({ origin: 't', ...parts }).gaps ?? [])].sort();
    expect(gaps({ symvers: SYMVERS })).toEqual(['machine', 'vermagic']);
    expect(gaps({ config: CONFIG })).toEqual(['exports', 'gpl', 'namespaces', 'release', 'versions']);
    const extract =
      '0x12345678\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n0x00000002\tx\tdrivers/x/x-y\tEXPORT_SYMBOL_GPL\tNS\n';
    expect(gaps({ stableList: extract })).toContain('exports');
    expect(gaps({ stableList: extract })).not.toContain('gpl');
    expect(kernelFromParts({ stableList: extract, origin: 'x' }).modules?.find('x')).toMatchObject({
      owner: 'x_y',
      gplOnly: true,
      namespace: 'NS',
    });
    expect(gaps({ stableList: '[l]\n\t_printk\n' })).toContain('exports');
    expect(() => kernelFromParts({ config: 'nothing', origin: 't' })).toThrow(FormatError);
    expect(() => kernelFromParts({ symvers: '', origin: 't' })).toThrow(FormatError);
  });

  it('is saved and opened again with its modules and gaps', () => {
    const kernel = kernelFromParts({ symvers: SYMVERS, origin: 'test' });
    const again = decode(encode(kernel, { types: 'all', config: 'all' }).bytes);
    expect(again.modules?.find('usb_register_driver')).toEqual(kernel.modules?.find('usb_register_driver'));
    expect(again.exports.find('cxl_thing')).toMatchObject({
      crc: 0x33333333,
      namespace: 'CXL',
      gplOnly: true,
    });
    expect([...(again.gaps ?? [])].sort()).toEqual(['machine', 'vermagic']);
    expect(again.undecided).toEqual(kernel.undecided);
  });

  it('counts zeros as no versions', () => {
    const kernel = kernelFromParts({ symvers: SYMVERS.replace(/0x\w+/g, '0x00000000'), origin: 't' });
    expect(kernel.exports.find('_printk')?.crc).toBeUndefined();
    expect(kernel.rules.has('symbol-versions')).toBe(false);
  });
});
