/** Screens: text that modules write, line by line. The system console is the one that is always there. */
import { bytesOf } from '../../kernel/text/sink.ts';
import type { Thread } from '../../kernel/thread.ts';
import type { Address } from '../../memory/address.ts';
import type { NetWare } from './netware.ts';

const LEVEL = 6;
const MAX_LINE = 4096;
export const SYSTEM_CONSOLE = 'System Console';

export interface Screen {
  readonly id: Address;
  readonly name: string;
  line: string;
  /** Keys that were pressed and not read yet, as characters; and who waits for one. */
  readonly keys: number[];
  readonly waiting: Thread[];
}

export class Screens {
  private readonly k: NetWare;
  private readonly all = new Map<Address, Screen>();
  readonly console: Screen;
  /** The one that a person would look at. */
  shown: Screen;

  constructor(k: NetWare) {
    this.k = k;
    this.console = this.open(SYSTEM_CONSOLE);
    this.shown = this.console;
  }

  open(name: string): Screen {
    const id = this.k.pool.allocate(32);
    const screen: Screen = { id, name, line: '', keys: [], waiting: [] };
    if (id !== 0) this.all.set(id, screen);
    return screen;
  }

  close(id: Address): boolean {
    const screen = this.all.get(id);
    if (screen === undefined || screen === this.console) return false;
    this.flush(screen);
    if (this.shown === screen) this.shown = this.console;
    this.all.delete(id);
    this.k.pool.free(id);
    return true;
  }

  /** The console for what is no screen: messages are not to be lost. */
  get(id: Address): Screen {
    return this.all.get(id) ?? this.console;
  }

  has(id: Address): boolean {
    return this.all.has(id);
  }

  [Symbol.iterator](): Iterator<Screen> {
    return this.all.values();
  }

  /** Somebody types on the screen that is shown. */
  press(text: string): void {
    const { keys, waiting } = this.shown;
    for (const byte of bytesOf(text)) keys.push(byte);
    for (const thread of waiting.splice(0)) this.k.scheduler.wake(thread);
  }

  write(screen: Screen, text: string): void {
    screen.line += text.replaceAll('\r', '').replaceAll('\x07', '');
    for (let end = screen.line.indexOf('\n'); end >= 0; end = screen.line.indexOf('\n')) {
      this.show(screen, screen.line.slice(0, end));
      screen.line = screen.line.slice(end + 1);
    }
    if (screen.line.length > MAX_LINE) this.flush(screen);
  }

  /** Lines of the server's own on the console. */
  say(text: string): void {
    this.flush(this.console);
    for (const line of text.split('\n')) this.show(this.console, line);
  }

  flushAll(): void {
    for (const screen of this.all.values()) this.flush(screen);
  }

  private flush(screen: Screen): void {
    if (screen.line === '') return;
    const { line } = screen;
    screen.line = '';
    this.show(screen, line);
  }

  private show(screen: Screen, line: string): void {
    this.k.log.write(LEVEL, screen === this.console ? line : `[${screen.name}] ${line}`);
  }
}
