import { expect, it } from 'vitest';
import { splitArguments } from '../../../src/tools/windows/parameters.ts';
import { console as start } from '../../systems/windows/fixtures.ts';

it('words behind a driver are options of sc, or its parameters', () => {
  expect(splitArguments(['start=', 'auto', 'whom=Ada', 'tag=', 'depth=3', 'group=Base'])).toEqual({
    options: ['start=', 'auto', 'tag=', 'depth=3', 'group=Base'],
    parameters: [['whom', 'Ada']],
    strange: undefined,
  });
  expect(splitArguments(['tag=', 'yes', 'loose', 'other']).strange).toBe('loose');
});

it('parameters are values of the key Parameters', async () => {
  const { session, type } = await start();
  expect(session.load('hello.sys', ['whom=Ada', 'count=0x10', 'start=', 'auto']).code).toBe(0);
  const shown = type('reg query HKLM\\SYSTEM\\CurrentControlSet\\Services\\hello\\Parameters');
  expect(shown).toMatch(/whom +REG_SZ +Ada/);
  expect(shown).toMatch(/count +REG_DWORD +0x10/);
  expect(type('sc qc hello')).toContain('2   AUTO_START');
});

it('sc says how a command is used, and that the line was none', async () => {
  const { session } = await start();
  const { code, out } = session.run(['sc', 'create', 'x']);
  expect(code).toBe(1639);
  expect(out).toContain('sc <server> create [service name] [binPath= ] <option1> <option2>...');
  expect(session.run(['sc', 'config']).out).toContain('To remove the dependency, use a single /');
  expect(session.run(['sc', 'nonsense']).out).toMatch(/^\*\*\* Unrecognized Command \*\*\*/);
});

it('a device that is not there has a number of its own since Windows 10', async () => {
  const now = await start();
  now.type('sc create failing type= kernel binPath= failing.sys');
  expect(now.type('sc start failing')).toBe(
    '[SC] StartService FAILED 433:\n\nA device which does not exist was specified.\n\n',
  );
  const before = await start({ release: '7' });
  before.type('sc create failing type= kernel binPath= failing.sys');
  expect(before.type('sc start failing')).toContain('FAILED 2:');
});
