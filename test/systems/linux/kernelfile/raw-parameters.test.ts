/** The kernel's own parameters in images without section headers, by addresses in place and by a table of relocations. */
import { describe, expect, it } from 'vitest';
import { rawParameters } from '../../../../src/systems/linux/kernelfile/raw-parameters.ts';

const NAMES = [
  'initcall_debug',
  'workqueue.power_efficient',
  'printk.time',
  'printk.devkmsg',
  'rcupdate.rcu_expedited',
  'module.sig_enforce',
  '8250.nr_uarts',
  'random.ratelimit_disable',
  'block.events_dfl_poll_msecs',
];
const STRINGS = 0x100;
const TABLE = 0x400;
const RELOCATIONS = 0x800;
const VARIABLE = 0x20;
const ENTRY = 40;

/** Names, then a table of parameters, then one of versions; `place` writes a field that refers to a place. */
function image(place: (view: DataView, field: number, target: number) => void): Uint8Array {
  const bytes = new Uint8Array(0x1000);
  const view = new DataView(bytes.buffer);
  const put = (at: number, text: string) => bytes.set(new TextEncoder().encode(`${text}\0`), at);
  NAMES.forEach((name, i) => {
    put(STRINGS + i * 40, name);
    place(view, TABLE + i * ENTRY, STRINGS + i * 40);
    place(view, TABLE + i * ENTRY + 32, VARIABLE + i);
  });
  const versions = TABLE + NAMES.length * ENTRY;
  put(0x300, 'version');
  put(0x310, 'xz_dec');
  place(view, versions, 0x300);
  place(view, versions + 56, 0x310);
  bytes[VARIABLE + NAMES.indexOf('module.sig_enforce')] = 1;
  return bytes;
}

const textOf = (bytes: Uint8Array) => new TextDecoder('latin1').decode(bytes);

describe('parameters of a raw image', () => {
  it('are found by addresses in place', () => {
    const base = 0x10000;
    const bytes = image((view, field, target) => view.setBigUint64(field, BigInt(base + target), false));
    const shape = { machine: 's390x', bits: 64, littleEndian: false } as const;
    const found = rawParameters(bytes, textOf(bytes), shape);
    expect(found?.names).toEqual(NAMES);
    expect(found?.versioned).toEqual(['xz_dec']);
    expect(found?.value('module.sig_enforce')).toBe(1);
    expect(found?.value('printk.time')).toBe(0);
    expect(found?.value('no.such')).toBeUndefined();
  });

  it('are found by the relocations of arm64', () => {
    const base = -0x7ffff8000000;
    let at = RELOCATIONS;
    const bytes = image((view, field, target) => {
      view.setBigInt64(at, BigInt(base + field), true);
      view.setUint32(at + 8, 0x403, true);
      view.setBigInt64(at + 16, BigInt(base + target), true);
      at += 24;
    });
    const shape = { machine: 'aarch64', bits: 64, littleEndian: true } as const;
    const found = rawParameters(bytes, textOf(bytes), shape);
    expect(found?.names).toEqual(NAMES);
    expect(found?.versioned).toEqual(['xz_dec']);
    expect(found?.value('module.sig_enforce')).toBe(1);
  });

  it('are not found where there are none', () => {
    const bytes = new Uint8Array(4096);
    bytes.set(new TextEncoder().encode('\0printk.time\0'), 100);
    const shape = { machine: 'arm', bits: 32, littleEndian: true } as const;
    expect(rawParameters(bytes, textOf(bytes), shape)).toBeUndefined();
  });
});
