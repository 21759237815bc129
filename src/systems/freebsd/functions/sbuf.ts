/** sbuf(9): texts that grow, finished before they are read (sys/kern/subr_sbuf.c). */
import type { VarArgs } from '../../../abi/convention.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format.ts';

/** s_flags (sys/sbuf.h). */
const SBUF = {
  AUTOEXTEND: 1,
  INCLUDENUL: 2,
  USERFLAGS: 0xffff,
  DYNAMIC: 0x10000,
  FINISHED: 0x20000,
  DYNSTRUCT: 0x80000,
} as const;
const SMALLEST = 16;

const get = (k: FreeBsd, at: Address, field: string): number => k.read(`sbuf.${field}`, at);
const set = (k: FreeBsd, at: Address, field: string, value: number): void =>
  k.write(`sbuf.${field}`, at, value);
const has = (k: FreeBsd, at: Address, flag: number): boolean => (get(k, at, 's_flags') & flag) !== 0;

function create(k: FreeBsd, given: Address, buffer: Address, length: number, flags: number): Address {
  const at = given !== 0 ? given : k.heap.allocate(k.sizeof('sbuf'));
  if (at === 0) return 0;
  k.memory.fill(at, k.sizeof('sbuf'), 0);
  set(k, at, 's_flags', (flags & SBUF.USERFLAGS) | (given === 0 ? SBUF.DYNSTRUCT : 0));
  set(k, at, 's_size', buffer !== 0 ? length : Math.max(length, SMALLEST));
  set(k, at, 's_buf', buffer);
  if (buffer === 0) {
    set(k, at, 's_buf', k.heap.allocate(get(k, at, 's_size')));
    set(k, at, 's_flags', get(k, at, 's_flags') | SBUF.DYNAMIC);
  }
  return at;
}

/** Makes room by doubling, as far as the buffer is the sbuf's own or may become that. */
function extend(k: FreeBsd, at: Address, need: number): boolean {
  if (!has(k, at, SBUF.AUTOEXTEND)) return false;
  let size = Math.max(SMALLEST, get(k, at, 's_size'));
  while (size <= need) size *= 2;
  const to = k.heap.allocate(size);
  if (to === 0) return false;
  const from = get(k, at, 's_buf');
  k.memory.write(to, k.memory.bytes(from, get(k, at, 's_len')));
  if (has(k, at, SBUF.DYNAMIC)) k.heap.free(from);
  set(k, at, 's_buf', to);
  set(k, at, 's_size', size);
  set(k, at, 's_flags', get(k, at, 's_flags') | SBUF.DYNAMIC);
  return true;
}

/** sbuf_drain: gives what is there to the function that was set for it; what it did not take stays. */
function* drain(k: FreeBsd, at: Address): Steps<void> {
  const length = get(k, at, 's_len');
  const taken = yield* k.callInt(
    get(k, at, 's_drain_func'),
    get(k, at, 's_drain_arg'),
    get(k, at, 's_buf'),
    length,
  );
  if (taken < 0) {
    set(k, at, 's_error', -taken);
    return;
  }
  const moved = Math.min(taken, length);
  const buffer = get(k, at, 's_buf');
  k.memory.write(buffer, k.memory.bytes(buffer + moved, length - moved).slice());
  set(k, at, 's_len', length - moved);
}

const drains = (k: FreeBsd, at: Address): boolean =>
  k.types.has('sbuf.s_drain_func') && get(k, at, 's_drain_func') !== 0;

function* append(k: FreeBsd, at: Address, bytes: Uint8Array): Steps<number> {
  let rest = bytes;
  while (rest.length > 0) {
    if (get(k, at, 's_error') !== 0) return -1;
    const length = get(k, at, 's_len');
    let room = get(k, at, 's_size') - 1 - length;
    if (room < rest.length && !drains(k, at) && extend(k, at, length + rest.length)) room = rest.length;
    if (room <= 0) {
      if (drains(k, at)) {
        yield* drain(k, at);
        continue;
      }
      set(k, at, 's_error', Errno.ENOMEM);
      return -1;
    }
    const part = rest.subarray(0, room);
    k.memory.write(get(k, at, 's_buf') + length, part);
    set(k, at, 's_len', length + part.length);
    rest = rest.subarray(part.length);
  }
  return 0;
}

const appendText = (k: FreeBsd, at: Address, text: string): Steps<number> =>
  append(
    k,
    at,
    Uint8Array.from(text, (letter) => letter.charCodeAt(0)),
  );

function clear(k: FreeBsd, at: Address): void {
  set(k, at, 's_flags', get(k, at, 's_flags') & ~SBUF.FINISHED);
  set(k, at, 's_error', 0);
  set(k, at, 's_len', 0);
}

/** Ends the text with a NUL; with a drain, gives the rest away. */
function* finish(k: FreeBsd, at: Address): Steps<number> {
  if (has(k, at, SBUF.INCLUDENUL)) yield* append(k, at, new Uint8Array(1));
  while (drains(k, at) && get(k, at, 's_len') > 0 && get(k, at, 's_error') === 0) yield* drain(k, at);
  if (!has(k, at, SBUF.INCLUDENUL)) k.memory.set8(get(k, at, 's_buf') + get(k, at, 's_len'), 0);
  set(k, at, 's_flags', get(k, at, 's_flags') | SBUF.FINISHED);
  return get(k, at, 's_error');
}

function* print(k: FreeBsd, at: Address, text: Address, args: VarArgs): Steps<number> {
  return yield* appendText(k, at, format(k, guestText(k, text), args));
}

function* copyUser(k: FreeBsd, at: Address, from: Address, length: number): Steps<number> {
  const most = length === 0 ? 65536 : length;
  return yield* appendText(k, at, k.memory.cstring(from, most));
}

export const sbufs = kernelFunctions({
  'struct sbuf *sbuf_new(struct sbuf *s, char *buf, int length, int flags)': create,
  'void sbuf_clear(struct sbuf *s)': clear,
  'int sbuf_get_flags(struct sbuf *s)': (k, at) => get(k, at, 's_flags') & SBUF.USERFLAGS,
  'void sbuf_set_flags(struct sbuf *s, int flags)': (k, at, flags) =>
    set(k, at, 's_flags', get(k, at, 's_flags') | (flags & SBUF.USERFLAGS)),
  'void sbuf_clear_flags(struct sbuf *s, int flags)': (k, at, flags) =>
    set(k, at, 's_flags', get(k, at, 's_flags') & ~(flags & SBUF.USERFLAGS)),
  'int sbuf_setpos(struct sbuf *s, ssize_t pos)': (k, at, place) => {
    if (place < 0 || place > get(k, at, 's_len')) return -1;
    set(k, at, 's_len', place);
    return 0;
  },
  'void sbuf_set_drain(struct sbuf *s, void *func, void *arg)': (k, at, func, arg) => {
    set(k, at, 's_drain_func', func);
    set(k, at, 's_drain_arg', arg);
  },
  *'int sbuf_bcat(struct sbuf *s, const void *buf, size_t len)'(k, at, from, length) {
    return yield* append(k, at, k.memory.bytes(from, length).slice());
  },
  *'int sbuf_bcpy(struct sbuf *s, const void *buf, size_t len)'(k, at, from, length) {
    clear(k, at);
    return yield* append(k, at, k.memory.bytes(from, length).slice());
  },
  *'int sbuf_cat(struct sbuf *s, const char *str)'(k, at, text) {
    return yield* appendText(k, at, guestText(k, text));
  },
  *'int sbuf_cpy(struct sbuf *s, const char *str)'(k, at, text) {
    clear(k, at);
    return yield* appendText(k, at, guestText(k, text));
  },
  'int sbuf_copyin(struct sbuf *s, const void *uaddr, size_t len)': copyUser,
  'int sbuf_printf(struct sbuf *s, const char *fmt, ...)': print,
  'int sbuf_vprintf(struct sbuf *s, const char *fmt, va_list ap)': print,
  *'int sbuf_putc(struct sbuf *s, int c)'(k, at, letter) {
    return yield* append(k, at, Uint8Array.of(letter & 0xff));
  },
  *'int sbuf_nl_terminate(struct sbuf *s)'(k, at) {
    const length = get(k, at, 's_len');
    const last = length === 0 ? 10 : k.memory.u8(get(k, at, 's_buf') + length - 1);
    return last === 10 ? 0 : yield* append(k, at, Uint8Array.of(10));
  },
  'int sbuf_trim(struct sbuf *s)': (k, at) => {
    const buffer = get(k, at, 's_buf');
    let length = get(k, at, 's_len');
    while (length > 0 && [9, 10, 11, 12, 13, 32].includes(k.memory.u8(buffer + length - 1))) length--;
    set(k, at, 's_len', length);
    return 0;
  },
  'int sbuf_error(const struct sbuf *s)': (k, at) => get(k, at, 's_error'),
  'int sbuf_finish(struct sbuf *s)': finish,
  'char *sbuf_data(struct sbuf *s)': (k, at) => get(k, at, 's_buf'),
  'ssize_t sbuf_len(struct sbuf *s)': (k, at) => {
    if (get(k, at, 's_error') !== 0) return -1;
    const length = get(k, at, 's_len');
    return length > 0 && has(k, at, SBUF.INCLUDENUL) && has(k, at, SBUF.FINISHED) ? length - 1 : length;
  },
  'int sbuf_done(const struct sbuf *s)': (k, at) => (has(k, at, SBUF.FINISHED) ? 1 : 0),
  'void sbuf_putbuf(struct sbuf *s)': (k, at) =>
    k.printf(k.memory.cstring(get(k, at, 's_buf'), get(k, at, 's_len') + 1)),
  'void sbuf_delete(struct sbuf *s)': (k, at) => {
    if (has(k, at, SBUF.DYNAMIC)) k.heap.free(get(k, at, 's_buf'));
    const own = has(k, at, SBUF.DYNSTRUCT);
    k.memory.fill(at, k.sizeof('sbuf'), 0);
    if (own) k.heap.free(at);
  },
  /** What is written goes to whoever reads the sysctl. */
  'struct sbuf *sbuf_new_for_sysctl(struct sbuf *s, char *buf, int length, struct sysctl_req *req)': (
    k,
    given,
    buffer,
    length,
    req,
  ) => {
    const at = create(k, given, buffer, length, 0);
    set(k, at, 's_drain_func', k.kernelSymbol('sbuf_sysctl_drain') ?? 0);
    set(k, at, 's_drain_arg', req);
    return at;
  },
});
