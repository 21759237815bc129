import { expect, it } from 'vitest';
import { caller } from './fixtures.ts';

it('callouts and filters are kept by key and number, and undone with their transaction', async () => {
  const { k, session, place, call } = await caller();
  const [key, id, out] = [place, place + 32, place + 64];
  k.memory.set32(key, 0x1234);
  expect(call('FwpmEngineOpen0', 0, 0, 0, 0, out)).toBe(0);
  const engine = k.memory.ptr(out);
  expect(call('FwpmCalloutAdd0', engine, key, 0, id)).toBe(0);
  const number = k.memory.u32(id);
  expect(call('FwpmCalloutAdd0', engine, key, 0, id)).toBe(0xc0220009);
  // The callout's function is registered apart from it, and has its number.
  expect(call('FwpsCalloutRegister1', 0, key, id)).toBe(0);
  expect(k.memory.u32(id)).toBe(number);
  expect(call('FwpsCalloutRegister0', 0, key, id)).toBe(0xc0220009);
  expect(session.registeredOnly().map(({ what }) => what)).toEqual([
    'callout {00001234-0000-0000-0000-000000000000}',
  ]);
  expect(call('FwpmTransactionCommit0', engine)).toBe(0xc022000d);
  expect(call('FwpmTransactionBegin0', engine, 0)).toBe(0);
  expect(call('FwpmTransactionBegin0', engine, 0)).toBe(0xc022000e);
  expect(call('FwpmFilterAdd0', engine, key, 0, id)).toBe(0);
  const filter = k.memory.u64(id);
  expect(call('FwpmTransactionAbort0', engine)).toBe(0);
  expect(call('FwpmFilterDeleteById0', engine, filter)).toBe(0xc0220003);
  expect(call('FwpmCalloutDeleteById0', engine, number)).toBe(0);
  expect(call('FwpmCalloutDeleteByKey0', engine, key)).toBe(0xc0220001);
  expect(call('FwpsCalloutUnregisterById0', number)).toBe(0);
  expect(session.registeredOnly()).toEqual([]);
  expect(call('FwpmEngineClose0', engine)).toBe(0);
  expect(call('FwpmEngineClose0', engine)).toBe(0xc0000008);
});

it('objects of NDIS that ask for a key of zeros get one, timers can be set and cancelled', async () => {
  const { k, place, call } = await caller();
  call('FwpmEngineOpen0', 0, 0, 0, 0, place + 64);
  const engine = k.memory.ptr(place + 64);
  expect(call('FwpmSubLayerAdd0', engine, place, 0)).toBe(0);
  expect(k.memory.u32(place)).not.toBe(0);
  expect(call('FwpmSubLayerDeleteByKey0', engine, place)).toBe(0);
  expect(call('NdisAllocateTimerObject', 0, place + 128, place + 64)).toBe(0);
  const timer = k.memory.ptr(place + 64);
  expect(call('NdisSetTimerObject', timer, BigInt.asUintN(64, -10_000_000n), 0, 0)).toBe(0);
  expect(call('NdisCancelTimerObject', timer)).toBe(1);
  expect(call('NdisCancelTimerObject', timer)).toBe(0);
  call('NdisFreeTimerObject', timer);
});
