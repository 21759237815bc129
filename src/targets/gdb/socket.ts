/**
 * A TCP connection that can be waited for while nothing else runs: a kernel under a debugger stands still in the middle of
 * a call, so the socket lives in a thread of its own, and this side sleeps until that has something.
 */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';

/** Runs in the thread. A text, because the program is one bundled file and has no other to start it from. */
const SERVER = `
const { workerData } = require('node:worker_threads');
const { createServer } = require('node:net');
const { port, wake, tcpPort } = workerData;
const cell = new Int32Array(wake);
const tell = (message) => {
  port.postMessage(message);
  Atomics.add(cell, 0, 1);
  Atomics.notify(cell, 0);
};
let connection;
const server = createServer((socket) => {
  if (connection !== undefined) return void socket.destroy();
  connection = socket;
  socket.setNoDelay(true);
  socket.on('data', (bytes) => tell({ kind: 'data', bytes: new Uint8Array(bytes) }));
  socket.on('error', () => {});
  socket.on('close', () => tell({ kind: 'closed' }));
  tell({ kind: 'connected' });
});
server.on('error', (error) => tell({ kind: 'failed', code: error.code ?? '', message: error.message }));
server.listen(tcpPort, '127.0.0.1', () => tell({ kind: 'listening', port: server.address().port }));
port.on('message', (message) => {
  if (message.kind === 'send') connection?.write(message.bytes);
  else {
    const done = () => { tell({ kind: 'ended' }); port.close(); server.close(); };
    if (connection === undefined || connection.destroyed) done();
    else connection.end(done);
  }
});
`;

type Message =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'connected' }
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'closed' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

/** At the end: for the last answer to leave. */
const FAREWELL_MS = 1000;

export class SocketError extends Error {
  override readonly name = 'SocketError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class WaitingSocket {
  /** The port that is listened on. */
  readonly port: number;
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  readonly #channel = new MessageChannel();
  readonly #worker: Worker;
  #closed = false;
  #connected = false;
  #data: Uint8Array[] = [];

  /** Listens on a port of this machine; 0 takes a free one. @throws SocketError */
  constructor(tcpPort: number) {
    const { port1, port2 } = this.#channel;
    this.#worker = new Worker(SERVER, {
      eval: true,
      workerData: { port: port2, wake: this.#cell.buffer, tcpPort },
      transferList: [port2],
    });
    this.#worker.unref();
    port1.unref();
    const first = this.#wait();
    if (first?.kind === 'failed') throw new SocketError(first.code, first.message);
    if (first?.kind !== 'listening') throw new Error('the socket thread said nothing');
    this.port = first.port;
  }

  /** Waits for the connection. */
  accept(): void {
    while (!this.#connected && !this.#closed) this.#take(this.#wait());
  }

  /** Bytes that have come; waits for some when `wait`. Undefined when the other side has gone. */
  receive(wait: boolean): Uint8Array | undefined {
    for (;;) {
      const message = receiveMessageOnPort(this.#channel.port1) as { message: Message } | undefined;
      if (message !== undefined) this.#take(message.message);
      const bytes = this.#data.shift();
      if (bytes !== undefined) return bytes;
      if (this.#closed) return undefined;
      if (message !== undefined) continue;
      if (!wait) return new Uint8Array(0);
      this.#take(this.#wait());
    }
  }

  send(bytes: Uint8Array): void {
    if (!this.#closed) this.#channel.port1.postMessage({ kind: 'send', bytes });
  }

  /** Closes the connection once what was sent has left. */
  close(): void {
    this.#channel.port1.postMessage({ kind: 'end' });
    const until = performance.now() + FAREWELL_MS;
    while (performance.now() < until) if (this.#wait(FAREWELL_MS)?.kind === 'ended') break;
    void this.#worker.terminate();
    this.#channel.port1.close();
  }

  #take(message: Message | undefined): void {
    if (message?.kind === 'connected') this.#connected = true;
    else if (message?.kind === 'data') this.#data.push(message.bytes);
    else if (message?.kind === 'closed') this.#closed = true;
  }

  /** The next message; undefined when none came in time. */
  #wait(milliseconds = Number.POSITIVE_INFINITY): Message | undefined {
    for (;;) {
      const seen = Atomics.load(this.#cell, 0);
      const got = receiveMessageOnPort(this.#channel.port1) as { message: Message } | undefined;
      if (got !== undefined) return got.message;
      if (Atomics.wait(this.#cell, 0, seen, milliseconds) === 'timed-out') return undefined;
    }
  }
}
