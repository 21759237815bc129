/** sockLib and inetLib: sockets between tasks of this kernel. Its network is the loopback interface; beyond it nobody is reached. */
import { definer } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import { ERRNO, ERROR, OK } from '../errno.ts';
import { type Endpoint, network, SOCK_DGRAM, SOCK_STREAM, Socket } from '../network.ts';
import { failed, noneFor } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';
import { addFile, isOpen, kernelFile } from './io.ts';

const functions = definer<VxWorks>();

const AF_INET = 2;
/** Bytes of a sockaddr_in. */
const ADDRESS_BYTES = 16;
/** Levels of options, and those that say something themselves. */
const SOL_SOCKET = 0xffff;
const IPPROTO_TCP = 6;
const SO_ERROR = 0x1007;
const SO_TYPE = 0x1008;

/** The socket behind a descriptor; a step that fails for those that are none. */
function socketOf(k: VxWorks, fd: number): Socket | undefined {
  const file = kernelFile(k, fd);
  if (file instanceof Socket) return file;
  k.errno = isOpen(k, fd) ? ERRNO.ENOTSOCK : ERRNO.S_iosLib_INVALID_FILE_DESCRIPTOR;
  return undefined;
}

/** sin_len and sin_family, or a family of 16 bits as older releases had it; then port and address, highest byte first. */
function readAddress(k: VxWorks, at: number): Endpoint | undefined {
  const bytes = k.memory.bytes(at, 8);
  if (bytes[1] !== AF_INET && bytes[0] !== AF_INET) {
    k.errno = ERRNO.EAFNOSUPPORT;
    return undefined;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  return { port: view.getUint16(2), address: view.getUint32(4) };
}

function writeAddress(k: VxWorks, at: number, lengthAt: number, { port, address }: Endpoint): void {
  if (at === 0 || lengthAt === 0) return;
  const bytes = new Uint8Array(ADDRESS_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = ADDRESS_BYTES;
  bytes[1] = AF_INET;
  view.setUint16(2, port);
  view.setUint32(4, address);
  const room = k.memory.i32(lengthAt);
  k.memory.write(at, bytes.subarray(0, Math.max(0, Math.min(room, ADDRESS_BYTES))));
  k.memory.set32(lengthAt, ADDRESS_BYTES);
}

function* accept(k: VxWorks, fd: number, at: number, lengthAt: number): Steps<number> {
  const socket = socketOf(k, fd);
  if (socket === undefined) return ERROR;
  const made = yield* socket.accept();
  if (made === undefined) return ERROR;
  if (made.peer !== undefined) writeAddress(k, at, lengthAt, made.peer);
  return addFile(k, made);
}

function* receive(
  k: VxWorks,
  fd: number,
  buffer: number,
  most: number,
  flags: number,
  from = 0,
  lengthAt = 0,
): Steps<number> {
  const socket = socketOf(k, fd);
  if (socket === undefined) return ERROR;
  const got = yield* socket.receive(Math.max(0, most), flags);
  if (got === undefined) return ERROR;
  k.memory.write(buffer, got.bytes);
  writeAddress(k, from, lengthAt, got.from);
  return got.bytes.length;
}

function* send(k: VxWorks, fd: number, buffer: number, bytes: number, flags: number, to = 0): Steps<number> {
  const socket = socketOf(k, fd);
  if (socket === undefined) return ERROR;
  const target = to === 0 ? undefined : readAddress(k, to);
  if (to !== 0 && target === undefined) return ERROR;
  return yield* socket.send(k.memory.bytes(buffer, Math.max(0, bytes)).slice(), flags, target);
}

export const socketFunctions = functions({
  'int socket(int domain, int type, int protocol)': (k, domain, type) => {
    if (domain !== AF_INET) return failed(k, ERRNO.EAFNOSUPPORT);
    if (type !== SOCK_STREAM && type !== SOCK_DGRAM) return failed(k, ERRNO.EPROTONOSUPPORT);
    return addFile(k, new Socket(k, type));
  },
  'STATUS bind(int fd, void *address, int length)': (k, fd, address) => {
    const local = socketOf(k, fd) && readAddress(k, address);
    return local === undefined ? ERROR : (socketOf(k, fd)?.bind(local) ?? ERROR);
  },
  'STATUS listen(int fd, int backlog)': (k, fd) => socketOf(k, fd)?.listen() ?? ERROR,
  'int accept(int fd, void *address, int *length)': accept,
  'STATUS connect(int fd, void *address, int length)': (k, fd, address) => {
    const peer = socketOf(k, fd) && readAddress(k, address);
    return peer === undefined ? ERROR : (socketOf(k, fd)?.connect(peer) ?? ERROR);
  },
  'int send(int fd, const char *buffer, int bytes, int flags)': send,
  'int sendto(int fd, const char *buffer, int bytes, int flags, void *to, int length)': send,
  'int recv(int fd, char *buffer, int most, int flags)': receive,
  'int recvfrom(int fd, char *buffer, int most, int flags, void *from, int *length)': receive,
  'STATUS shutdown(int fd, int how)': (k, fd, how) => socketOf(k, fd)?.shutdown(how) ?? ERROR,
  'STATUS getsockname(int fd, void *address, int *length)': (k, fd, at, lengthAt) => {
    const socket = socketOf(k, fd);
    if (socket === undefined) return ERROR;
    writeAddress(k, at, lengthAt, socket.local);
    return OK;
  },
  'STATUS getpeername(int fd, void *address, int *length)': (k, fd, at, lengthAt) => {
    const socket = socketOf(k, fd);
    if (socket === undefined) return ERROR;
    if (socket.peer === undefined) return failed(k, ERRNO.ENOTCONN);
    writeAddress(k, at, lengthAt, socket.peer);
    return OK;
  },
  'STATUS setsockopt(int fd, int level, int name, char *value, int length)': (
    k,
    fd,
    level,
    name,
    at,
    length,
  ) => {
    const socket = socketOf(k, fd);
    if (socket === undefined) return ERROR;
    if (level !== SOL_SOCKET && level !== IPPROTO_TCP) return failed(k, ERRNO.ENOPROTOOPT);
    socket.options.set(level * 65536 + name, k.memory.bytes(at, Math.min(64, Math.max(0, length))).slice());
    return OK;
  },
  'STATUS getsockopt(int fd, int level, int name, char *value, int *length)': (
    k,
    fd,
    level,
    name,
    at,
    length,
  ) => {
    const socket = socketOf(k, fd);
    if (socket === undefined) return ERROR;
    if (level !== SOL_SOCKET && level !== IPPROTO_TCP) return failed(k, ERRNO.ENOPROTOOPT);
    const told = name === SO_TYPE ? socket.type : 0;
    const word = new Uint8Array(Int32Array.of(told).buffer);
    const known = level === SOL_SOCKET && (name === SO_TYPE || name === SO_ERROR);
    const value = known ? word : (socket.options.get(level * 65536 + name) ?? word);
    const part = value.subarray(0, Math.max(0, k.memory.i32(length)));
    k.memory.write(at, part);
    k.memory.set32(length, part.length);
    return OK;
  },
});

/** Dotted notation as 4.4BSD reads it: up to four parts, the last as wide as what is left; undefined for what is none. */
export function parseInternetAddress(text: string): number | undefined {
  const parts = text.trim().split('.');
  if (parts.length > 4 || !parts.every((part) => /^(0x[\da-f]+|\d+)$/i.test(part))) return undefined;
  const numbers = parts.map((part) =>
    Number.parseInt(part, /^0x/i.test(part) ? 16 : /^0\d/.test(part) ? 8 : 10),
  );
  const last = numbers.pop() ?? 0;
  if (numbers.some((one) => one > 255) || last >= 256 ** (4 - numbers.length)) return undefined;
  return numbers.reduce((sum, one, i) => sum + one * 256 ** (3 - i), 0) + last;
}

export const dotted = (address: number): string =>
  [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');

/** Between the order of the network and that of the machine. */
const swap32 = (value: number): number =>
  (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
const swap16 = (value: number): number => ((value & 0xff) << 8) | ((value >>> 8) & 0xff);

export const addressFunctions = functions({
  'unsigned int inet_addr(const char *text)': (k, text) => {
    const address = parseInternetAddress(guestText(k, text, 64));
    return address === undefined ? ERROR : swap32(address);
  },
  'STATUS inet_aton(const char *text, unsigned int *address)': (k, text, at) => {
    const address = parseInternetAddress(guestText(k, text, 64));
    if (address === undefined) return ERROR;
    k.memory.set32(at, swap32(address));
    return OK;
  },
  // Every call takes memory for the text, which is the caller's then (inetLib).
  'char *inet_ntoa(unsigned int address)': (k, address) => {
    const text = bytesOf(`${dotted(swap32(address))}\0`);
    const at = k.allocate(text.length, k.caller);
    if (at === 0) return noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
    k.memory.write(at, text);
    return at;
  },
  'void inet_ntoa_b(unsigned int address, char *text)': (k, address, text) =>
    k.memory.write(text, bytesOf(`${dotted(swap32(address))}\0`)),
  'unsigned int htonl(unsigned int value)': (_, value) => swap32(value),
  'unsigned int ntohl(unsigned int value)': (_, value) => swap32(value),
  'unsigned short htons(unsigned short value)': (_, value) => swap16(value),
  'unsigned short ntohs(unsigned short value)': (_, value) => swap16(value),
  'STATUS hostAdd(const char *name, const char *address)': (k, name, address) => {
    const parsed = parseInternetAddress(guestText(k, address, 64));
    if (parsed === undefined) return ERROR;
    k.state(network).hosts.set(guestText(k, name, 255), parsed);
    return OK;
  },
  'int hostGetByName(const char *name)': (k, name) => {
    const address = k.state(network).hosts.get(guestText(k, name, 255));
    return address === undefined ? ERROR : swap32(address) | 0;
  },
});
