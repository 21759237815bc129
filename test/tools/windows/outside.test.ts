/** Files of this machine that the code of a driver opens by paths of its own. */
import { expect, it } from 'vitest';
import { windows } from '../../../src/tools/windows/native.ts';
import type { WindowsSession } from '../../../src/tools/windows/session.ts';

/** Everything could be read, but only one file is offered. */
const files = {
  read: (path: string) => new TextEncoder().encode(`read ${path}`),
  offered: (path: string) => (path === 'notes.txt' ? new TextEncoder().encode('notes') : undefined),
  list: () => undefined,
  stat: () => undefined,
};

it('are those alone that lie with what was named', async () => {
  const { kernel } = (await windows.start({ files })) as WindowsSession;
  const text = (path: string) => {
    const data = kernel.volume.find(path)?.data;
    return data && new TextDecoder().decode(data);
  };
  expect(text('notes.txt')).toBe('notes');
  expect(text('etc\\passwd')).toBeUndefined();
  expect(text('..\\..\\etc\\passwd')).toBeUndefined();
  expect(text('Windows\\System32\\drivers\\other.sys')).toBeUndefined();
});
