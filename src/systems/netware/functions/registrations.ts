/** What modules register with the server: console commands, event notifications, interrupt handlers. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { NetWare } from '../netware.ts';

const functions = definer<NetWare>();

/** The events that happen here, by number. */
export const EVENT = { MODULE_UNLOAD: 8 } as const;

interface Notification {
  readonly event: number;
  readonly report: number;
}

interface Handler {
  readonly level: number;
  readonly routine: number;
}

const registered = perKernel(() => ({
  /** commandParserStructure addresses, newest first. */
  commands: [] as number[],
  events: new Map<number, Notification>(),
  interrupts: [] as Handler[],
}));

export const registrationFunctions = functions({
  'LONG RegisterConsoleCommand(struct commandParserStructure *parser)': (k, parser) => {
    const { commands } = k.state(registered);
    k.write('struct commandParserStructure.Link', parser, commands[0] ?? 0);
    commands.unshift(parser);
    k.resources.take(k.read('struct commandParserStructure.RTag', parser), parser, () =>
      dropCommand(k, parser),
    );
    return 0;
  },
  'LONG UnRegisterConsoleCommand(struct commandParserStructure *parser)': (k, parser) => {
    const known = dropCommand(k, parser);
    k.resources.returned(parser);
    return known ? 0 : 1;
  },
  'LONG RegisterForEventNotification(RTAG tag, LONG event, LONG priority, void *warn, void *report)': (
    k,
    tag,
    event,
    _priority,
    _warn,
    report,
  ) => {
    const id = k.pool.allocate(16);
    k.state(registered).events.set(id, { event, report });
    k.resources.take(tag, id, () => dropEvent(k, id));
    return id;
  },
  'LONG UnregisterEventNotification(LONG id)': (k, id) => {
    const known = dropEvent(k, id);
    k.resources.returned(id);
    return known ? 0 : 1;
  },
  'LONG SetHardwareInterrupt(BYTE level, void *routine, RTAG tag, BYTE endOfChain, BYTE share, LONG *eoi)': (
    k,
    level,
    routine,
    tag,
    _end,
    share,
    eoi,
  ) => {
    const { interrupts } = k.state(registered);
    if (share === 0 && interrupts.some((one) => one.level === level)) return 1;
    const handler = { level, routine };
    interrupts.push(handler);
    k.resources.take(tag, routine, () => dropInterrupt(k, level, routine));
    if (eoi !== 0) k.memory.set32(eoi, level >= 8 ? 1 : 0);
    return 0;
  },
  'LONG ClearHardwareInterrupt(BYTE level, void *routine)': (k, level, routine) => {
    const known = dropInterrupt(k, level, routine);
    k.resources.returned(routine);
    return known ? 0 : 1;
  },
});

function dropCommand(k: NetWare, parser: number): boolean {
  const { commands } = k.state(registered);
  const at = commands.indexOf(parser);
  if (at < 0) return false;
  commands.splice(at, 1);
  // The list that machine code could walk stays whole.
  if (at > 0) k.write('struct commandParserStructure.Link', commands[at - 1], commands[at] ?? 0);
  return true;
}

function dropEvent(k: NetWare, id: number): boolean {
  k.pool.free(id);
  return k.state(registered).events.delete(id);
}

function dropInterrupt(k: NetWare, level: number, routine: number): boolean {
  const { interrupts } = k.state(registered);
  const at = interrupts.findIndex((one) => one.level === level && one.routine === routine);
  if (at >= 0) interrupts.splice(at, 1);
  return at >= 0;
}

/** Offers a line to the registered parsers, newest first; true when one took it (it returned 0). */
export function* offerCommand(k: NetWare, line: string): Steps<boolean> {
  const at = k.pool.allocate(line.length + 1);
  try {
    for (const parser of [...k.state(registered).commands]) {
      k.memory.write(at, bytesOf(`${line}\0`));
      const routine = k.read('struct commandParserStructure.parseRoutine', parser);
      if ((yield* k.callInt(routine, k.screens.console.id, at)) === 0) return true;
    }
    return false;
  } finally {
    k.pool.free(at);
  }
}

/** Tells those that asked for it that something happened. */
export function* reportEvent(k: NetWare, event: number, parameter: number): Steps<void> {
  for (const { event: wanted, report } of [...k.state(registered).events.values()])
    if (wanted === event && report !== 0) yield* k.call(report, parameter);
}

/** Events that were asked for and never happen here. */
export function unheardEvents(k: NetWare): number[] {
  const happening: readonly number[] = Object.values(EVENT);
  return [...k.state(registered).events.values()]
    .map(({ event }) => event)
    .filter((event) => !happening.includes(event));
}

/** Lets an interrupt happen, as a device would; false when nothing handles it. */
export function raiseInterrupt(k: NetWare, level: number): boolean {
  const handlers = k.state(registered).interrupts.filter((one) => one.level === level);
  for (const { routine } of handlers) k.scheduler.interrupt(`interrupt ${level}`, () => k.call(routine));
  return handlers.length > 0;
}

/** Everything that is registered now. */
export function* registrationsNow(k: NetWare): Generator<StandingThing> {
  const { commands, events, interrupts } = k.state(registered);
  for (const parser of commands) {
    const routine = k.read('struct commandParserStructure.parseRoutine', parser);
    yield { what: 'console command', key: parser, name: k.describe(routine) };
  }
  for (const [id, { event, report }] of events)
    yield { what: 'event listener', key: id, name: `event ${event}: ${k.describe(report)}` };
  for (const { level, routine } of interrupts) {
    const name = `${level}: ${k.describe(routine)}`;
    yield { what: 'interrupt handler', key: `${level} ${routine}`, name };
  }
}

export function registeredInterrupts(k: NetWare): readonly Handler[] {
  return k.state(registered).interrupts;
}
