/**
 * Interrupt lines (kernel/irq/manage.c): the sixteen of a PC, with no device behind any. Handlers are kept and checked as the
 * kernel does; the console's `interrupt N` lets one happen.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { interrupt } from './sched.ts';

/** The lines that are there without a device: those of the old controllers. The timer has the first. */
const LINES = 16;
const TIMER = 0;

const IRQF_TRIGGER_MASK = 0xf;
const IRQF_SHARED = 0x80;
const IRQF_PROBE_SHARED = 0x100;
/** What the timer of a PC asks for: IRQF_NOBALANCING, IRQF_IRQPOLL and IRQF_TIMER. */
const TIMER_FLAGS = 0x15a00;
const IRQF_ONESHOT = 0x2000;
/** What a handler answers: not mine; done; the thread is to go on with it. */
const IRQ_WAKE_THREAD = 2;

interface Action {
  readonly line: number;
  readonly handler: Address;
  readonly threadFunction: Address;
  readonly flags: number;
  /** As text, and where the module has it. */
  readonly name: string;
  readonly nameAt: Address;
  readonly device: Address;
  /** Of a threaded handler, with how often it was asked for since it last ran. */
  thread: Thread | undefined;
  wanted: number;
  ended: boolean;
}

const lines = perKernel(() => ({
  actions: [] as Action[],
  /** disable_irq calls not yet undone, by line. */
  disabled: new Map<number, number>(),
  counts: new Map<number, number>(),
}));

const isLine = (line: number): boolean => line >= 0 && line < LINES;

function request(
  k: Linux,
  line: number,
  handler: Address,
  threadFunction: Address,
  flags: number,
  name: Address,
  device: Address,
): number {
  if ((flags & IRQF_SHARED) !== 0 && device === 0) return -Errno.EINVAL;
  if (!isLine(line) || (handler === 0 && threadFunction === 0)) return -Errno.EINVAL;
  const { actions } = k.state(lines);
  const text = name === 0 ? '' : k.memory.cstring(name);
  if (handler === 0 && (flags & IRQF_ONESHOT) === 0) {
    k.printk(3, `genirq: Threaded irq requested with handler=NULL and !ONESHOT for ${text} (irq ${line})`);
    return -Errno.EINVAL;
  }
  const timer = { flags: TIMER_FLAGS, name: 'timer' };
  const there = line === TIMER ? timer : actions.find((one) => one.line === line);
  if (there !== undefined && !shareable(flags, there.flags)) {
    if ((flags & IRQF_PROBE_SHARED) === 0) {
      const [mine, its] = [flags, there.flags].map((one) => (one >>> 0).toString(16).padStart(8, '0'));
      k.printk(3, `genirq: Flags mismatch irq ${line}. ${mine} (${text}) vs. ${its} (${there.name})`);
    }
    return -Errno.EBUSY;
  }
  const action: Action = {
    line,
    handler,
    threadFunction,
    flags,
    name: text,
    nameAt: name,
    device,
    thread: undefined,
    wanted: 0,
    ended: false,
  };
  if (threadFunction !== 0)
    action.thread = k.tasks.spawn(`irq/${line}-${text}`.slice(0, 15), serve(k, action));
  actions.push(action);
  return 0;
}

/** Both say that they share, and agree on the trigger and on how long the line stays masked. */
function shareable(mine: number, its: number): boolean {
  const same = (mask: number) => ((mine ^ its) & mask) === 0;
  return (mine & its & IRQF_SHARED) !== 0 && same(IRQF_TRIGGER_MASK) && same(IRQF_ONESHOT);
}

/** The thread of a handler: it runs once for each time it was woken. */
function* serve(k: Linux, action: Action): Steps<void> {
  while (!action.ended) {
    while (action.wanted === 0 && !action.ended) yield* block(`irq ${action.line}`);
    if (action.ended) return;
    action.wanted = 0;
    yield* k.call(action.threadFunction, action.line, action.device);
  }
}

/** free_irq: its name, or 0 when nothing was requested with this cookie. */
function free(k: Linux, line: number, device: Address): Address {
  const { actions } = k.state(lines);
  const at = actions.findIndex((one) => one.line === line && one.device === device);
  if (at < 0) {
    if (isLine(line)) kernelWarning(k, 'kernel/irq/manage.c', `Trying to free already-free IRQ ${line}`);
    return 0;
  }
  const [action] = actions.splice(at, 1);
  action.ended = true;
  if (action.thread !== undefined) k.scheduler.wake(action.thread);
  return action.nameAt;
}

/** Lets an interrupt happen, as a device would; false when nobody handles the line or it is off. */
export function raiseInterrupt(k: Linux, line: number): boolean {
  const { actions, disabled, counts } = k.state(lines);
  const mine = actions.filter((one) => one.line === line);
  if (mine.length === 0 || (disabled.get(line) ?? 0) > 0) return false;
  counts.set(line, (counts.get(line) ?? 0) + 1);
  interrupt(k, `interrupt ${line}`, function* () {
    for (const action of mine) {
      const answer =
        action.handler === 0 ? IRQ_WAKE_THREAD : yield* k.callInt(action.handler, line, action.device);
      if (answer !== IRQ_WAKE_THREAD || action.thread === undefined) continue;
      action.wanted++;
      k.scheduler.wake(action.thread);
    }
  });
  return true;
}

/** Handlers that are registered now. */
export function* interruptHandlers(k: Linux): Generator<{ key: string; name: string }> {
  for (const { line, device, name } of k.state(lines).actions)
    yield { key: `${line} ${device}`, name: `${line} (${name})` };
}

/** Lines of /proc/interrupts that somebody handles: the column of one processor, the controller, the names. */
export function procInterrupts(k: Linux): string {
  const { actions, counts } = k.state(lines);
  const used = [...new Set(actions.map(({ line }) => line))].sort((a, b) => a - b);
  const rows = used.map((line) => {
    const names = actions.filter((one) => one.line === line).map(({ name }) => name);
    const count = String(counts.get(line) ?? 0).padStart(10);
    return `${String(line).padStart(3)}: ${count}   IO-APIC ${String(line).padStart(3)}-edge      ${names.join(', ')}\n`;
  });
  return `           CPU0       \n${rows.join('')}`;
}

function switchLine(k: Linux, line: number, change: number): void {
  const { disabled } = k.state(lines);
  const depth = (disabled.get(line) ?? 0) + change;
  if (depth < 0) kernelWarning(k, 'kernel/irq/manage.c', `Unbalanced enable for IRQ ${line}`);
  disabled.set(line, Math.max(0, depth));
}

export const interruptFunctions = kernelFunctions({
  'int request_threaded_irq(unsigned int irq, irq_handler_t handler, irq_handler_t thread_fn, unsigned long irqflags, const char *devname, void *dev_id)':
    request,
  'const void *free_irq(unsigned int irq, void *dev_id)': free,
  'void disable_irq(unsigned int irq)': (k, line) => switchLine(k, line, 1),
  'void disable_irq_nosync(unsigned int irq)': (k, line) => switchLine(k, line, 1),
  'void enable_irq(unsigned int irq)': (k, line) => switchLine(k, line, -1),
});
