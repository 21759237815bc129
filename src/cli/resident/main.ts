#!/usr/bin/env node
/**
 * The process behind `lkm boot`: boots a kernel, keeps it, and runs command lines beside it until `lkm halt`, or until
 * nobody has asked for a while. `lkm boot` starts it, apart from the terminal, and shows what it writes while it boots.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { HeldKernel, Input, Resident } from '../command.ts';
import type { Surroundings } from '../context.ts';
import { dispatch } from '../dispatch.ts';
import { type Frame, frameOutput, LineReader, line, type Request } from './frames.ts';
import { clearPlace, type Place, placeOf, writeKeeper } from './place.ts';

/** Commands beside a kept kernel get no standard input: it stays with the process that asked. */
const NO_INPUT: Input = {
  isTTY: false,
  bytes: () => new Uint8Array(0),
  lines: () => [],
  stream: () => process.stdin,
};

class Keeper implements Resident {
  held: HeldKernel | undefined;
  private readonly idleMs: number;
  private server: Server | undefined;
  private place: Place | undefined;
  private timer: NodeJS.Timeout | undefined;
  private ending = false;
  /** Requests run one after the other: there is one kernel, and one current folder. */
  private last: Promise<void> = Promise.resolve();

  constructor(idleMs: number) {
    this.idleMs = idleMs;
  }

  hold(kernel: HeldKernel): void {
    this.held = kernel;
  }

  end(): void {
    this.ending = true;
  }

  async listen(): Promise<void> {
    if (this.held === undefined) return;
    this.place = placeOf(this.held.system, process.env, true);
    clearPlace(this.place);
    const server = createServer((socket) => this.serve(socket));
    this.server = server;
    const { socket } = this.place;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socket, resolve);
    });
    writeKeeper(this.place);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => this.close());
    this.rest();
  }

  /** A process that somebody forgot does not stay for ever. */
  private rest(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.close(), this.idleMs);
  }

  private close(): void {
    if (this.place !== undefined) clearPlace(this.place);
    this.server?.close();
    process.exit(0);
  }

  private serve(socket: Socket): void {
    const reader = new LineReader();
    // A client that went away has nothing more to be told; its command runs to its end.
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Uint8Array) => {
      for (const text of reader.feed(chunk)) {
        this.last = this.last.then(() => this.answer(JSON.parse(text) as Request, socket));
      }
    });
  }

  private async answer(request: Request, socket: Socket): Promise<void> {
    const send = (frame: Frame) => void (socket.writable && socket.write(line(frame)));
    let code = 1;
    try {
      process.chdir(request.folder);
      code = await dispatch(
        request.argv,
        this.surroundings(request, send, () => !socket.writable),
      );
    } catch (error) {
      send({ err: `lkm: ${error instanceof Error ? error.message : String(error)}\n` });
    }
    this.rest();
    if (!this.ending) return send({ code });
    socket.end(line({ code }), () => this.close());
  }

  private surroundings(request: Request, send: (frame: Frame) => void, closed: () => boolean): Surroundings {
    return {
      output: frameOutput(send, closed),
      input: NO_INPUT,
      environment: request.environment,
      isTTY: (descriptor) => request.terminals[descriptor - 1],
      columns: () => request.columns,
      resident: this,
    };
  }
}

const [minutes, ...argv] = process.argv.slice(2);
const keeper = new Keeper(Number(minutes) * 60_000);
// Everything goes through the one channel, so that the end arrives behind what was written before it.
const tell = (frame: Frame): void => void (process.connected && process.send?.(frame));
const code = await dispatch(argv, {
  output: frameOutput(tell, () => !process.connected),
  input: NO_INPUT,
  environment: process.env,
  isTTY: () => false,
  columns: () => Number(process.env.COLUMNS) || 80,
  resident: keeper,
});
await keeper.listen();
tell({ code });
