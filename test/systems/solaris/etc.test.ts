import { describe, expect, it } from 'vitest';
import { parseDriverConf } from '../../../src/systems/solaris/etc/driver-conf.ts';
import {
  freeNumber,
  parseAliases,
  parseMinorPermissions,
  parseNumbers,
  withoutName,
} from '../../../src/systems/solaris/etc/name-files.ts';
import { repeatedCommands } from '../../../src/systems/solaris/etc/repeated.ts';
import { parseSystemFile } from '../../../src/systems/solaris/etc/system-file.ts';
import fc from '../../properties.ts';
import { start } from '../../tools/solaris/shell.ts';

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
        'set mod:letter = 0x63',
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
    ['exclude: /kernel/drv/foo', 'value expected'],
    ['moddir /kernel', "A colon (:) must follow the 'moddir' command"],
    ['moddir: ./kernel', 'value too long'],
    ['rootdev x', "A colon (:) must follow the 'rootdev' command"],
    ['nonsense: 1', "unknown command 'nonsense'"],
    ['Exclude: drv/foo', "unknown command 'Exclude'"],
    ['set 7 = 1', 'value expected'],
    ['set x:7 = 1', 'value expected'],
    ['set x + 1', 'unsupported operator +'],
    // The kernel shows the buffer that holds the variable here.
    ['set mod:x + 1', 'unsupported operator x'],
    ['set x = 09', "invalid number '09'"],
    // Only a small x makes a number hexadecimal: this is 0 and a word behind it.
    ['set x = 0X1f', "extraneous input ignored starting at 'X1f'"],
    ['set x = zz', "bad rvalue 'zz'"],
    ['set x = - 1', "bad rvalue '-'"],
    ["set x = 'c'", "bad rvalue '''"],
    ['set x & "text"', "illegal operator 'text' used on a string"],
    ['set x = "text', 'Missing "'],
    ['set x = 1 2', "Unexpected token '2'"],
    ['set x = 1 y', "extraneous input ignored starting at 'y'"],
    ['%', "Unexpected token '%'"],
  ])('complains about %s', (line, text) => {
    expect(parseSystemFile(`\n${line}`, '/etc/system').errors[0]?.text).toBe(
      `${text} on line 2 of /etc/system`,
    );
  });

  it('takes a name without its colon all the same, and a line for the operator that is missing', () => {
    expect(parseSystemFile('exclude drv/foo\n').exclude).toEqual(['drv/foo']);
    const file = parseSystemFile('set x\nset y = 1\nset z = 2\n%\n');
    expect(file.errors.map(({ text }) => text)).toEqual([
      'unsupported operator \n on line 1 of /etc/system',
      "Unexpected token '%' on line 3 of /etc/system",
    ]);
    expect(file.assignments.map(({ symbol }) => symbol)).toEqual(['z']);
  });

  it('has escapes in strings and names, and cuts numbers to 64 bits', () => {
    const file = parseSystemFile(
      'set mod:a = "x\\\\ty\\"z\\101"\nset mod:b = 0x1ffffffffffffffff\nset a\\.b = ~0\n',
    );
    expect(file.errors).toEqual([]);
    expect(file.assignments.map(({ symbol, value }) => [symbol, value])).toEqual([
      ['a', 'x\ty"zA'],
      ['b', 0xffffffffffffffffn],
      ['a.b', 0xffffffffffffffffn],
    ]);
  });

  it('tells what is there more than once', () => {
    const file = parseSystemFile(
      [
        'set x = 1',
        'set x = 2',
        'set mod:y = 0x10',
        'set mod:y = 0x20',
        'set mod:y | 0x1',
        'set s = "a"',
        'set s = "b"',
        'set same = 1',
        'set same = 1',
        'moddir: /kernel',
        'moddir: /usr/kernel',
        'exclude: drv/a',
        'exclude: drv/a',
      ].join('\n'),
    );
    expect(repeatedCommands(file, '/etc/system', 64).map(({ text }) => text)).toEqual([
      'x is set more than once in /etc/system. "set x = 2" applied as the current setting.',
      'mod:y is set more than once in /etc/system. "set mod:y = 0x21" applied as the current setting.',
      's is set more than once in /etc/system. "set s = b" applied as the current setting.',
      '"moddir" appears more than once in /etc/system.',
    ]);
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
      ['flag', [0]],
    ]);
    expect([...conf.globals]).toEqual([['ddi-forceattach', [1]]]);
  });

  it.each([
    ['name="a" parent="pseudo" x=;', 'Unexpected end of line', 1],
    ['name="a" parent="pseudo" x=1,"b";', "Unexpected token 'b'", 1],
    ['name="a" parent="pseudo"', 'Unexpected EOF', 1],
    ['name="a" x=1;', 'missing parent or class attribute', 1],
    ['parent="pseudo" x=1;', 'missing name attribute', 1],
    [
      'name="a" parent="pseudo"\nname="b" parent="pseudo";',
      "'name' property already specified (the ';' may have been omitted on previous spec!)",
      2,
    ],
    ['\n%', "Unexpected token '%'", 2],
    ['= "x";', "Unexpected token '='", 1],
    ['x="y;\n', 'Missing "', 1],
  ])('complains about %s', (text, said, line) => {
    expect(parseDriverConf(text, '/kernel/drv/x.conf').errors[0]).toEqual({
      format: '%s%s',
      text: `${said} on line ${line} of /kernel/drv/x.conf`,
      line,
    });
  });

  it('goes on after what it cannot read', () => {
    const conf = parseDriverConf(
      'name="a" parent="pseudo" x=;\nname="b" parent="pseudo" instance=1;\nname="c"',
      'x.conf',
    );
    expect(conf.errors.map(({ line }) => line)).toEqual([1, 3]);
    expect(conf.nodes.map(({ name, properties }) => [name, properties.size])).toEqual([
      ['a', 0],
      ['b', 0],
    ]);
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

it('what /etc/system sets is shown with moddebug, and a variable that is not there is missed', async () => {
  const system = new TextEncoder().encode('set moddebug = 0x80000000\nset maxusers = 7\nset nowhere = 1\n');
  const { kernel } = await start({ system: 'sys' }, { extra: { sys: system } });
  expect(kernel.log.records.map(({ text }) => text)).toEqual([
    "OP: 1: param 'maxusers' was '0x40' in module: '<null string>'.",
    "now it is set to '0x7'.",
    "sorry, variable 'nowhere' is not defined in the 'kernel' ",
  ]);
});
