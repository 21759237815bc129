/** Registrations that nobody puts to use, and what is said of them when they are left. */
import { expect, it } from 'vitest';
import { registrations } from '../../../src/systems/solaris/functions/registrations.ts';
import { partOwning } from '../../../src/systems/solaris/parts.ts';
import type { Solaris } from '../../../src/systems/solaris/solaris.ts';
import { standing } from '../../../src/systems/solaris/standing.ts';
import { start } from '../../tools/solaris/shell.ts';

function call(k: Solaris, name: string, ...args: number[]): unknown {
  const handler = registrations.get(name)?.handler as ((k: Solaris, ...all: number[]) => unknown) | undefined;
  if (handler === undefined) throw new Error(`no ${name}`);
  return handler(k, ...args);
}

it('a provider of cryptography is known until it is taken back', async () => {
  const { kernel: k } = await start();
  const left = () =>
    [...standing(k)].filter(({ what }) => what === 'crypto provider').map(({ name }) => name);
  const info = k.heap.take(64);
  const handle = k.heap.take(16);
  expect(call(k, 'crypto_register_provider', 0, handle)).toBe(5);
  k.memory.set32(info, 99);
  expect(call(k, 'crypto_register_provider', info, handle)).toBe(0x4d);
  k.memory.set32(info, 1);
  k.memory.setPtr(info + k.word, k.heap.takeString('rot13 provider'));
  expect(call(k, 'crypto_register_provider', info, handle)).toBe(0);
  expect(left()).toEqual(['rot13 provider']);
  expect(call(k, 'crypto_unregister_provider', k.memory.ptr(handle))).toBe(0);
  expect(call(k, 'crypto_unregister_provider', k.memory.ptr(handle))).toBe(5);
  expect(left()).toEqual([]);
});

it('kinds of networks have names of their own', async () => {
  const { kernel: k } = await start();
  const type = k.heap.take(64);
  expect(call(k, 'mactype_alloc', 2)).toBe(0);
  expect(call(k, 'mactype_register', type)).toBe(22);
  k.memory.setPtr(type + k.word, k.heap.takeString('mac_test'));
  k.memory.setPtr(type + 2 * k.word, type);
  expect([call(k, 'mactype_register', type), call(k, 'mactype_register', type)]).toEqual([0, 17]);
  const ident = k.memory.ptr(type + k.word);
  expect([call(k, 'mactype_unregister', ident), call(k, 'mactype_unregister', ident)]).toEqual([0, 22]);
});

it('functions belong to the modules that export them', () => {
  const owner = (name: string) => partOwning(name)?.name;
  expect(owner('scsi_hba_init')).toBe('misc/scsi');
  expect(owner('usb_client_attach')).toBe('misc/usba');
  expect(owner('audio_init_ops')).toBe('drv/audio');
  // The kernel has stubs for these: nobody has to name their module.
  expect([owner('ksocket_socket'), owner('crypto_digest'), owner('dld_ioc_register')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
