import { describe, expect, it } from 'vitest';
import { parseDriverConf } from '../../../src/systems/solaris/etc/driver-conf.ts';
import {
  freeNumber,
  parseAliases,
  parseMinorPermissions,
  parseNumbers,
  withoutName,
} from '../../../src/systems/solaris/etc/name-files.ts';
import { parseSystemFile } from '../../../src/systems/solaris/etc/system-file.ts';
import fc from '../../properties.ts';

describe('/etc/system', () => {
  it('has commands, assignments and comments', () => {
    const file = parseSystemFile(
      [
        '* a comment',
        '# another',
        'moddir: /kernel /usr/kernel:/opt/kernel',
        'exclude: drv/foo',
        'FORCELOAD: misc/bar',
        'include: drv/x',
        'rootdev: /pseudo/md@0:0,10,blk',
        'set maxusers=40',
        "set mod:letter = 'c'",
        'set mod:mask & ~0x0f',
        'set mod:bits | 017',
        'set32 small = 1',
        'set mod:name = "a b"',
        'set neg = -1',
      ].join('\n'),
    );
    expect(file.errors).toEqual([]);
    expect(file.moddir).toEqual(['/kernel', '/usr/kernel', '/opt/kernel']);
    expect([file.exclude, file.forceload, file.include]).toEqual([['drv/foo'], ['misc/bar'], ['drv/x']]);
    expect(file.devices.get('rootdev')).toBe('/pseudo/md@0:0,10,blk');
    expect(
      file.assignments.map(({ module, symbol, operator, value, only }) => [
        module,
        symbol,
        operator,
        value,
        only,
      ]),
    ).toEqual([
      ['', 'maxusers', '=', 40n, undefined],
      ['mod', 'letter', '=', 99n, undefined],
      ['mod', 'mask', '&', 0xfffffffffffffff0n, undefined],
      ['mod', 'bits', '|', 15n, undefined],
      ['', 'small', '=', 1n, 32],
      ['mod', 'name', '=', 'a b', undefined],
      ['', 'neg', '=', 0xffffffffffffffffn, undefined],
    ]);
  });

  it.each([
    ['exclude drv/foo', "A colon (:) must follow the 'exclude' command"],
    ['nonsense: 1', "unknown command 'nonsense'"],
    ['Exclude: drv/foo', "unknown command 'Exclude'"],
    ['set x', 'unsupported operator '],
    ['set x =', 'value expected'],
    ['set x = 09', "invalid number '09'"],
    ['set x = zz', "bad rvalue 'zz'"],
    ['set x & "text"', "illegal operator '&' used on a string"],
    ['set x = "text', 'Missing "'],
    ['set x = 1 2', "extraneous input ignored starting at '2'"],
    ['%', "Unexpected token '%'"],
  ])('complains about %s', (line, text) => {
    expect(parseSystemFile(`\n${line}`, '/etc/system').errors[0]?.text).toBe(
      `${text} on line 2 of /etc/system`,
    );
  });

  it('takes any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => void parseSystemFile(text)),
      { numRuns: 1500 },
    );
    const words = fc.constantFrom(
      'set ',
      'moddir',
      ':',
      '=',
      ' x',
      '"',
      "'c'",
      '0x',
      '&',
      '~',
      '-',
      '\n',
      '*',
      'exclude: ',
    );
    fc.assert(
      fc.property(fc.array(words), (parts) => void parseSystemFile(parts.join(''))),
      { numRuns: 1500 },
    );
  });
});

describe('driver.conf', () => {
  it('has nodes, properties and globals', () => {
    const conf = parseDriverConf(
      '# x\nname="echo" parent="pseudo" instance=0 loud=1 names="a","b" list=1,0x10,-3 flag;\nddi-forceattach=1;\n',
      'echo.conf',
    );
    expect(conf.errors).toEqual([]);
    expect(conf.nodes).toHaveLength(1);
    expect(conf.nodes[0]).toMatchObject({ name: 'echo', parent: 'pseudo', instance: 0 });
    expect([...conf.nodes[0].properties]).toEqual([
      ['loud', [1]],
      ['names', ['a', 'b']],
      ['list', [1, 16, -3]],
      ['flag', true],
    ]);
    expect([...conf.globals]).toEqual([['ddi-forceattach', [1]]]);
  });

  it('tells what it cannot read and goes on', () => {
    const conf = parseDriverConf(
      'name="a" parent="pseudo" x=;\nname="b" parent="pseudo" instance=1;\nname="c"',
      'x.conf',
    );
    expect(conf.errors.map(({ line }) => line)).toEqual([1, 3]);
    expect(conf.nodes.map(({ name }) => name)).toEqual(['b']);
  });

  it('takes any text', () => {
    const words = fc.constantFrom('name', '=', '"a"', ';', ',', '1', '0x', '\n', '#', '"', '\\', ' ', '%');
    fc.assert(
      fc.property(fc.array(words), (parts) => void parseDriverConf(parts.join(''), 'f')),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (text) => void parseDriverConf(text, 'f')),
      { numRuns: 1500 },
    );
  });
});

it('name tables', () => {
  const numbers = parseNumbers('cn 0\nmd 85 # disks\n# none\nbroken\ncn 7\n');
  expect([...numbers]).toEqual([
    ['cn', 0],
    ['md', 85],
  ]);
  expect(freeNumber(numbers)).toBe(1);
  expect(parseAliases('asy "pci11c1,480"\nx y\n')).toEqual([
    { driver: 'asy', alias: 'pci11c1,480' },
    { driver: 'x', alias: 'y' },
  ]);
  expect(parseMinorPermissions('asy:* 0666 root sys\n')).toEqual([
    { driver: 'asy', minor: '*', mode: 0o666, owner: 'root', group: 'sys' },
  ]);
  expect(withoutName('a 1\nb 2\nasy:* 0666 root sys\n', 'asy')).toBe('a 1\nb 2\n');
});
