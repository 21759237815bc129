/** Looking inside a kernel as it runs: what --trace and --profile do, whatever the system. */
import type { Kernel } from '../kernel/kernel.ts';
import { type CallEvent, CallTrace } from '../kernel/trace/calls.ts';
import { flameGraph } from '../kernel/trace/flame.ts';
import { traceInstructions } from '../kernel/trace/instructions.ts';
import { Profile } from '../kernel/trace/profile.ts';
import type { CommandContext } from './command.ts';
import { printable } from './printable.ts';

/** Calls that a JSON result holds at most. */
const MAX_EVENTS = 100_000;

/** Begins to look as the options say; `finish` ends it and writes what has to be written. */
export class Looking {
  readonly #context: CommandContext;
  readonly #events: CallEvent[] | undefined;
  readonly #calls: CallTrace | undefined;
  readonly #profile: { readonly path: string; readonly profile: Profile } | undefined;
  #dropped = 0;

  constructor(context: CommandContext, k: Kernel) {
    this.#context = context;
    const { options } = context;
    const traces = options.list('trace');
    const json = context.spec.shared.includes('json') && options.flag('json');
    const line = (text: string): void => context.err(`${printable(text)}\n`);
    if (traces.includes('calls')) {
      const events: CallEvent[] = [];
      this.#events = json ? events : undefined;
      this.#calls = new CallTrace(k, json ? () => {} : line, (event) => {
        if (!json) return;
        if (events.length < MAX_EVENTS) events.push(event);
        else this.#dropped++;
      });
      k.watcher = this.#calls;
    }
    if (traces.includes('insn')) traceInstructions(k, line);
    const path = options.text('profile');
    if (path !== undefined) this.#profile = { path, profile: new Profile(k) };
  }

  /** What a JSON result says of it. */
  get result(): Record<string, unknown> {
    if (this.#events === undefined) return {};
    const calls = [...this.#events].sort((a, b) => a.at - b.at || a.depth - b.depth);
    return { calls, callsDropped: this.#dropped };
  }

  finish(): void {
    this.#calls?.flush();
    if (this.#profile === undefined) return;
    const { path, profile } = this.#profile;
    const { samples, every } = profile;
    const title = `${samples} samples, one every ${every} instructions`;
    this.#context.writeFile(
      path,
      path.endsWith('.folded') ? profile.folded() : flameGraph(profile.stacks, title),
    );
    this.#context.err(`${path}: ${title}\n`);
    if (samples === 0)
      this.#context.err('  too few were executed for one: --trace insn shows each of them\n');
  }
}
