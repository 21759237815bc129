/** The C library that tasks compute, print and read with, and the routines of a board: through compiled code of both widths. */
import { describe, expect, it } from 'vitest';
import { parseReal } from '../../../src/kernel/math.ts';
import { dotted, parseInternetAddress } from '../../../src/systems/vxworks/functions/sockets.ts';
import { start, transcript } from './shell.ts';

const MACHINES = [
  ['x86-64', ''],
  ['i386', 'i386/'],
] as const;

function play(
  machine: string,
  path: string,
  lines: readonly string[],
  settings: Record<string, string> = {},
) {
  const session = start({ machine, ...settings });
  const said = transcript(session, [`ld < ${path}`, ...lines]);
  expect(session.kernel.missing.size).toBe(0);
  return said.filter((line) => !/^(-> |value = )/.test(line));
}

describe.each(MACHINES)('on %s', (machine, folder) => {
  it('scanf takes numbers, words and sets apart, and says where it ended', () => {
    expect(play(machine, `${folder}streams.o`, ['numbers'])).toEqual([
      '9: 12 -31 zap 350 0.25 abc 4464 1234567890123 63',
      '2: 5 6, 3 characters',
      '2: ab c; nothing there -1, no number 0',
    ]);
  });

  it('doubles go to the mathematical functions and come back', () => {
    expect(play(machine, `${folder}streams.o`, ['computed'])).toEqual([
      '-2 1.41421 1.41421 3',
      '3 + 0.75, -0.75 * 2^6, -125',
    ]);
  });

  it('streams read files of the host, give characters back and know where they are', () => {
    expect(play(machine, `${folder}streams.o`, ['fileRead "hello.o"', 'fileRead "none"'])).toEqual([
      '0x7f, at 0; 3 bytes: LEL; ELF at 4',
      'errno = 0xd0001',
    ]);
  });

  it('what somebody types is read line by line; who wants more waits', () => {
    expect(play(machine, `${folder}streams.o`, ['typed'], { typed: 'Ada 36\\n!' })).toEqual([
      'A: 2 values, Ada is 36; rest ',
      '',
    ]);
    expect(play(machine, `${folder}streams.o`, ['typed']).at(-1)).toContain(
      'somebody who types at the console',
    );
  });

  it('tasks of one priority take turns when there are time slices, and only then', () => {
    const lines = play(machine, `${folder}turns.o`, ['turns 0', 'turns 2'], { 'clock-rate': '5000' });
    expect(lines[0]).toBe('1');
    expect(lines[1]).toMatch(/^1231231?2?$/);
  });

  it('rings, time stamps, atomic words, probes and ports', () => {
    expect(play(machine, `${folder}turns.o`, ['ring', 'board'])).toEqual([
      'put 5 full 1 got 3 abc',
      'put 3, 5 in it, 0 free: dexyz',
      'stamp 0, then more than two ticks; add 5 cas 0 tas 0 1',
      'probe 0 -1, port 0xff',
    ]);
  });

  it('partitions of a module, the environment, semaphores that are exchanged', () => {
    expect(play(machine, `${folder}turns.o`, ['parts'])).toEqual([
      '1 1, freed 0, again -1; two 1',
      'partner; back 0',
    ]);
  });

  it('tasks talk through datagrams and connections of the loopback interface', () => {
    expect(play(machine, `${folder}net.o`, ['datagrams', 'stream 20'])).toEqual([
      'same port: -1 errno 48; far away: -1 errno 51',
      '5 bytes of 127.0.0.1 port 7000: Hello',
      'nobody: -1 errno 61; 20000 bytes came, then 0',
      'sent 20000, 6 bytes: thanks, then 0',
    ]);
  });

  it('pipes carry messages, and select waits for what comes first or for the time', () => {
    expect(play(machine, `${folder}net.o`, ['either'])).toEqual([
      'made 0, again -1 errno 0xd0006; too long: -1 errno 0x410001',
      '1 ready, the pipe: 3 bytes pip',
      '0 ready after the time',
      'in use: -1; free: 0',
    ]);
  });

  it('nothing that the library keeps for itself counts as left behind', () => {
    const session = start({ machine });
    const before = session.kernel.pool.usedBytes;
    transcript(session, [`ld < ${folder}streams.o`, 'numbers', 'fileRead "hello.o"', 'unld "streams.o"']);
    expect([...session.standing()]).toEqual([]);
    expect(session.kernel.pool.usedBytes - before).toBeLessThan(1024);
  });
});

it('the macros of stdio.h find their members in a stream', () => {
  expect(transcript(start({ machine: 'i386' }), ['ld < i386/streams.o', 'macro']).at(-1)).toBe(
    'value = 1 = 0x1',
  );
});

it('numbers that texts begin with', () => {
  const cases: [string, number, number][] = [
    ['1.5e3rest', 1500, 5],
    ['  -.5', -0.5, 5],
    ['5.', 5, 2],
    ['1e', 1, 1],
    ['-inf', Number.NEGATIVE_INFINITY, 4],
    ['nanny', Number.NaN, 3],
    ['x', 0, 0],
  ];
  for (const [text, value, next] of cases) expect([text, parseReal(text)]).toEqual([text, { value, next }]);
});

it('addresses in dotted notation', () => {
  const cases: [string, string | undefined][] = [
    ['10.1.2.3', '10.1.2.3'],
    ['127.1', '127.0.0.1'],
    ['0x7f000001', '127.0.0.1'],
    ['010.0.0.1', '8.0.0.1'],
    ['1.2.65535', '1.2.255.255'],
    ['1.2.3.256', undefined],
    ['1.2.3.4.5', undefined],
    ['a.b', undefined],
  ];
  for (const [text, shown] of cases) {
    const parsed = parseInternetAddress(text);
    expect([text, parsed === undefined ? undefined : dotted(parsed)]).toEqual([text, shown]);
  }
});
