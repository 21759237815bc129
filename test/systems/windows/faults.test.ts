import { expect, it } from 'vitest';
import type { Fault } from '../../../src/kernel/scheduler.ts';
import type { Thread } from '../../../src/kernel/thread.ts';
import { judgeFault } from '../../../src/systems/windows/faults.ts';
import { console as start } from './fixtures.ts';

it('a page fault of code that has lost its stack is a bug check with its own place', async () => {
  const { session, log } = await start();
  const { kernel: k } = session;
  const nowhere = k.map.drivers.end - 4096;
  k.cpu.setGpr(4, nowhere);
  const thread = { name: 'System', stackBase: 0, stackSize: 0 } as Thread;
  const at = k.exported('DbgPrint') ?? 0;
  const fault = { vector: 14, at, address: BigInt(nowhere), access: 'read' } as Fault;
  judgeFault(k, thread, fault);
  expect(k.stopped?.code).toBe(0x50);
  expect(log().join('\n')).toContain('PAGE_FAULT_IN_NONPAGED_AREA');
});
