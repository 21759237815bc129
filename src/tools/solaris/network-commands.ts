/** Links of network drivers: dladm(1M) and ifconfig(1M) as far as they go here, and frames in and out. */
import { hexOf } from '../../bytes/hex.ts';
import type { Steps } from '../../kernel/steps.ts';
import { nodes } from '../../systems/solaris/devices.ts';
import { Errno } from '../../systems/solaris/errno.ts';
import { raiseInterrupt } from '../../systems/solaris/functions/interrupts.ts';
import {
  interfaces,
  type NetworkInterface,
  sendFrame,
  startInterface,
  stopInterface,
} from '../../systems/solaris/interfaces.ts';
import type { Solaris } from '../../systems/solaris/solaris.ts';
import type { ToolResult } from '../system.ts';
import { type CommandRow, done, errno, failed } from './results.ts';
import type { SolarisSession } from './session.ts';

const find = (k: Solaris, name = ''): NetworkInterface | undefined =>
  interfaces(k).find((one) => one.name === name);

/** MAC_STAT_IFSPEED (sys/mac.h). */
const IFSPEED = 1000;

/** Megabits a second; 0 where the driver does not say. */
function* speedOf(k: Solaris, one: NetworkInterface): Steps<number> {
  const { statistic } = one.operations;
  if (statistic === 0) return 0;
  const at = k.heap.take(8);
  const status = yield* k.callInt(statistic, one.driver, IFSPEED, at);
  const speed = status === 0 ? Number(k.memory.u64(at)) / 1e6 : 0;
  k.heap.free(at);
  return speed;
}

/** dladm show-phys: columns as illumos has them. */
function dladm(session: SolarisSession, [command]: readonly string[]): ToolResult {
  const { kernel } = session;
  if (command !== 'show-phys') return failed('usage: dladm show-phys');
  return session.process(
    'dladm',
    (function* (): Steps<ToolResult> {
      let out = 'LINK         MEDIA                STATE      SPEED  DUPLEX    DEVICE\n';
      for (const one of interfaces(kernel)) {
        const speed = String(yield* speedOf(kernel, one)).padEnd(6);
        const columns = [one.name.padEnd(12), 'Ethernet'.padEnd(20), one.link.padEnd(10), speed, 'unknown  '];
        out += `${columns.join(' ')} ${one.name}\n`;
      }
      return done(out);
    })(),
  );
}

/** Flags of an interface that is plumbed: BROADCAST, RUNNING, MULTICAST, IPv4 (sys/net/if.h). */
const FLAGS = '1000842<BROADCAST,RUNNING,MULTICAST,IPv4>';

/** ifconfig -a | NAME plumb | NAME unplumb: there is no IP above, so it starts and stops the link. */
function ifconfig(session: SolarisSession, [name, verb]: readonly string[]): ToolResult {
  const { kernel } = session;
  if (name === '-a')
    return done(
      interfaces(kernel)
        .filter(({ started }) => started)
        .map((one, i) => {
          const address = [...one.address].map((byte) => byte.toString(16)).join(':');
          return `${one.name}: flags=${FLAGS} mtu ${one.maximum} index ${i + 2}\n\tinet 0.0.0.0 netmask 0 \n\tether ${address} \n`;
        })
        .join(''),
    );
  const one = find(kernel, name);
  if (verb !== 'plumb' && verb !== 'unplumb') return failed('usage: ifconfig -a | NAME plumb|unplumb');
  if (!session.isRoot) return failed(`ifconfig: ${verb}: ${name}: Permission denied`);
  if (one === undefined || (verb === 'unplumb' && !one.started))
    return failed(`ifconfig: ${verb}: SIOCGLIFFLAGS: ${name}: no such interface`);
  return session.process(
    'ifconfig',
    (function* (): Steps<ToolResult> {
      if (verb === 'unplumb') yield* stopInterface(kernel, one);
      else {
        const status = yield* startInterface(kernel, one);
        if (status !== 0) return errno(`ifconfig: cannot open link "${name}"`, status);
      }
      return done();
    })(),
  );
}

/** frame NAME HEX: sends it. Without HEX: what came up since it was last asked. */
function frame(session: SolarisSession, [name, ...hex]: readonly string[]): ToolResult {
  const { kernel } = session;
  const one = find(kernel, name);
  if (one === undefined) return failed(`frame: ${name ?? ''}: no such interface`);
  if (hex.length === 0)
    return done(
      one.received
        .splice(0)
        .map((bytes) => `${hexOf(bytes, ' ')}\n`)
        .join(''),
    );
  const text = hex.join('');
  if (!/^([0-9a-f]{2}){1,2000}$/i.test(text)) return failed('usage: frame NAME [BYTES in hexadecimal]');
  const bytes = Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  return session.process(
    'frame',
    (function* (): Steps<ToolResult> {
      const status = yield* sendFrame(kernel, one, bytes);
      return status === 0 ? done() : errno('frame', status);
    })(),
  );
}

/** interrupt NODE [N]: raises an interrupt of a device, as its hardware would. */
function interrupt(session: SolarisSession, [name, number = '0']: readonly string[]): ToolResult {
  const { kernel } = session;
  const dip = nodes(kernel).find((at) => {
    const node = kernel.readString('dev_info.devi_node_name', at);
    return name === node || name === `${node}@${kernel.readString('dev_info.devi_addr', at)}`;
  });
  if (dip === undefined) return errno(`interrupt: ${name ?? ''}`, Errno.ENXIO);
  return session.process(
    'interrupt',
    (function* (): Steps<ToolResult> {
      const claimed = yield* raiseInterrupt(kernel, dip, Number(number) || 0);
      if (claimed === undefined) return failed(`interrupt: ${name}: no handler`);
      return done(claimed ? 'claimed\n' : 'not claimed\n');
    })(),
  );
}

export const networkCommands: readonly CommandRow[] = [
  { name: 'dladm', usage: 'show-phys', summary: 'show the links of network drivers', run: dladm },
  {
    name: 'ifconfig',
    usage: '-a | NAME plumb|unplumb',
    summary: 'start or stop a link; there is no IP above it',
    run: ifconfig,
  },
  { name: 'frame', usage: 'NAME [HEX]', summary: 'send a frame, or show those that came', run: frame },
  { name: 'interrupt', usage: 'NODE [N]', summary: 'raise an interrupt of a device', run: interrupt },
];
