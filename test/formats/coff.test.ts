import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/bytes/errors.ts';
import { readCoffObject } from '../../src/formats/coff/object.ts';
import { isCoff } from '../../src/formats/coff/read.ts';
import { relocationMachine } from '../../src/link/machines.ts';
import { applyRelocations, relocationTarget } from '../../src/link/relocate.ts';
import { mutations } from '../real/mutate.ts';

/**
 * An i386 object put together by hand after the format's description: `.text` with a call of `puts` at 1 and a load of
 * `count` (which is at 4 in .data) at 6, a common block of 12 bytes, and an auxiliary entry that numbering skips.
 */
function handMade(): Uint8Array {
  const strings = 'a_name_longer_than_eight\0';
  const [text, data, relocations, symbols] = [100, 112, 120, 140];
  const entries = 7;
  const bytes = new Uint8Array(symbols + entries * 18 + 4 + strings.length);
  const view = new DataView(bytes.buffer);
  const name = (at: number, value: string) => bytes.set(new TextEncoder().encode(value.padEnd(8, '\0')), at);
  view.setUint16(0, 0x14c, true);
  view.setUint16(2, 2, true);
  view.setUint32(8, symbols, true);
  view.setUint32(12, entries, true);
  const section = (i: number, title: string, address: number, size: number, at: number, flags: number) => {
    const header = 20 + i * 40;
    name(header, title);
    view.setUint32(header + 12, address, true);
    view.setUint32(header + 16, size, true);
    view.setUint32(header + 20, at, true);
    view.setUint32(header + 36, flags, true);
  };
  section(0, '.text', 0, 12, text, 0x20);
  section(1, '.data', 12, 8, data, 0x40);
  view.setUint32(20 + 24, relocations, true);
  view.setUint16(20 + 32, 2, true);
  bytes[text] = 0xe8;
  // call puts: the assembler leaves minus the place's end.
  view.setInt32(text + 1, -5, true);
  bytes[text + 5] = 0xa1;
  // mov eax, [count + 2]: count's own value is in the place.
  view.setUint32(text + 6, 16 + 2, true);
  view.setUint32(relocations, 1, true);
  view.setUint32(relocations + 4, 3, true);
  view.setUint16(relocations + 8, 20, true);
  view.setUint32(relocations + 10, 6, true);
  view.setUint32(relocations + 14, 4, true);
  view.setUint16(relocations + 18, 6, true);
  const symbol = (i: number, value: number, scnum: number, type: number, sclass: number, aux = 0) => {
    const at = symbols + i * 18;
    view.setUint32(at + 8, value, true);
    view.setInt16(at + 12, scnum, true);
    view.setUint16(at + 14, type, true);
    bytes[at + 16] = sclass;
    bytes[at + 17] = aux;
    return at;
  };
  name(symbol(0, 0, 1, 0, 3, 1), '.text');
  name(symbol(2, 0, 1, 0x24, 2), '_main');
  name(symbol(3, 0, 0, 0, 2), '_puts');
  name(symbol(4, 16, 2, 0, 2), '_count');
  name(symbol(5, 12, 0, 0, 2), '_block');
  view.setUint32(symbol(6, 0, 1, 0, 3) + 4, 4, true);
  view.setUint32(symbols + entries * 18, 4 + strings.length, true);
  bytes.set(new TextEncoder().encode(strings), symbols + entries * 18 + 4);
  return bytes;
}

describe('COFF', () => {
  it('reads sections and symbols by the numbers that relocations use', () => {
    const file = readCoffObject(handMade());
    expect([file.machine, file.kind, file.bits]).toEqual(['i386', 'relocatable', 32]);
    expect(file.sections.map(({ name, size }) => [name, size])).toEqual([
      ['', 0],
      ['.text', 12],
      ['.data', 8],
    ]);
    expect(file.symbols[2]).toMatchObject({
      name: '_main',
      binding: 'global',
      type: 'function',
      place: 'section',
    });
    expect(file.symbols[3]).toMatchObject({ name: '_puts', place: 'undefined' });
    expect(file.symbols[4]).toMatchObject({ name: '_count', section: 2, value: 4 });
    expect(file.symbols[5]).toMatchObject({ name: '_block', place: 'common', size: 12 });
    expect(file.symbols[6].name).toBe('a_name_longer_than_eight');
  });

  it('takes the value of the symbol off the place, so that the linker can add it', () => {
    const file = readCoffObject(handMade());
    const machine = relocationMachine('i386');
    if (machine === undefined) throw new Error('i386 is written');
    const text = file.sections[1].data.slice();
    const values = new Float64Array(7);
    values[3] = 0x5000;
    values[4] = 0x2004;
    applyRelocations(machine, relocationTarget(text, 0x1000), file.relocations(1), values, {
      emptyPlace: false,
      fail: (problem) => {
        throw new Error(problem.kind);
      },
    });
    const view = new DataView(text.buffer);
    // The call lands on 0x5000, counted from the end of the instruction; the load reads count + 2.
    expect(0x1005 + view.getInt32(1, true)).toBe(0x5000);
    expect(view.getUint32(6, true)).toBe(0x2006);
  });

  it("counts values of Microsoft's kind from their section, wherever ld -r put it", () => {
    const bytes = handMade();
    const view = new DataView(bytes.buffer);
    // The flags of that kind; `count` is at 4 in a section of address 12, and its place holds the addend alone.
    view.setUint32(20 + 36, 0x60000020, true);
    view.setUint32(60 + 36, 0xc0000040, true);
    const symbols = view.getUint32(8, true);
    view.setUint32(symbols + 4 * 18 + 8, 4, true);
    view.setUint32(view.getUint32(20 + 20, true) + 6, 2, true);
    const file = readCoffObject(bytes);
    expect(file.symbols[4]).toMatchObject({ name: '_count', section: 2, value: 4 });
    expect(file.relocations(1).map(({ symbol, addend }) => [symbol, addend])).toContainEqual([4, 2]);
  });

  it('meets damage with typed errors', () => {
    const bytes = handMade();
    const read = (damaged: Uint8Array, what: string) => {
      try {
        isCoff(damaged);
        const file = readCoffObject(damaged);
        for (const section of file.sections) file.relocations(section.index);
      } catch (error) {
        if (!(error instanceof FormatError)) throw new Error(what, { cause: error });
      }
    };
    for (let end = 0; end < bytes.length; end++) read(bytes.slice(0, end), `cut at ${end}`);
    const count = process.env.LKM_FULL ? 20_000 : 3000;
    for (const mutant of mutations(bytes, 3, { count })) read(mutant.bytes, mutant.what);
  });
});
