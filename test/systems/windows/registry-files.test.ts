import { describe, expect, it } from 'vitest';
import { loadHive } from '../../../src/systems/windows/hive.ts';
import { applyRegFile, readRegFile, writeRegFile } from '../../../src/systems/windows/regfile.ts';
import { Registry } from '../../../src/systems/windows/registry.ts';
import { buildHive } from '../../formats/regf/build.ts';
import { console as start } from './fixtures.ts';

const text = (lines: readonly string[]) => new TextEncoder().encode(lines.join('\r\n'));
const HEAD = 'Windows Registry Editor Version 5.00';

describe('.reg files', () => {
  const file = text([
    HEAD,
    '',
    '; a service',
    '[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\hello]',
    '"Type"=dword:00000001',
    '"Start"=dword:00000003',
    '"ImagePath"=hex(2):68,00,65,00,6c,00,6c,00,6f,00,2e,00,73,00,\\',
    '  79,00,73,00,00,00',
    '"DisplayName"="say \\"hello\\" \\\\ now"',
    '@="default"',
    '',
    '[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\hello\\Parameters]',
    '"Bytes"=hex:01,02,ff',
    '"Many"=hex(7):61,00,00,00,62,00,00,00,00,00',
    '"Big"=hex(b):08,07,06,05,04,03,02,01',
    '"Empty"=hex(0):',
  ]);

  it('are read: every kind of data, continued lines, short roots, ControlSet001', () => {
    const registry = new Registry();
    applyRegFile(registry, file);
    const key = registry.services.child('hello');
    expect(key?.dword('Start')).toBe(3);
    expect(key?.text('ImagePath')).toBe('hello.sys');
    expect(key?.text('DisplayName')).toBe('say "hello" \\ now');
    expect(key?.text('')).toBe('default');
    const parameters = key?.child('Parameters');
    expect(parameters?.multi('Many')).toEqual(['a', 'b']);
    expect(parameters?.value('Empty')).toMatchObject({ type: 0, data: new Uint8Array(0) });
  });

  it('are written so that they read back equal', () => {
    const registry = new Registry();
    applyRegFile(registry, file);
    const key = registry.services.child('hello');
    if (key === undefined) throw new Error('no key');
    key.set(
      'Long',
      3,
      Uint8Array.from({ length: 300 }, (_, i) => i),
    );
    const written = writeRegFile(key);
    const again = new Registry();
    applyRegFile(again, written);
    const copy = again.services.child('hello');
    expect(copy && writeRegFile(copy)).toEqual(written);
    expect([...written.subarray(0, 2)]).toEqual([0xff, 0xfe]);
    const lines = new TextDecoder('utf-16le').decode(written).split('\r\n');
    expect(lines[0]).toBe(HEAD);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
  });

  it('delete keys and values, and the old form holds one byte a character', () => {
    const registry = new Registry();
    applyRegFile(registry, file);
    applyRegFile(registry, text([HEAD, '[HKLM\\SYSTEM\\CurrentControlSet\\Services\\hello]', '"Start"=-']));
    expect(registry.services.child('hello')?.dword('Start')).toBeUndefined();
    applyRegFile(registry, text([HEAD, '[-HKLM\\SYSTEM\\CurrentControlSet\\Services\\hello]']));
    expect(registry.services.child('hello')).toBeUndefined();
    const old = text(['REGEDIT4', '[HKEY_LOCAL_MACHINE\\Software\\Old]', '"Path"=hex(2):43,3a,00']);
    applyRegFile(registry, old);
    expect(registry.find('\\Registry\\Machine\\Software\\Old')?.text('Path')).toBe('C:');
  });

  it.each([
    ['', 'is empty'],
    ['Windows Registry', 'line 1: begins with'],
    [`${HEAD}\n"a"=dword:1`, 'line 2: a value before the first key'],
    [`${HEAD}\n[HKNO\\a]`, "line 2: there is no root 'HKNO'"],
    [`${HEAD}\n[HKLM\\a]\n"a"=dword:xyz`, "line 3: 'dword:xyz' is no data"],
    [`${HEAD}\n[HKLM\\a]\nnonsense`, "line 3: 'nonsense' is no value"],
  ])('that are damaged say where: %j', (contents, message) => {
    expect(() => readRegFile(new TextEncoder().encode(contents))).toThrow(message);
  });
});

describe('hives', () => {
  const dword = (value: number) => Uint8Array.of(value & 0xff, value >> 8, 0, 0);

  it('of a system go to their place, with the set that is current', async () => {
    const hive = buildHive({
      name: 'ROOT',
      values: [],
      keys: [
        { name: 'Select', keys: [], values: [{ name: 'Current', type: 4, data: dword(2) }] },
        { name: 'ControlSet001', keys: [], values: [] },
        {
          name: 'ControlSet002',
          values: [],
          keys: [
            {
              name: 'Services',
              values: [],
              keys: [{ name: 'hello', keys: [], values: [{ name: 'Type', type: 4, data: dword(1) }] }],
            },
          ],
        },
      ],
    });
    const registry = new Registry();
    const loaded = loadHive(registry, hive);
    expect(loaded.path).toBe('\\Registry\\Machine\\System');
    expect(registry.services.child('hello')?.dword('Type')).toBe(1);
    expect(loaded.notes).toEqual(['ControlSet001 is not the current set and is left out']);
  });

  it('and .reg files fill the registry of a session, and go out of it', async () => {
    const { session, type } = await start();
    session.writeFile('C:\\in.reg', text([HEAD, '[HKLM\\Software\\Vendor]', '"A"=dword:0000002a']));
    expect(type('reg import C:\\in.reg')).toBe('The operation completed successfully.\n');
    expect(type('reg query HKLM\\Software\\Vendor /v A')).toContain('    A    REG_DWORD    0x2a\n');
    expect(type('reg export HKLM\\Software\\Vendor C:\\out.reg')).toBe(
      'The operation completed successfully.\n',
    );
    const out = session.kernel.volume.find('\\out.reg')?.data ?? new Uint8Array(0);
    expect(new TextDecoder('utf-16le').decode(out)).toContain('"A"=dword:0000002a\r\n');
    expect(type('reg delete HKLM\\Software\\Vendor /v A')).toBe('The operation completed successfully.\n');
    expect(type('reg query HKLM\\Software\\Vendor /v A')).toContain('unable to find');
    expect(type('reg query HKNO\\x')).toContain('Invalid key name.');
  });
});
