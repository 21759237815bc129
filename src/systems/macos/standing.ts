/**
 * What stands in a macOS kernel that kexts registered (kernel/standing.ts). The kernel itself takes back a kext's personalities
 * and its services; everything else is the kext's to take back in its stop.
 */
import { FILE, MODULE, type StandingThing } from '../../kernel/standing.ts';
import { controls } from './functions/bsd/control.ts';
import { network } from './functions/bsd/network.ts';
import { authorization, policyName } from './functions/bsd/security.ts';
import { fileSystems } from './functions/bsd/vfs.ts';
import { devices, switchesInUse } from './functions/devices.ts';
import { pendingTimers } from './functions/iokit/workloop.ts';
import { standingSysctls } from './functions/sysctl.ts';
import { pendingCalls } from './functions/threads.ts';
import type { Macos } from './macos.ts';
import { services } from './runtime/services.ts';

export function* standing(k: Macos): Generator<StandingThing> {
  for (const { identifier, base } of k.kexts.all)
    yield { what: MODULE, key: identifier, name: `${identifier} at ${base}` };
  for (const { name } of k.state(devices).nodes.values())
    yield { what: FILE, key: `/dev/${name}`, name: `/dev/${name}` };
  for (const major of switchesInUse(k))
    yield { what: 'device switch', key: major, name: `major number ${major}` };
  yield* standingSysctls(k);
  for (const [key, { name }] of k.state(controls).all) yield { what: 'kernel control', key, name };
  yield* ofTheNetwork(k);
  const { listeners, scopes, policies } = k.state(authorization);
  for (const [key, { scope }] of scopes) yield { what: 'kauth scope', key, name: scope };
  for (const { scope, callback } of listeners)
    yield { what: 'kauth listener', key: `${scope} ${callback}`, name: `${scope} (${k.describe(callback)})` };
  for (const [key, policy] of policies) yield { what: 'security policy', key, name: policyName(k, policy) };
  for (const [key, { name }] of k.state(fileSystems).all) yield { what: 'file system', key, name };
  yield* ofServices(k);
  for (const [key, routine] of pendingCalls(k)) yield { what: 'thread call', key, name: k.describe(routine) };
  for (const [key, routine] of pendingTimers(k)) yield { what: 'timer', key, name: k.describe(routine) };
  for (const { id, name } of k.scheduler.threads) yield { what: 'thread', key: id, name };
}

function* ofTheNetwork(k: Macos): Generator<StandingThing> {
  const { interfaces, filters, protocols, plumbers } = k.state(network);
  for (const at of interfaces) yield { what: 'network interface', key: at, name: k.describe(at) };
  for (const [key, { kind, name }] of filters) yield { what: kind, key, name };
  for (const key of protocols.keys()) yield { what: 'network protocol', key, name: key };
  for (const key of plumbers.keys()) yield { what: 'protocol plumber', key, name: key };
}

function* ofServices(k: Macos): Generator<StandingThing> {
  const { notifications, interests } = k.state(services);
  for (const { notifier, kind, handler } of notifications)
    yield { what: 'service notification', key: notifier, name: `${kind} (${k.describe(handler)})` };
  for (const { notifier, kind, handler } of interests)
    yield { what: 'interest in a service', key: notifier, name: `${kind} (${k.describe(handler)})` };
}
