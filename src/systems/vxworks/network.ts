/** The loopback interface: what sockets of this kernel send each other. Datagrams may be lost when nobody fetches them. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import { ERRNO, OK, WAIT_FOREVER } from './errno.ts';
import type { KernelFile } from './functions/io.ts';
import { changed } from './functions/select.ts';
import { failed } from './tasks.ts';
import type { VxWorks } from './vxworks.ts';
import { WaitQueue } from './waiting.ts';

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;

export interface Endpoint {
  readonly port: number;
  /** As a number, the first part of the dotted notation highest. */
  readonly address: number;
}

const ANY = 0;
const LOOPBACK = 0x7f000001;
/** The first port that is given to those that do not ask for one. */
const FIRST_PORT = 1024;
/** Bytes that wait at one end of a connection before the other end has to wait, too. */
const WINDOW = 8192;
/** Datagrams that wait at a socket; the next is lost. */
const MOST_DATAGRAMS = 64;
const LONGEST_DATAGRAM = 9216;
/** Flags of send and recv. */
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x80;
const FIONREAD = 1;
const FIONBIO = 16;

class Network {
  readonly sockets: Socket[] = [];
  readonly hosts = new Map<string, number>([['localhost', LOOPBACK]]);
  private next = FIRST_PORT;

  freePort(type: number): number {
    while (this.sockets.some((one) => one.type === type && one.local.port === this.next)) this.next++;
    return this.next++;
  }
}

export const network = perKernel(() => new Network());

/** Does an address belong to this kernel? */
const isHere = (address: number): boolean => address === ANY || address >>> 24 === 127;

export class Socket implements KernelFile {
  readonly type: number;
  readonly options = new Map<number, Uint8Array>();
  local: Endpoint = { port: 0, address: ANY };
  peer: Endpoint | undefined;
  private readonly k: VxWorks;
  private readonly readers: WaitQueue;
  private readonly writers: WaitQueue;
  private readonly waiting: { readonly from: Endpoint; bytes: Uint8Array }[] = [];
  /** Connections that were made and nobody has accepted; undefined while the socket does not listen. */
  private arrived: Socket[] | undefined;
  /** The other end of a connection. */
  private other: Socket | undefined;
  /** Nothing more will come. */
  private ended = false;
  private closed = false;
  private nonblocking = false;

  constructor(k: VxWorks, type: number) {
    this.k = k;
    this.type = type;
    this.readers = new WaitQueue(k, false);
    this.writers = new WaitQueue(k, false);
    k.state(network).sockets.push(this);
  }

  get name(): string {
    return `(socket, port ${this.local.port})`;
  }

  get readable(): boolean {
    return this.waiting.length > 0 || this.ended || (this.arrived?.length ?? 0) > 0;
  }

  get writable(): boolean {
    if (this.type === SOCK_DGRAM) return true;
    return this.other !== undefined && (this.other.closed || this.other.unread < WINDOW);
  }

  private get unread(): number {
    return this.waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  bind(local: Endpoint): number {
    const { k } = this;
    if (this.local.port !== 0) return failed(k, ERRNO.EINVAL);
    if (!isHere(local.address)) return failed(k, ERRNO.EADDRNOTAVAIL);
    const net = k.state(network);
    const taken = net.sockets.some(
      (one) => one.type === this.type && one.local.port === local.port && !one.isAnswer,
    );
    if (local.port !== 0 && taken) return failed(k, ERRNO.EADDRINUSE);
    this.local = { ...local, port: local.port === 0 ? net.freePort(this.type) : local.port };
    return OK;
  }

  /** It was made by accept, and shares the port of the one that listens. */
  private isAnswer = false;

  listen(): number {
    if (this.type !== SOCK_STREAM) return failed(this.k, ERRNO.EOPNOTSUPP);
    if (this.local.port === 0) this.bind({ port: 0, address: ANY });
    this.arrived ??= [];
    return OK;
  }

  connect(peer: Endpoint): number {
    const { k } = this;
    if (!isHere(peer.address)) return failed(k, ERRNO.ENETUNREACH);
    if (this.local.port === 0) this.bind({ port: 0, address: ANY });
    const target = { port: peer.port, address: peer.address === ANY ? LOOPBACK : peer.address };
    if (this.type === SOCK_DGRAM) {
      this.peer = target;
      return OK;
    }
    if (this.peer !== undefined) return failed(k, ERRNO.EISCONN);
    const listener = k
      .state(network)
      .sockets.find((one) => one.arrived !== undefined && one.local.port === peer.port);
    if (listener?.arrived === undefined) return failed(k, ERRNO.ECONNREFUSED);
    this.peer = target;
    const answer = new Socket(k, SOCK_STREAM);
    answer.isAnswer = true;
    answer.local = target;
    answer.peer = { port: this.local.port, address: LOOPBACK };
    [answer.other, this.other] = [this, answer];
    listener.arrived.push(answer);
    listener.notify();
    return OK;
  }

  *accept(): Steps<Socket | undefined> {
    const { k } = this;
    for (;;) {
      if (this.arrived === undefined)
        return this.fails(this.type === SOCK_STREAM ? ERRNO.EINVAL : ERRNO.EOPNOTSUPP);
      const made = this.arrived.shift();
      if (made !== undefined) return made;
      if (this.nonblocking) return this.fails(ERRNO.EWOULDBLOCK);
      const errno = yield* this.readers.wait(`a connection to port ${this.local.port}`, WAIT_FOREVER);
      if (errno !== 0) {
        k.errno = errno;
        return undefined;
      }
    }
  }

  *receive(most: number, flags: number): Steps<{ bytes: Uint8Array; from: Endpoint } | undefined> {
    if (this.type === SOCK_STREAM && this.other === undefined) return this.fails(ERRNO.ENOTCONN);
    while (this.waiting.length === 0) {
      if (this.ended) return { bytes: new Uint8Array(0), from: this.peer ?? this.local };
      if (this.nonblocking || (flags & MSG_DONTWAIT) !== 0) return this.fails(ERRNO.EWOULDBLOCK);
      const errno = yield* this.readers.wait(`data at port ${this.local.port}`, WAIT_FOREVER);
      if (errno !== 0) return this.fails(errno);
    }
    const [first] = this.waiting;
    const bytes = first.bytes.subarray(0, most);
    if ((flags & MSG_PEEK) !== 0) return { bytes, from: first.from };
    // What is left of a datagram is lost; what is left of a stream is read next.
    if (this.type === SOCK_STREAM && bytes.length < first.bytes.length)
      first.bytes = first.bytes.subarray(most);
    else this.waiting.shift();
    this.other?.notifyWriters();
    return { bytes, from: first.from };
  }

  *send(bytes: Uint8Array, flags: number, to: Endpoint | undefined): Steps<number> {
    if (this.type === SOCK_DGRAM) return this.sendDatagram(bytes, to ?? this.peer);
    const { k, other } = this;
    if (other === undefined) return failed(k, ERRNO.ENOTCONN);
    let sent = 0;
    while (sent < bytes.length) {
      if (other.closed || this.peer === undefined) return failed(k, ERRNO.EPIPE);
      const room = WINDOW - other.unread;
      if (room > 0) {
        const part = bytes.subarray(sent, sent + room);
        other.waiting.push({ from: this.local, bytes: part });
        other.notify();
        sent += part.length;
      } else if (this.nonblocking || (flags & MSG_DONTWAIT) !== 0) {
        return sent > 0 ? sent : failed(k, ERRNO.EWOULDBLOCK);
      } else {
        const errno = yield* this.writers.wait(`room at port ${other.local.port}`, WAIT_FOREVER);
        if (errno !== 0) return failed(k, errno);
      }
    }
    return sent;
  }

  private sendDatagram(bytes: Uint8Array, to: Endpoint | undefined): number {
    const { k } = this;
    if (to === undefined) return failed(k, ERRNO.ENOTCONN);
    if (!isHere(to.address)) return failed(k, ERRNO.ENETUNREACH);
    if (bytes.length > LONGEST_DATAGRAM) return failed(k, ERRNO.EMSGSIZE);
    if (this.local.port === 0) this.bind({ port: 0, address: ANY });
    const from = { port: this.local.port, address: LOOPBACK };
    const target = k
      .state(network)
      .sockets.find((one) => one.type === SOCK_DGRAM && one.local.port === to.port && one.takesFrom(from));
    if (target !== undefined && target.waiting.length < MOST_DATAGRAMS) {
      target.waiting.push({ from, bytes });
      target.notify();
    }
    return bytes.length;
  }

  /** One that is connected hears its peer alone. */
  private takesFrom(from: Endpoint): boolean {
    return this.peer === undefined || this.peer.port === from.port;
  }

  *read(buffer: number, most: number): Steps<number> {
    const got = yield* this.receive(Math.max(0, most), 0);
    if (got === undefined) return -1;
    this.k.memory.write(buffer, got.bytes);
    return got.bytes.length;
  }

  *write(buffer: number, bytes: number): Steps<number> {
    return yield* this.send(this.k.memory.bytes(buffer, bytes).slice(), 0, undefined);
  }

  ioctl(code: number, argument: number): number {
    const { k } = this;
    if (code === FIONBIO) this.nonblocking = k.memory.i32(argument) !== 0;
    else if (code === FIONREAD)
      k.memory.set32(
        argument,
        this.type === SOCK_STREAM ? this.unread : (this.waiting[0]?.bytes.length ?? 0),
      );
    else return failed(k, ERRNO.S_ioLib_UNKNOWN_REQUEST);
    return OK;
  }

  /** 0: no more reading, 1: no more sending, 2: neither. */
  shutdown(how: number): number {
    if (this.peer === undefined) return failed(this.k, ERRNO.ENOTCONN);
    if (how !== 1) this.end();
    if (how !== 0) {
      this.other?.end();
      this.peer = undefined;
    }
    return OK;
  }

  close(): void {
    const { sockets } = this.k.state(network);
    sockets.splice(sockets.indexOf(this), 1);
    this.closed = true;
    this.other?.end();
    this.other?.notifyWriters();
    for (const one of this.arrived ?? []) one.close();
    this.arrived = undefined;
    this.end();
  }

  private end(): void {
    this.ended = true;
    this.readers.wakeAll();
    changed(this.k);
  }

  private notify(): void {
    this.readers.wakeOne();
    changed(this.k);
  }

  private notifyWriters(): void {
    this.writers.wakeAll();
    changed(this.k);
  }

  private fails(errno: number): undefined {
    this.k.errno = errno;
    return undefined;
  }
}
