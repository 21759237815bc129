import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import {
  type Hint,
  hintsOfFile,
  lookUpHint,
  readHints,
  rowsOf,
  writeHints,
} from '../../../src/systems/freebsd/hints.ts';
import { convertDescription, eisaName } from '../../../src/systems/freebsd/pnp.ts';
import fc from '../../properties.ts';
import { kldOf } from './fixtures.ts';

const name = fc.string({
  minLength: 1,
  maxLength: 40,
  unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz_.-0123456789'),
});
const anyHint: fc.Arbitrary<Hint> = fc.oneof(
  fc.record({ type: fc.constant('module' as const), module: name, file: name }),
  fc.record({ type: fc.constant('version' as const), module: name, version: fc.integer(), file: name }),
  fc.array(fc.tuple(fc.integer(), name), { maxLength: 5 }).map((rows) => ({
    type: 'pnp' as const,
    bus: 'pci',
    description: 'I:vendor;Z:name;T:class=2;',
    entries: rows.length,
    values: rows.flat(),
  })),
);

describe('linker.hints', () => {
  it('is written as kldxref writes it', () => {
    const bytes = writeHints([
      { type: 'module', module: 'aac_pci', file: 'aac.ko' },
      { type: 'version', module: 'cam', version: 1, file: 'kernel' },
    ]);
    // Two records as they stand in the index of a release 10.1 and of a release 8.3.
    const wanted =
      '01000000' +
      '14000000' +
      '02000000' +
      '07' +
      hex('aac_pci') +
      '06' +
      hex('aac.ko') +
      '00' +
      '14000000' +
      '03000000' +
      '03' +
      hex('cam') +
      '01000000' +
      '06' +
      hex('kernel') +
      '00';
    expect(Buffer.from(bytes).toString('hex')).toBe(wanted);
  });

  it.each([
    'hello.ko',
    'hello32.ko',
    'hello-arm64.ko',
    'hello-arm.ko',
    'hello-riscv64.ko',
    'hello-powerpc.ko',
    'hello-powerpc64.ko',
  ])('has the records of %s in the byte order of its machine', (file) => {
    const kld = kldOf(file);
    const { littleEndian } = kld.file;
    const bytes = writeHints(hintsOfFile(kld, file), littleEndian);
    const number = (value: number) => {
      const view = new DataView(new ArrayBuffer(4));
      view.setInt32(0, value, littleEndian);
      return hex(String.fromCharCode(...new Uint8Array(view.buffer)));
    };
    const string = (text: string) => hex(String.fromCharCode(text.length) + text);
    const record = (body: string) => {
      const padded = body.padEnd(Math.ceil(body.length / 8) * 8, '0');
      return number(padded.length / 2) + padded;
    };
    // `05 hello` is six bytes, so that the number behind it comes two later.
    const wanted =
      number(1) +
      record(number(2) + string('hello') + string(file)) +
      record(`${number(3) + string('hello')}0000${number(1)}${string(file)}`);
    expect(Buffer.from(bytes).toString('hex')).toBe(wanted);
    expect(readHints(bytes, littleEndian)).toEqual(hintsOfFile(kld, file));
  });

  it('a table without data is read at once, however many entries it claims', () => {
    const claimed = {
      type: 'pnp',
      bus: 'pci',
      description: 'T:class=2;',
      entries: 2 ** 31 - 1,
      values: [],
    } as const;
    const [read] = readHints(writeHints([claimed]));
    expect(read).toEqual(claimed);
    expect(read.type === 'pnp' && rowsOf(read)).toBe(1);
  });

  it('reads back what it writes, in either byte order', () => {
    fc.assert(
      fc.property(fc.array(anyHint, { minLength: 1, maxLength: 20 }), fc.boolean(), (hints, little) => {
        expect(readHints(writeHints(hints, little), little)).toEqual(hints);
      }),
    );
  });

  it('is empty, so that there is no file, without records', () => {
    expect(writeHints([])).toHaveLength(0);
  });

  it('has what a module says, the first module alone in newer ones', () => {
    const kld = kldOf('pnp.ko');
    expect(hintsOfFile(kld, 'pnp.ko')).toEqual([
      { type: 'module', module: 'pnp', file: 'pnp.ko' },
      {
        type: 'pnp',
        bus: 'pci',
        description: 'I:vendor;I:device;J:subvendor;D:#;',
        entries: 2,
        values: [0x1af4, 0x1000, -1, 'Virtio network card', 0x1af4, 0x1001, 0x1af4, 'Virtio block device'],
      },
      { type: 'version', module: 'pnp', version: 1, file: 'pnp.ko' },
    ]);
  });

  it('finds the preferred version, or the highest that is allowed', () => {
    const hints: Hint[] = [1, 3, 2].map((version) => ({
      type: 'version',
      module: 'm',
      version,
      file: `m${version}.ko`,
    }));
    expect(lookUpHint(hints, 'm')?.file).toBe('m1.ko');
    expect(lookUpHint(hints, 'm', { minimum: 1, preferred: 2, maximum: 9 })?.file).toBe('m2.ko');
    expect(lookUpHint(hints, 'm', { minimum: 1, preferred: 7, maximum: 9 })?.file).toBe('m3.ko');
    expect(lookUpHint(hints, 'm', { minimum: 4, preferred: 7, maximum: 9 })).toBeUndefined();
  });

  it('never fails with anything but a FormatError', () => {
    const good = writeHints(hintsOfFile(kldOf('pnp.ko'), 'pnp.ko'));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }),
        fc.nat(good.length),
        (edits, cut) => {
          const bytes = good.slice(0, cut);
          for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
          try {
            readHints(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('PNP descriptions', () => {
  it('become the letters of the index', () => {
    expect(convertDescription('V16:vendor;W32:device/class;P:#;Z:text;T:bus=1;', 8).text).toBe(
      'J:vendor;I:device;I:class;Z:text;T:bus=1;',
    );
  });

  it('spells EISA identifiers', () => {
    // PNP0303, a keyboard, as PNPID() packs it: 0x0303d041.
    expect(eisaName(0x0303d041)).toBe('PNP0303');
  });
});

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex');
}
