import { expect, it } from 'vitest';
import { start } from '../../tools/vxworks/shell.ts';

it('a switch hook is called when tasks take turns, and keeps its module', () => {
  const session = start({ machine: 'i386' });
  const say = (line: string) => session.line(line).out;
  // Local symbols as well: the hook is a static function.
  say('ld 1, 0, "i386/hooks.o"');
  say('ld < i386/client.o');
  say('ld < i386/lib.o');
  expect(say('taskSwitchHookAdd created')).toContain('value = 0 ');
  expect(say('hooksSeen')).toContain('value = 0 ');
  say('unld "client.o"');
  say('ld < i386/client.o');
  say('clientStart 1');
  say('taskDelay 5');
  const seen = Number(/value = (\d+)/.exec(say('hooksSeen'))?.[1]);
  expect(seen).toBeGreaterThan(4);
  expect(say('unld "hooks.o"')).toContain('value = -1 ');
  expect(say('taskSwitchHookDelete created')).toContain('value = 0 ');
  expect(say('unld "hooks.o"')).toContain('value = 0 ');
});
