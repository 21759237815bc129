import { beforeEach, describe, expect, it } from 'vitest';
import { Failure } from '../../src/cli/failure.ts';
import { Shell, type ShellHost } from '../../src/cli/shell.ts';
import { parseLine, quoteWord } from '../../src/cli/shell-words.ts';
import fc from '../properties.ts';

const words = (line: string, code = 0) => parseLine(line, code).map((step) => step.words);

describe('shell lines', () => {
  it('quote as POSIX sh does', () => {
    expect(words(`a 'b c' "d e" f\\ g h''i`)).toEqual([['a', 'b c', 'd e', 'f g', 'hi']]);
    expect(words(`echo "a\\"b" "c\\d" 'e\\f' ""`)).toEqual([['echo', 'a"b', 'c\\d', 'e\\f', '']]);
    expect(words('x a#b # a comment; y')).toEqual([['x', 'a#b']]);
    expect(words('   ')).toEqual([]);
    expect(words('echo $? "$?" \'$?\' 5$', 7)).toEqual([['echo', '7', '7', '$?', '5$']]);
  });

  it('join and redirect', () => {
    expect(parseLine('a&&b || c;d', 0).map(({ when, words: [name] }) => [when, name])).toEqual([
      ['always', 'a'],
      ['succeeded', 'b'],
      ['failed', 'c'],
      ['always', 'd'],
    ]);
    expect(parseLine('echo x1>/proc/x', 0)[0].redirect).toEqual({ path: '/proc/x', append: false });
    expect(parseLine('echo 1 >> "a b"', 0)[0].redirect).toEqual({ path: 'a b', append: true });
  });

  it('start steps in the background', () => {
    expect(parseLine('a & b; c &', 0).map(({ words: [name], background }) => [name, background])).toEqual([
      ['a', true],
      ['b', false],
      ['c', true],
    ]);
  });

  it('refuse by name what they do not do', () => {
    const cases = [
      'a | b',
      'a < b',
      'a `b`',
      'a $(b)',
      '$x',
      '"$x"',
      "a '",
      'a "',
      'a \\',
      'a &&',
      'a >',
      '; a',
      '(a)',
      'echo 1>x',
      'echo 2>> x',
    ];
    for (const line of cases) expect(() => parseLine(line, 0), line).toThrow(Failure);
    expect(() => parseLine('x'.repeat(100_000), 0)).toThrow('at most');
  });

  it('read back every quoted word', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (list) => {
        expect(words(list.map(quoteWord).join(' '))).toEqual([list]);
      }),
    );
  });

  it('never throw anything but a Failure', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...`ab '"\\;&|<>#$?(\``) }), (line) => {
        try {
          parseLine(line, 1);
        } catch (error) {
          expect(error).toBeInstanceOf(Failure);
        }
      }),
    );
  });
});

describe('the shell', () => {
  let shell: Shell;
  let out: string;
  let err: string;
  let files: Map<string, string>;
  const text = (bytes: string | Uint8Array) =>
    typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes);

  beforeEach(() => {
    out = '';
    err = '';
    files = new Map();
    const host: ShellHost = {
      prompt: () => '# ',
      commands: [
        { name: 'fail', usage: 'CODE', summary: 'fail with this code', run: ({ args }) => Number(args[0]) },
        {
          name: 'insmod',
          usage: 'FILE',
          summary: 'load a module',
          run: ({ args: [file] }) => {
            throw new Failure('Invalid module format', { subject: file, hint: 'look at dmesg' });
          },
        },
        {
          name: 'rmmod',
          usage: 'NAME',
          summary: 'unload',
          complete: () => ['hello', 'help me'],
          run: () => 0,
        },
      ],
      writeFile: (path, bytes, append) => {
        files.set(path, (append ? (files.get(path) ?? '') : '') + text(bytes));
      },
      completePath: (prefix) => ['/proc/', '/dev/null'].filter((path) => path.startsWith(prefix)),
    };
    shell = new Shell(host, {
      out: (more) => {
        out += text(more);
      },
      err: (more) => {
        err += more;
      },
      closed: false,
    });
  });

  it('runs lists by their codes', async () => {
    expect(await shell.line('fail 3 && echo no || echo $?; echo end')).toBe(0);
    expect(out).toBe('0\nend\n');
    expect(await shell.line('fail 3')).toBe(3);
    await shell.line('echo $?');
    expect(out).toBe('0\nend\n3\n');
  });

  it('writes what a command printed with one write', async () => {
    await shell.script(['echo -n 1 > /proc/x', 'echo 2 >> /proc/x', 'echo shown']);
    expect([files.get('/proc/x'), out]).toEqual(['12\n', 'shown\n']);
  });

  it('shows failures and goes on, unless told to stop', async () => {
    expect(await shell.script(['insmod x.ko', 'echo on'])).toBe(0);
    expect(err).toBe('insmod: x.ko: Invalid module format\n  look at dmesg\n');
    expect(await shell.script(['insmod x.ko', 'echo not'], { errexit: true })).toBe(1);
    expect(out).toBe('on\n');
  });

  it('knows commands that are not there', async () => {
    expect(await shell.line('insmdo x')).toBe(127);
    expect(err).toContain('did you mean insmod?');
    expect(await shell.line('a | b')).toBe(2);
    expect(shell.lastCode).toBe(2);
  });

  it('ends at exit with its code', async () => {
    expect(await shell.script(['echo a; exit 4; echo b', 'echo c'])).toBe(4);
    expect(out).toBe('a\n');
  });

  it('lists its commands', async () => {
    await shell.line('help');
    expect(
      out
        .split('\n')
        .slice(0, -1)
        .map((line) => line.split(' ')[0]),
    ).toEqual(['echo', 'exit', 'fail', 'help', 'insmod', 'rmmod']);
  });

  it('completes commands, arguments and paths', () => {
    expect(shell.complete('in')).toEqual([['insmod '], 'in']);
    expect(shell.complete('echo x; rm')).toEqual([['rmmod '], 'rm']);
    expect(shell.complete('rmmod hel')).toEqual([['hello ', "'help me' "], 'hel']);
    expect(shell.complete('insmod /pr')).toEqual([['/proc/'], '/pr']);
    expect(shell.complete('echo 1 > /dev/n')).toEqual([['/dev/null '], '/dev/n']);
    expect(shell.complete('exit ')).toEqual([[], '']);
  });

  it('lets a defect through', async () => {
    const broken = new Shell(
      {
        prompt: () => '',
        writeFile: () => {},
        commands: [{ name: 'x', usage: '', summary: '', run: () => Promise.reject(new TypeError('x')) }],
      },
      { out: () => {}, err: () => {}, closed: false },
    );
    await expect(broken.line('x')).rejects.toThrow(TypeError);
  });
});
