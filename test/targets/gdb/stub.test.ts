/** The stub without gdb: whatever comes in, it answers or says that it does not know. */

import { describe, expect, it } from 'vitest';
import { Abandoned } from '../../../src/kernel/abandon.ts';
import { DebugControl } from '../../../src/kernel/debug/control.ts';
import { insmod, rmmod } from '../../../src/systems/linux/loader.ts';
import { framed, PacketReader } from '../../../src/targets/gdb/packets.ts';
import type { WaitingSocket } from '../../../src/targets/gdb/socket.ts';
import { GdbStub } from '../../../src/targets/gdb/stub.ts';
import fc from '../../properties.ts';
import { boot, fixture } from '../../systems/linux/kernel.ts';

/** A socket that has its orders already: after the last one the other side goes. */
class Script implements Pick<WaitingSocket, 'receive' | 'send' | 'close' | 'accept'> {
  readonly said = new PacketReader();
  readonly #orders: Uint8Array[];

  constructor(orders: readonly (string | Uint8Array)[]) {
    this.#orders = orders.map((order) => framed(order));
  }

  accept(): void {}
  close(): void {}
  send(bytes: Uint8Array): void {
    this.said.push(bytes);
  }
  receive(wait: boolean): Uint8Array | undefined {
    return wait ? this.#orders.shift() : new Uint8Array(0);
  }

  get answers(): string[] {
    const all: string[] = [];
    for (let next = this.said.next(); next !== undefined; next = this.said.next())
      if (next.kind === 'packet') all.push(new TextDecoder('latin1').decode(next.data));
    return all;
  }
}

function run(orders: readonly (string | Uint8Array)[]): string[] {
  const socket = new Script(orders);
  const stub = new GdbStub(socket as unknown as WaitingSocket);
  const control = new DebugControl(stub);
  stub.serve(control);
  for (let tries = 0; tries < 20; tries++) {
    try {
      const k = boot();
      control.attach(k);
      insmod(k, fixture('hello'), '', { path: 'hello.ko' });
      rmmod(k, 'hello');
      break;
    } catch (error) {
      if (!(error instanceof Abandoned)) throw error;
      if (!control.replaying) break;
    }
  }
  stub.exited(0);
  return socket.answers;
}

describe('the gdb stub', () => {
  it('tells registers, memory and where it stands', () => {
    const [stop, registers, memory, thread, whole] = run([
      '?',
      'g',
      'mffffffffc0005000,4',
      'qC',
      'qXfer:features:read::0,fff',
    ]);
    expect(stop).toMatch(/^T05thread:2;10:005000c0ffffffff;$/);
    expect(registers.length).toBeGreaterThan(16 * 16);
    expect(memory).toBe('0f1f4400');
    expect(thread).toBe('QC2');
    expect(whole).toMatch(/^l<\?xml .*i386:x86-64.*name="rip".*<\/target>$/s);
  });

  it('comes to the same place going forward and back', () => {
    const forth = run(['s', 's', 's', 's', 'p10', 'p7', '?']);
    const back = run(['s', 's', 's', 's', 's', 's', 'bs', 'bs', 'p10', 'p7', '?']);
    expect(back.slice(-3)).toEqual(forth.slice(-3));
    expect(run(['bs', '?'])[0]).toContain('replaylog:begin');
  });

  it('ends the run when it is told to, and goes on alone when gdb has gone', () => {
    expect(run(['s', 'vKill;1'])).toContain('OK');
    expect(run(['s'])).toHaveLength(1);
  });

  it('survives whatever it is sent', () => {
    const word = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc
        .tuple(
          fc.constantFrom(
            'm',
            'M',
            'X',
            'Z0,',
            'Z2,',
            'z0,',
            'p',
            'P',
            'H',
            'T',
            'qXfer:',
            'vCont;',
            'qRcmd,',
            'G',
            's',
          ),
          fc.string({ unit: fc.constantFrom(...'0123456789abcdef,:;='), maxLength: 24 }),
        )
        .map(([head, tail]) => head + tail),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), (orders) => {
        expect(run(orders).length).toBeLessThanOrEqual(orders.length + 1);
      }),
      { numRuns: 60 },
    );
  });
});
