/** The linker from ELF objects to NLMs, on objects that gcc made (fixtures/netware/built/*.o). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { readElfObject } from '../../src/formats/elf/object.ts';
import { DefinitionError, parseDefinition } from '../../src/formats/nlm/definition.ts';
import { linkNlm, NlmLinkError } from '../../src/formats/nlm/link.ts';
import { readNlm } from '../../src/formats/nlm/read.ts';
import { writeNlm } from '../../src/formats/nlm/write.ts';

const bytes = (path: string) => new Uint8Array(readFileSync(packagedPath(`fixtures/netware/${path}`)));
const object = (name: string) => ({ name, object: readElfObject(bytes(`built/${name}.o`)) });
const definition = (name: string) => parseDefinition(new TextDecoder().decode(bytes(`${name}.def`)));

describe('linker', () => {
  it('makes the committed modules again, byte for byte', () => {
    expect(writeNlm(linkNlm([object('client')], definition('client')))).toEqual(bytes('built/CLIENT.NLM'));
    const threads = linkNlm([object('threads'), object('prelude')], definition('threads'));
    expect(writeNlm(threads)).toEqual(bytes('built/THREADS2.NLM'));
  });

  it('keeps what it linked through the writer and the reader', () => {
    const parts = linkNlm([object('threads'), object('prelude')], definition('threads'));
    const given = Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
    expect(readNlm(writeNlm(parts))).toMatchObject(given);
  });

  it('leaves the distance of calls in the place, and marks it as relative', () => {
    const { code, imports } = linkNlm([object('client')], definition('client'));
    const call = imports.find(({ name }) => name === 'LibraryDouble')?.references[0];
    expect(call).toMatchObject({ absolute: false, image: 'code' });
    const at = call?.offset ?? 0;
    expect(code[at - 1]).toBe(0xe8);
    expect(new DataView(code.buffer).getInt32(at, true)).toBe(-4);
  });

  it('makes fixups of addresses and none of distances inside the code', () => {
    const { fixups, code, data, uninitializedSize } = linkNlm(
      [object('threads'), object('prelude')],
      definition('threads'),
    );
    expect(fixups.length).toBeGreaterThan(5);
    for (const { image, offset, target } of fixups) {
      const held = new DataView((image === 'code' ? code : data).buffer).getUint32(offset, true);
      expect(held <= (target === 'code' ? code.length : data.length + uninitializedSize)).toBe(true);
    }
  });

  it('refuses what it cannot express, by name', () => {
    const base = definition('client');
    const link = (change: Partial<typeof base>) => () => linkNlm([object('client')], { ...base, ...change });
    expect(link({ imports: ['OutputToScreen'] })).toThrow(/is undefined and not in the IMPORT list/);
    expect(link({ start: 'Begin' })).toThrow(/Begin: the start procedure is not in the code/);
    expect(link({ exports: ['Nobody'] })).toThrow(/Nobody: is in the EXPORT list/);
    expect(link({ output: 'MUCH_TOO_LONG.NLM' })).toThrow(/8\.3/);
    expect(() => linkNlm([object('client'), object('client')], base)).toThrow(NlmLinkError);
  });
});

describe('definitions', () => {
  it('are read with their comments and quotes', () => {
    const text =
      '# comment\nOUTPUT A.NLM\nDESCRIPTION "two words" # more\nIMPORT a, b\n  CLIB@c\nVERSION 1.2\nFLAG_ON 0x40\n';
    expect(parseDefinition(text)).toMatchObject({
      output: 'A.NLM',
      description: 'two words',
      imports: ['a', 'b', 'CLIB@c'],
      version: { major: 1, minor: 2, revision: 0 },
      flags: 0x40,
    });
  });

  it('say the line of a mistake', () => {
    expect(() => parseDefinition('\nOUTPUT A.NLM\nnonsense here\n')).toThrow(
      /line 2: OUTPUT takes one value/,
    );
    expect(() => parseDefinition('nonsense\n')).toThrow(DefinitionError);
    expect(() => parseDefinition('TYPE 99\n')).toThrow(/line 1: no module type/);
    expect(() => parseDefinition('\nSTACK lots\n')).toThrow(/line 2: lots is no number/);
    expect(() => parseDefinition('DATE 1 2\n')).toThrow(/month, day and year/);
  });
});
