/**
 * A trace of calls: each kernel function that machine code calls, with its arguments and result by its C prototype,
 * and each call of the kernel into machine code, nested by thread.
 */
import type { Argument, VarArgs } from '../../abi/convention.ts';
import { type CType, resolve } from '../../ctypes/type.ts';
import type { Address } from '../../memory/space.ts';
import type { Kernel } from '../kernel.ts';
import type { GuestValue } from '../steps.ts';
import type { Thread } from '../thread.ts';
import type { CallWatcher, KernelCall } from '../watch.ts';
import { formatArguments, pointerText, valueText } from './values.ts';

/** A traced call or return, as a line for people and in pieces for programs. */
export interface CallEvent {
  readonly thread: string;
  /** The kernel's number of the thread: names need not differ. */
  readonly id: number;
  readonly depth: number;
  /** Instructions retired since the start. */
  readonly at: number;
  readonly kind: 'kernel' | 'guest';
  readonly name: string;
  readonly arguments: readonly { readonly name: string; readonly text: string }[];
  /** Where the call came from; empty for one out of the kernel. */
  readonly from: string;
  /** Undefined while it has not returned, or never will. */
  result: string | undefined;
  /** Something was shown between the call and its return. */
  nested: boolean;
}

const INDENT = '  ';
const THREAD_COLUMN = 14;

export class CallTrace implements CallWatcher {
  readonly #k: Kernel;
  readonly #line: (text: string) => void;
  readonly #event: (event: CallEvent) => void;
  readonly #open = new Map<Thread, CallEvent[]>();
  readonly #types = new WeakMap<CallEvent, CType>();
  /** Called, and nothing was told since: its result may stand in the same line. */
  #pending: CallEvent | undefined;

  /** `line` gets lines as they are complete, `event` every call once it has returned. */
  constructor(k: Kernel, line: (text: string) => void, event: (event: CallEvent) => void = () => {}) {
    this.#k = k;
    this.#line = line;
    this.#event = event;
  }

  called(thread: Thread, call: KernelCall): void {
    const byKernel = call.from === this.#k.scheduler.returnAddress;
    const from = byKernel ? '' : pointerText(this.#k, call.from);
    const event = this.#begin(thread, 'kernel', call.name, this.#arguments(call), from);
    if (call.prototype !== undefined) this.#types.set(event, call.prototype.returns);
  }

  returned(thread: Thread, name: string, value: unknown): void {
    this.#end(thread, 'kernel', name, (event) => this.#result(this.#types.get(event), value));
  }

  entered(thread: Thread, address: Address, args: readonly GuestValue[]): void {
    // A kernel function by its address, as a callback: it tells of itself.
    if (this.#k.boundName(address) !== undefined) return;
    const texts = args.map((value) => ({ name: '', text: this.#plain(value) }));
    this.#begin(thread, 'guest', pointerText(this.#k, address), texts, '');
  }

  left(thread: Thread, address: Address, result: number): void {
    if (this.#k.boundName(address) !== undefined) return;
    this.#end(thread, 'guest', pointerText(this.#k, address), () => this.#plain(result));
  }

  /** Tells what has been called and has not returned. */
  flush(): void {
    const { name, depth } = this.#pending ?? { name: '', depth: 0 };
    if (this.#pending === undefined) return;
    this.#pending.nested = true;
    this.#write(this.#pending, depth, `${name}${argumentText(this.#pending)} {${origin(this.#pending)}`);
    this.#pending = undefined;
  }

  #result(type: CType | undefined, value: unknown): string {
    if (value === undefined || value === null || (type !== undefined && resolve(type).kind === 'void'))
      return '';
    if (Array.isArray(value)) return `{${value.join(', ')}}`;
    return type === undefined ? this.#plain(value as GuestValue) : valueText(this.#k, type, value);
  }

  /** A value whose type nobody knows. */
  #plain(value: GuestValue): string {
    if (typeof value === 'boolean') return String(value);
    const near = this.#k.nearest(Number(value));
    if (near !== undefined) return pointerText(this.#k, Number(value));
    const number = BigInt(value);
    if (number > -4096n && number < 65536n) return number.toString();
    return `0x${BigInt.asUintN(this.#k.types.model.pointer * 8, number).toString(16)}`;
  }

  #arguments({ prototype, text, args }: KernelCall): CallEvent['arguments'] {
    if (prototype === undefined)
      return args.map((value) => ({ name: '', text: this.#plain(value as number) }));
    const constant = constantParameters(text);
    const shown = prototype.parameters.map(({ name, type }, n) => ({
      name,
      text: valueText(this.#k, type, args[n], constant[n] === true),
    }));
    const more = args[prototype.parameters.length];
    const last = prototype.parameters.length - 1;
    if (!prototype.variadic || !isVarArgs(more) || last < 0) return shown;
    const format = args[last];
    if (constant[last] !== true || typeof format !== 'number') return [...shown, { name: '', text: '...' }];
    return [...shown, ...formatArguments(this.#k, format, more).map((one) => ({ name: '', text: one }))];
  }

  #begin(
    thread: Thread,
    kind: CallEvent['kind'],
    name: string,
    args: CallEvent['arguments'],
    from: string,
  ): CallEvent {
    this.flush();
    let open = this.#open.get(thread);
    if (open === undefined) {
      open = [];
      this.#open.set(thread, open);
      thread.onExit(() => this.#ended(thread));
    }
    const event: CallEvent = {
      thread: thread.name,
      id: thread.id,
      depth: open.length,
      at: this.#k.cpu.retired,
      kind,
      name,
      arguments: args,
      from,
      result: undefined,
      nested: false,
    };
    open.push(event);
    this.#pending = event;
    return event;
  }

  #end(thread: Thread, kind: CallEvent['kind'], name: string, result: (event: CallEvent) => string): void {
    const open = this.#open.get(thread) ?? [];
    // Calls that were left without a return (a fault that was mended) are closed with the one around them.
    const at = open.findLastIndex((event) => event.kind === kind && event.name === name);
    if (at < 0) return;
    const last = open[at];
    for (const event of open.splice(at).reverse()) {
      const text = event === last ? result(event) : '';
      if (text !== '') event.result = text;
      const equals = text === '' ? '' : ` = ${text}`;
      if (event === this.#pending) {
        this.#write(event, event.depth, `${name}${argumentText(event)}${equals}${origin(event)}`);
        this.#pending = undefined;
      } else if (event.nested) this.#write(event, event.depth, `} ${event.name}${equals}`);
      this.#event(event);
    }
  }

  #ended(thread: Thread): void {
    if (this.#pending !== undefined && this.#open.get(thread)?.includes(this.#pending)) this.flush();
    const open = this.#open.get(thread) ?? [];
    for (const event of open) this.#event(event);
    if (open.length > 0)
      this.#line(`${column(open[0])} thread ended in ${open.map(({ name }) => name).join(' > ')}`);
    this.#open.delete(thread);
  }

  #write(event: CallEvent, depth: number, text: string): void {
    this.#line(`${column(event)} ${INDENT.repeat(depth)}${text}`);
  }
}

function column({ thread, id }: CallEvent): string {
  return `${thread}:${id}`.padEnd(THREAD_COLUMN);
}

function argumentText(event: CallEvent): string {
  return `(${event.arguments.map(({ name, text }) => (name === '' ? text : `${name}=${text}`)).join(', ')})`;
}

function origin({ from }: CallEvent): string {
  return from === '' ? '' : `  <- ${from}`;
}

function isVarArgs(value: Argument | undefined): value is VarArgs {
  return typeof value === 'object' && value !== null && 'copy' in value;
}

/** Which parameters of a prototype's text begin with const: memory that the function only reads. */
function constantParameters(text: string): boolean[] {
  const inner = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
  const constant: boolean[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= inner.length; at++) {
    const char = inner[at];
    if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (at === inner.length || (char === ',' && depth === 0)) {
      constant.push(/\bconst\b/.test(inner.slice(start, at)));
      start = at + 1;
    }
  }
  return constant;
}
