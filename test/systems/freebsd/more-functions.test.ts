/** Devices that code makes, lockmgr(9), sleepqueue(9), nv(9) and MD5, called as machine code calls them. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Steps } from '../../../src/kernel/steps.ts';
import type { Bits } from '../../../src/systems/freebsd/declarations.ts';
import { Errno } from '../../../src/systems/freebsd/errno.ts';
import { standing } from '../../../src/systems/freebsd/standing.ts';
import { sysentOf } from '../../../src/systems/freebsd/sysent.ts';
import { boot, call, int } from './calling.ts';

const KERNELS: readonly (readonly [number, Bits])[] = [
  [803000, 32],
  [1001000, 64],
  [1201000, 64],
  [1402000, 64],
];

const LK = { EXCLUSIVE: 0x80000, RELEASE: 0x100000, SHARED: 0x200000, UPGRADE: 0x400000, NOWAIT: 0x200 };

describe.each(KERNELS)('FreeBSD %i, %i bits', (version, bits) => {
  it('keeps devices that code hangs below a bus', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const bus = k.memory.ptr(k.symbolAddress('root_bus'));
        const name = k.heap.string('widget');
        const first = yield* call(k, 'device_add_child', bus, name, -1);
        const second = yield* call(k, 'device_add_child', bus, name, -1);
        expect(yield* int(k, 'device_add_child', bus, name, 1)).toBe(0);
        expect(k.memory.cstring(yield* call(k, 'device_get_nameunit', second), 32)).toBe('widget1');
        expect(yield* call(k, 'device_get_parent', second)).toBe(bus);
        yield* call(k, 'device_set_softc', first, 0x1234);
        expect(yield* call(k, 'device_get_softc', first)).toBe(0x1234);
        const cls = yield* call(k, 'devclass_create', name);
        expect(yield* call(k, 'devclass_get_device', cls, 1)).toBe(second);
        expect(yield* int(k, 'devclass_get_maxunit', cls)).toBe(2);
        expect(yield* int(k, 'device_probe_and_attach', first)).toBe(Errno.ENXIO);
        yield* call(k, 'device_printf', second, k.heap.string('%d pins\n'), 7);
        expect(k.log.records.at(-1)?.text).toBe('widget1: 7 pins');
        yield* call(k, 'device_delete_child', bus, first);
        expect(yield* call(k, 'device_find_child', bus, name, -1)).toBe(second);
        // The lowest unit that is free is given again.
        const third = yield* call(k, 'device_add_child', bus, name, -1);
        expect(yield* int(k, 'device_get_unit', third)).toBe(0);
      })(),
    );
  });

  it('lockmgr locks are shared, upgraded, and refused at once to who does not want to wait', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const lock = k.heap.allocate(128);
        const ask = (flags: number) => int(k, '__lockmgr_args', lock, flags, 0, 0, 0, 0, 0, 0);
        yield* call(k, 'lockinit', lock, 0, k.heap.string('root'), 0, 0);
        expect(yield* ask(LK.SHARED)).toBe(0);
        expect(yield* ask(LK.SHARED)).toBe(0);
        expect(yield* ask(LK.EXCLUSIVE | LK.NOWAIT)).toBe(Errno.EBUSY);
        expect(yield* ask(LK.UPGRADE | LK.NOWAIT)).toBe(Errno.EBUSY);
        expect(yield* ask(LK.RELEASE)).toBe(0);
        expect(yield* ask(LK.UPGRADE)).toBe(0);
        expect(yield* ask(LK.SHARED | LK.NOWAIT)).toBe(Errno.EBUSY);
        expect(yield* ask(LK.RELEASE)).toBe(0);
        expect(yield* ask(LK.EXCLUSIVE | LK.NOWAIT)).toBe(0);
        expect(yield* ask(LK.RELEASE)).toBe(0);
        yield* call(k, 'lockdestroy', lock);
      })(),
    );
  });

  it('a thread on a sleep queue is woken, or its time runs out', () => {
    const k = boot(version, bits);
    const channel = 0x4000;
    const results: number[] = [];
    const sleeper = function* (ms: bigint): Steps<void> {
      yield* call(k, 'sleepq_lock', channel);
      yield* call(k, 'sleepq_add', channel, 0, k.heap.string('nap'), 0, 0);
      // Up to 9 in ticks, of which there are 1000 a second.
      if (version < 1000000) yield* call(k, 'sleepq_set_timeout', channel, Number(ms));
      else yield* call(k, 'sleepq_set_timeout_sbt', channel, (ms << 32n) / 1000n, 0n, 0);
      results.push(yield* int(k, 'sleepq_timedwait', channel, 0));
    };
    k.threads.adopt(k.scheduler.spawn('early', sleeper(5n)), 'early');
    k.threads.adopt(k.scheduler.spawn('late', sleeper(5000n)), 'late');
    k.runProcess(
      'test',
      (function* () {
        if (version < 1000000) yield* call(k, 'pause', k.heap.string('wait'), 500);
        else yield* call(k, 'pause_sbt', k.heap.string('wait'), 1n << 31n, 0n, 0);
        yield* call(k, 'sleepq_broadcast', channel, 0, 0, 0);
        yield { kind: 'yield' } as const;
      })(),
    );
    expect(results).toEqual([Errno.EWOULDBLOCK, 0]);
  });

  it('lists of names and values are copied and told apart by kind', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const before = [...k.heap.allocations()].length;
        const list = yield* call(k, 'nvlist_create', 0);
        const [name, other, text] = ['path', 'other', '/dev/null'].map((word) => k.heap.string(word));
        yield* call(k, 'nvlist_add_string', list, name, text);
        const copy = yield* call(k, 'nvlist_clone', list);
        yield* call(k, 'nvlist_add_string', list, name, text);
        expect(yield* int(k, 'nvlist_error', list)).toBe(Errno.EEXIST);
        expect(yield* int(k, 'nvlist_error', copy)).toBe(0);
        yield* call(k, 'nvlist_destroy', list);
        expect(yield* int(k, 'nvlist_exists_number', copy, name)).toBe(0);
        expect(k.memory.cstring(yield* call(k, 'nvlist_get_string', copy, name), 32)).toBe('/dev/null');
        expect(yield* call(k, 'dnvlist_get_string', copy, other, text)).toBe(text);
        yield* call(k, 'nvlist_destroy', copy);
        for (const at of [name, other, text]) k.heap.free(at);
        expect([...k.heap.allocations()].length).toBe(before);
      })(),
    );
  });

  it('network interfaces are named, attached once they have a name, and found by it', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const [name, first] = [k.heap.string('log'), k.heap.string('log0')];
        const one = yield* call(k, 'if_alloc', 53);
        yield* call(k, 'if_initname', one, name, 0);
        expect(yield* int(k, 'ifunit', first)).toBe(0);
        yield* call(k, 'if_attach', one);
        expect(yield* call(k, 'ifunit', first)).toBe(one);
        yield* call(k, 'if_printf', one, k.heap.string('mtu %d\n'), 1500);
        expect(k.log.records.at(-1)?.text).toBe('log0: mtu 1500');
        expect([...standing(k)]).toContainEqual({ what: 'network interface', key: one, name: 'log0' });
        yield* call(k, 'if_detach', one);
        yield* call(k, 'if_free', one);
        expect([...standing(k)].filter(({ what }) => what === 'network interface')).toEqual([]);
      })(),
    );
  });

  it('what GENERIC has built in takes registrations by address and by number', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const [control, cipher] = [64, 64].map((bytes) => k.heap.allocate(bytes));
        k.memory.setPtr(control, k.heap.string('amrr'));
        k.memory.setPtr(cipher, k.heap.string('WEP'));
        yield* call(k, 'ieee80211_ratectl_register', 1, control);
        yield* call(k, 'ieee80211_crypto_register', cipher);
        const told = () => [...standing(k)].filter(({ what }) => what.startsWith('802.11'));
        expect(told().map(({ what }) => what)).toEqual(['802.11 rate control', '802.11 cipher']);
        yield* call(k, 'ieee80211_ratectl_unregister', 1);
        yield* call(k, 'ieee80211_crypto_unregister', cipher);
        expect(told()).toEqual([]);
      })(),
    );
  });

  it('a call whose function is put back as it was does not stand', () => {
    const k = boot(version, bits);
    const [number, own] = version < 900044 ? [1, 'sys_exit'] : [1, 'sys_sys_exit'];
    const entry = sysentOf(k, number) + k.offset('sysent.sy_call');
    expect(k.memory.ptr(entry)).toBe(k.symbolAddress(own));
    k.memory.setPtr(entry, 0x1000);
    const changed = () => [...standing(k)].filter(({ what }) => what === 'entry of sysent');
    expect(changed()).toHaveLength(1);
    k.memory.setPtr(entry, k.symbolAddress(own));
    expect(changed()).toEqual([]);
  });

  it('digests are those of MD5, however the data comes', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const [context, data, digest] = [128, 512, 16].map((bytes) => k.heap.allocate(bytes));
        for (const parts of [[], [3], [55], [56, 64], [1, 63, 65, 127]]) {
          yield* call(k, 'MD5Init', context);
          const all = Buffer.from(
            Array.from({ length: parts.reduce((a, b) => a + b, 0) }, (_, i) => i % 251),
          );
          let at = 0;
          for (const part of parts) {
            k.memory.write(data, all.subarray(at, at + part));
            at += part;
            yield* call(k, 'MD5Update', context, data, part);
          }
          yield* call(k, 'MD5Final', digest, context);
          const expected = createHash('md5').update(all).digest('hex');
          expect(Buffer.from(k.memory.bytes(digest, 16)).toString('hex')).toBe(expected);
        }
      })(),
    );
  });
});
