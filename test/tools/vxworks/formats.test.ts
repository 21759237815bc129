/** Object files of other formats and machines: described from their contents, COFF of i386 linked and called. */
import { describe, expect, it } from 'vitest';
import { vxworks } from '../../../src/tools/vxworks/native.ts';
import { fixture, start, transcript } from './shell.ts';

const facts = async (path: string) => (await vxworks.describe({ path, bytes: fixture(path) })).facts;

describe('COFF', () => {
  it('is linked, with names of the kernel found without their underscore', () => {
    const session = start({ machine: 'i386' });
    const said = transcript(session, ['ld < coff/addThem.o', 'addThem 3, 4', 'addThem 5, 6', 'callCount']);
    expect(said.join('\n')).toContain('adding 3 and 4\n');
    expect(said.filter((line) => line.startsWith('value ='))[1]).toBe('value = 10 = 0xa');
    expect(said.at(-1)).toMatch(/^callCount = 0x[0-9a-f]+: value = 2 = 0x2$/);
  });

  it('names a relocation type that nothing here knows as COFF numbers it, and once', async () => {
    const bytes = fixture('coff/addThem.o')?.slice() ?? new Uint8Array(0);
    const view = new DataView(bytes.buffer);
    // The relocations of the first section: ten bytes each, the type in the last two. 7 is relative to an image.
    const [at, count] = [view.getUint32(20 + 24, true), view.getUint16(20 + 32, true)];
    for (let i = 0; i < count; i++) view.setUint16(at + i * 10 + 8, 7, true);
    const { facts: told } = await vxworks.describe({ path: 'addThem.o', bytes });
    const { problems } = told.link as { problems: string[] };
    expect(problems[0]).toMatch(
      /^\.text: relocation type 7 of COFF against .* is none that this loader knows$/,
    );
    expect(new Set(problems).size).toBe(problems.length);
  });
});

describe('machines that do not run here', () => {
  it.each([
    ['m68k/hello.o', 'm68k', false, ['printf', '__mulsi3']],
    ['sh/twice.o', 'sh', true, ['_logMsg']],
    ['sparc/hello.o', 'sparc', false, ['printf']],
    ['mips/hello.o', 'mips', false, ['printf']],
  ])('%s is described', async (path, machine, littleEndian, needs) => {
    expect(vxworks.recognise({ path, bytes: fixture(path) })).toBeGreaterThan(0.5);
    expect(await facts(path)).toMatchObject({
      machine,
      littleEndian,
      needs,
      runs: false,
      kind: 'relocatable',
    });
  });

  it('commons count as bss, with the sizes they were given', async () => {
    expect(await facts('sh/twice.o')).toMatchObject({
      sizes: { data: 4, bss: 64 },
      common: [{ name: '_buffer', size: 64 }],
    });
  });
});

describe('lists of constructors', () => {
  it.each(['munched.o', 'i386/munched.o'])('%s: the arrays of munch, in their order', async (path) => {
    expect(await facts(path)).toMatchObject({
      constructors: 'munched',
      xtors: { constructors: ['first', 'second'], destructors: ['last'] },
    });
  });

  it.each(['statics.o', 'i386/statics.o'])('%s: the sections of a newer compiler', async (path) => {
    expect(await facts(path)).toMatchObject({
      constructors: 'sections',
      xtors: {
        constructors: ['_GLOBAL__sub_I_staticsMade'],
        destructors: ['_GLOBAL__sub_D_staticsMade'],
      },
    });
  });
});
