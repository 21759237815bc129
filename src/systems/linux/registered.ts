/**
 * Things a module registered that the base kernel keeps, checks and takes back, but that nothing in it can put to
 * use: a driver of a bus without devices, a protocol without a network. A module whose work is such a thing has been
 * loaded, not tried, and reports say so.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import type { Linux } from './linux.ts';

/** One registration that has no use here. */
export interface RegisteredOnly {
  /** The kind, in the kernel's word: `pci driver`, `tcp congestion control`... */
  readonly what: string;
  readonly name: string;
}

const noted = perKernel<RegisteredOnly[], Linux>(() => []);

/** Notes that something was registered that nobody can invoke. */
export function registeredOnly(k: Linux, what: string, name: string): void {
  k.state(noted).push({ what, name });
}

/** Takes a note back: what was registered has been put to use after all. */
export function putToUse(k: Linux, what: string, name: string): void {
  const list = k.state(noted);
  const at = list.findIndex((one) => one.what === what && one.name === name);
  if (at >= 0) list.splice(at, 1);
}

/** Everything noted since the kernel booted, in order; unregistering does not take it off the list. */
export function registrations(k: Linux): readonly RegisteredOnly[] {
  return k.state(noted);
}

/** What is registered now, by kind and by the address of the guest's structure. */
const tables = perKernel<Map<string, Map<Address, string>>, Linux>(() => new Map());

/** The live registrations of one kind: address of the structure to its name. */
export function registered(k: Linux, what: string): Map<Address, string> {
  const kinds = k.state(tables);
  let table = kinds.get(what);
  if (table === undefined) {
    table = new Map();
    kinds.set(what, table);
  }
  return table;
}

/** Every live registration, of all kinds. */
export function* liveRegistrations(k: Linux): Generator<{ what: string; at: Address; name: string }> {
  for (const [what, table] of k.state(tables)) for (const [at, name] of table) yield { what, at, name };
}

export interface Rule {
  /** The error for a structure that is registered already; -EBUSY where the kernel says nothing else. */
  readonly twice?: number;
  /** The error for a second structure of the same name; names may repeat when it is left out. */
  readonly sameName?: number;
}

/** Registers a structure that nobody can invoke: 0 or a negative errno. */
export function register(k: Linux, what: string, at: Address, name: string, rule: Rule = {}): number {
  const table = registered(k, what);
  if (table.has(at)) return rule.twice ?? -Errno.EBUSY;
  if (rule.sameName !== undefined && [...table.values()].includes(name)) return rule.sameName;
  table.set(at, name);
  registeredOnly(k, what, name);
  return 0;
}

/** Takes a registration back; false when there was none. */
export function unregister(k: Linux, what: string, at: Address): boolean {
  return registered(k, what).delete(at);
}
