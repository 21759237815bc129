/** The server's side of gdb's remote serial protocol (GDB manual, appendix E), for any system's kernel. */

import { hexOf } from '../../bytes/hex.ts';
import type { DebugClient, DebugControl, Resume, Stop, WatchKind } from '../../kernel/debug/control.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Thread } from '../../kernel/thread.ts';
import { type Address, GuestFault } from '../../memory/space.ts';
import { librariesXml } from './libraries.ts';
import { monitor } from './monitor.ts';
import { bytesOf, framed, PACKET_BYTES, PacketReader } from './packets.ts';
import { RegisterSet } from './registers.ts';
import type { WaitingSocket } from './socket.ts';

/** Signals as gdb numbers them (include/gdb/signals.def). */
const SIGNAL = { INT: 2, ILL: 4, TRAP: 5, FPE: 8, SEGV: 11 } as const;
/** Exceptions of x86 that are no bad access. */
const SIGNALS: Readonly<Record<number, number>> = {
  0: SIGNAL.FPE,
  1: SIGNAL.TRAP,
  3: SIGNAL.TRAP,
  6: SIGNAL.ILL,
};
const FEATURES = [
  `PacketSize=${PACKET_BYTES.toString(16)}`,
  'QStartNoAckMode+',
  'qXfer:features:read+',
  'qXfer:libraries:read+',
  'vContSupported+',
  'swbreak+',
  'hwbreak+',
  'ReverseStep+',
  'ReverseContinue+',
].join(';');

/** Types of points that watch, and what their stops are called. */
const WATCH_KINDS: Readonly<Record<string, WatchKind>> = { 2: 'write', 3: 'read', 4: 'access' };
const WATCHES: Readonly<Record<WatchKind, string>> = { write: 'watch', read: 'rwatch', access: 'awatch' };

/** Answers of an error: gdb does not look at the number. */
const ERROR = 'E01';
const OK = 'OK';

/** Where the kernel stands while gdb is asked. */
interface Halt {
  readonly k: Kernel;
  readonly thread: Thread;
  readonly stop: Stop;
}

export class GdbStub implements DebugClient {
  readonly #socket: WaitingSocket;
  readonly #reader = new PacketReader();
  #control: DebugControl | undefined;
  #registers: RegisterSet | undefined;
  #acknowledges = true;
  #gone = false;
  /** A resume was asked for and its stop has not been told. */
  #running = false;
  /** Chosen with H. */
  #chosen: number | undefined;

  constructor(socket: WaitingSocket) {
    this.#socket = socket;
  }

  /** The control this stub gives its orders to. */
  serve(control: DebugControl): void {
    this.#control = control;
  }

  interrupted(): boolean {
    if (this.#gone) return false;
    const bytes = this.#socket.receive(false);
    if (bytes === undefined) this.#gone = true;
    else if (bytes.length > 0) this.#reader.push(bytes);
    if (bytes === undefined || bytes.length === 0) return false;
    return this.#reader.next()?.kind === 'interrupt';
  }

  stopped(stop: Stop, thread: Thread, k: Kernel): Resume {
    if (this.#gone) return { kind: 'detach' };
    const halt = { k, thread, stop };
    this.#chosen = thread.id;
    this.#registers ??= new RegisterSet(k.cpu.bits);
    if (this.#running) this.#answer(this.#stopReply(halt));
    this.#running = false;
    for (;;) {
      const packet = this.#receive();
      if (packet === undefined) {
        this.#gone = true;
        return { kind: 'detach' };
      }
      const done = this.#packet(packet, halt);
      if (typeof done === 'string') this.#answer(done);
      else {
        this.#running = done.kind !== 'detach' && done.kind !== 'kill';
        return done;
      }
    }
  }

  /** The program has ended. */
  exited(code: number): void {
    if (!this.#gone && this.#running) this.#answer(`W${(code & 255).toString(16).padStart(2, '0')}`);
    this.#gone = true;
    this.#socket.close();
  }

  // ---- packets ----

  /** The next packet, waited for; undefined when gdb has gone. */
  #receive(): Uint8Array | undefined {
    for (;;) {
      const next = this.#reader.next();
      if (next?.kind === 'packet') {
        if (this.#acknowledges) this.#socket.send(Uint8Array.of(0x2b));
        return next.data;
      }
      if (next?.kind === 'damaged') this.#socket.send(Uint8Array.of(0x2d));
      if (next !== undefined) continue;
      const bytes = this.#socket.receive(true);
      if (bytes === undefined) return undefined;
      this.#reader.push(bytes);
    }
  }

  #answer(text: string): void {
    this.#socket.send(framed(text));
  }

  /** A text answers; a resume lets the kernel go on. */
  #packet(data: Uint8Array, halt: Halt): string | Resume {
    const text = String.fromCharCode(...data.subarray(0, 4096));
    const resume = this.#resume(text, halt);
    if (resume !== undefined) return resume;
    try {
      return this.#ask(text, data, halt);
    } catch (error) {
      if (error instanceof GuestFault) return ERROR;
      throw error;
    }
  }

  #resume(text: string, { k, thread }: Halt): string | Resume | undefined {
    const plain = /^([cs])([0-9a-f]*)$/.exec(text);
    if (plain !== null) {
      if (plain[2] !== '') k.cpu.rip = this.#address(k, plain[2]);
      return plain[1] === 'c' ? { kind: 'continue' } : { kind: 'step', thread: thread.id };
    }
    if (text === 'bs') return { kind: 'back', by: 'step' };
    if (text === 'bc') return { kind: 'back', by: 'continue' };
    if (text.startsWith('vCont;')) return vCont(text.slice(6), (hex) => this.#address(k, hex));
    if (text === 'k' || text.startsWith('vKill')) {
      if (text !== 'k') this.#answer(OK);
      return { kind: 'kill' };
    }
    if (text !== 'D' && !text.startsWith('D;')) return undefined;
    this.#answer(OK);
    return { kind: 'detach' };
  }

  #ask(text: string, data: Uint8Array, halt: Halt): string {
    const { k } = halt;
    switch (text[0]) {
      case '?':
        return this.#stopReply(halt);
      case 'g':
        return this.#inThread(k, () => this.#allRegisters(k));
      case 'G':
        return this.#inThread(k, () => this.#setAll(k, bytesOf(text.slice(1))));
      case 'p':
        return this.#inThread(k, () => this.#registers?.read(k, Number.parseInt(text.slice(1), 16)) ?? ERROR);
      case 'P': {
        const [number, hex = ''] = text.slice(1).split('=');
        const set = () => this.#registers?.write(k, Number.parseInt(number, 16), bytesOf(hex)) === true;
        return this.#inThread(k, set) ? OK : ERROR;
      }
      case 'm':
      case 'M':
      case 'X':
        return this.#memory(text, data, k);
      case 'Z':
      case 'z':
        return this.#point(text, k);
      case 'H':
        return this.#choose(text, halt);
      case 'T':
        return threadOf(k, Number.parseInt(text.slice(1), 16)) === undefined ? ERROR : OK;
      case 'q':
      case 'Q':
      case 'v':
        return this.#query(text, halt);
      default:
        // What a server does not know it answers with nothing.
        return '';
    }
  }

  #query(text: string, { k, thread }: Halt): string {
    if (text.startsWith('qSupported')) return FEATURES;
    if (text === 'QStartNoAckMode') {
      this.#acknowledges = false;
      return OK;
    }
    if (text === 'vCont?') return 'vCont;c;C;s;S;r';
    if (text === 'qAttached') return '1';
    if (text === 'qC') return `QC${thread.id.toString(16)}`;
    if (text === 'qfThreadInfo') return `m${[...threadsOf(k)].map(({ id }) => id.toString(16)).join(',')}`;
    if (text === 'qsThreadInfo') return 'l';
    // Modules are told one by one; the kernel itself is where it was linked to.
    if (text === 'qOffsets') return 'Text=0;Data=0;Bss=0';
    if (text === 'qSymbol::') return OK;
    if (text.startsWith('qThreadExtraInfo,'))
      return extraInfo(threadOf(k, Number.parseInt(text.slice(17), 16)));
    if (text.startsWith('qRcmd,')) {
      const command = new TextDecoder().decode(bytesOf(text.slice(6)));
      return hexOf(new TextEncoder().encode(monitor(k, thread, command))) || OK;
    }
    const transfer = /^qXfer:(\w+):read:([^:]*):([0-9a-f]+),([0-9a-f]+)$/.exec(text);
    if (transfer === null) return '';
    const [, object, , offset, length] = transfer;
    const whole =
      object === 'features'
        ? this.#registers?.description
        : object === 'libraries'
          ? librariesXml(k)
          : undefined;
    if (whole === undefined) return '';
    return part(whole, Number.parseInt(offset, 16), Number.parseInt(length, 16));
  }

  // ---- state ----

  #stopReply({ k, thread, stop }: Halt): string {
    const counter = this.#registers?.programCounter ?? 0;
    const place = `${counter.toString(16)}:${this.#registers?.read(k, counter) ?? ''};`;
    const head = (signal: number) => `T${signal.toString(16).padStart(2, '0')}`;
    const rest = `thread:${thread.id.toString(16)};${place}`;
    switch (stop.kind) {
      case 'fault':
        return head(SIGNALS[stop.vector] ?? SIGNAL.SEGV) + rest;
      case 'interrupted':
        return head(SIGNAL.INT) + rest;
      case 'watchpoint':
        return `${head(SIGNAL.TRAP)}${WATCHES[stop.on]}:${this.#hex(k, stop.address)};${rest}`;
      case 'images-changed':
        return `${head(SIGNAL.TRAP)}library:;${rest}`;
      case 'start-of-history':
        return `${head(SIGNAL.TRAP)}replaylog:begin;${rest}`;
      case 'breakpoint':
        return `${head(SIGNAL.TRAP)}swbreak:;${rest}`;
      default:
        return head(SIGNAL.TRAP) + rest;
    }
  }

  #allRegisters(k: Kernel): string {
    const set = this.#registers;
    if (set === undefined) return ERROR;
    return Array.from({ length: set.count }, (_, n) => set.read(k, n) ?? '').join('');
  }

  #setAll(k: Kernel, bytes: Uint8Array): string {
    const set = this.#registers;
    if (set === undefined) return ERROR;
    let at = 0;
    for (let n = 0; n < set.count && at + set.bytes(n) <= bytes.length; n++) {
      set.write(k, n, bytes.subarray(at, at + set.bytes(n)));
      at += set.bytes(n);
    }
    return OK;
  }

  /** Does something while the registers of the chosen thread are live. */
  #inThread<T>(k: Kernel, work: () => T): T {
    const thread = threadOf(k, this.#chosen ?? -1);
    const { current } = k.scheduler;
    if (thread === undefined || thread === current || !thread.started) return work();
    const live = new Uint8Array(k.cpu.contextBytes);
    k.cpu.save(live);
    k.cpu.restore(thread.context);
    try {
      return work();
    } finally {
      k.cpu.save(thread.context);
      k.cpu.restore(live);
    }
  }

  #choose(text: string, { k, thread }: Halt): string {
    const id = Number.parseInt(text.slice(2), 16);
    if (text[1] !== 'g') return OK;
    // 0 and -1: any, and all.
    this.#chosen = id > 0 ? id : thread.id;
    return threadOf(k, this.#chosen) === undefined ? ERROR : OK;
  }

  #memory(text: string, data: Uint8Array, k: Kernel): string {
    const match = /^[mMX]([0-9a-f]+),([0-9a-f]+)/.exec(text);
    if (match === null) return ERROR;
    const at = this.#address(k, match[1]);
    const length = Number.parseInt(match[2], 16);
    if (text[0] === 'm') {
      const bytes = k.memory.peek(at, Math.min(length, PACKET_BYTES / 2 - 8));
      return bytes.length === 0 && length > 0 ? ERROR : hexOf(bytes);
    }
    const start = data.indexOf(0x3a) + 1;
    const bytes = text[0] === 'X' ? data.subarray(start, start + length) : bytesOf(text.slice(start));
    k.memory.poke(at, bytes);
    return OK;
  }

  #point(text: string, k: Kernel): string {
    const match = /^([zZ])([0-4]),([0-9a-f]+),([0-9a-f]+)/.exec(text);
    if (match === null) return ERROR;
    const [, set, type, hex, size] = match;
    const address = this.#address(k, hex);
    const control = this.#control;
    // Software and hardware breakpoints are the same here.
    if (control === undefined) return '';
    const on = WATCH_KINDS[type];
    if (on !== undefined) {
      const length = Number.parseInt(size, 16);
      if (set === 'Z') control.addWatchpoint(address, length, on);
      else control.removeWatchpoint(address, length, on);
    } else if (set === 'Z') control.addBreakpoint(address);
    else control.removeBreakpoint(address);
    return OK;
  }

  #address(k: Kernel, hex: string): Address {
    const value = BigInt(`0x${hex}`);
    return k.cpu.bits === 64 ? Number(BigInt.asIntN(64, value)) : Number(BigInt.asUintN(32, value));
  }

  #hex(k: Kernel, address: Address): string {
    return BigInt.asUintN(k.cpu.bits, BigInt(address)).toString(16);
  }
}

/** Actions by thread; the first that steps wins, since one processor runs one thread at a time. */
function vCont(text: string, address: (hex: string) => Address): Resume {
  for (const action of text.split(';')) {
    const match = /^([csCSrt])([0-9a-f]*)(?:,([0-9a-f]+))?(?::(-?[0-9a-f]+))?$/.exec(action);
    if (match === null) continue;
    const id = match[4] === undefined ? Number.NaN : Number.parseInt(match[4], 16);
    const thread = id > 0 ? id : undefined;
    if (match[1] === 's' || match[1] === 'S') return { kind: 'step', thread };
    if (match[1] === 'r' && match[3] !== undefined)
      return { kind: 'step', thread, range: [address(match[2]), address(match[3])] };
  }
  return { kind: 'continue' };
}

function threadsOf(k: Kernel): Set<Thread> {
  const { current, threads } = k.scheduler;
  return new Set(current === undefined ? threads : [current, ...threads]);
}

function threadOf(k: Kernel, id: number): Thread | undefined {
  return [...threadsOf(k)].find((thread) => thread.id === id);
}

function extraInfo(thread: Thread | undefined): string {
  if (thread === undefined) return ERROR;
  const why = thread.state === 'blocked' && thread.blockedWhy !== '' ? ` (${thread.blockedWhy})` : '';
  return hexOf(new TextEncoder().encode(`${thread.name}: ${thread.state}${why}`));
}

/** One piece of a longer text: `m` when more follows, `l` with the last. */
function part(whole: string, offset: number, length: number): string {
  const size = Math.min(length, PACKET_BYTES - 16);
  return `${offset + size >= whole.length ? 'l' : 'm'}${whole.slice(offset, offset + size)}`;
}
