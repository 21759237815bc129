/**
 * ansiStdio: streams over file descriptors. They keep nothing back: every character goes to its file at once, so that a
 * stream's memory holds only what ungetc gave back, where the macros of stdio.h find it.
 */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { formatC, guestText } from '../../../kernel/text/printf.ts';
import { scanFormat, textSource } from '../../../kernel/text/scanf.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import { ERRNO } from '../errno.ts';
import { noneFor } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';
import { FIOWHERE } from './host-files.ts';
import { closeFile, ioctlFile, openFile, readFile, seekFile, writeFile } from './io.ts';

const functions = definer<VxWorks>();

const EOF = -1;
/** Members of FILE.flags, as BSD numbers them. */
const READS = 4;
const WRITES = 8;
const AT_END = 0x20;
const IN_ERROR = 0x40;
/** What ungetc gives back goes in front of the end of the stream's own eight bytes. */
const PUSHED = 8;
const MAX_LINE = 65536;

/** The standard streams of the kernel: addresses of the three pointers, made when the first is asked for. */
const standard = perKernel((kernel) => {
  const k = kernel as VxWorks;
  const bytes = k.spec.pointerBytes;
  const at = k.allocate(3 * bytes);
  for (const fd of [0, 1, 2])
    k.memory.setPtr(at + fd * bytes, makeStream(k, fd, fd === 0 ? READS : WRITES, 0));
  return (fd: number) => at + fd * bytes;
});

/** @param caller who asked for it; 0 = nobody, the kernel keeps it */
function makeStream(k: VxWorks, fd: number, flags: number, caller: number): number {
  const at = k.allocate(k.sizeof('FILE'), caller);
  if (at === 0) return noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
  k.memory.fill(at, k.sizeof('FILE'), 0);
  k.write('FILE.self', at, at);
  k.write('FILE.type', at, 'f'.charCodeAt(0));
  k.write('FILE.fd', at, fd);
  k.write('FILE.flags', at, flags);
  return at;
}

const fdOf = (k: VxWorks, stream: number): number => k.read('FILE.fd', stream);

function mark(k: VxWorks, stream: number, flag: number): void {
  k.write('FILE.flags', stream, k.read('FILE.flags', stream) | flag);
}

const marked = (k: VxWorks, stream: number, flag: number): boolean =>
  (k.read('FILE.flags', stream) & flag) !== 0;

function unmark(k: VxWorks, stream: number, flags: number): void {
  k.write('FILE.flags', stream, k.read('FILE.flags', stream) & ~flags);
}

/** The next character, or EOF. */
function* readCharacter(k: VxWorks, stream: number): Steps<number> {
  const left = k.read('FILE.readable', stream);
  if (left > 0) {
    const next = k.read('FILE.next', stream);
    k.write('FILE.next', stream, next + 1);
    k.write('FILE.readable', stream, left - 1);
    return k.memory.u8(next);
  }
  // The macro has counted down below zero before it asks here.
  k.write('FILE.readable', stream, 0);
  const at = stream + k.offset('FILE.pushed');
  const got = yield* readFile(k, fdOf(k, stream), at, 1);
  if (got === 1) return k.memory.u8(at);
  mark(k, stream, got === 0 ? AT_END : IN_ERROR);
  return EOF;
}

function pushBack(k: VxWorks, stream: number, c: number): number {
  const left = Math.max(0, k.read('FILE.readable', stream));
  if (c === EOF || left >= PUSHED) return EOF;
  const next = stream + k.offset('FILE.pushed') + PUSHED - left - 1;
  k.memory.set8(next, c & 0xff);
  k.write('FILE.next', stream, next);
  k.write('FILE.readable', stream, left + 1);
  unmark(k, stream, AT_END);
  return c & 0xff;
}

/** Bytes of the guest to a stream; gives how many went. */
function* writeBytes(k: VxWorks, stream: number, from: number, bytes: number): Steps<number> {
  k.write('FILE.writable', stream, 0);
  if (bytes === 0) return 0;
  const sent = yield* writeFile(k, fdOf(k, stream), from, bytes);
  if (sent !== bytes) mark(k, stream, IN_ERROR);
  return Math.max(0, sent);
}

/** A text of ours to a descriptor: it passes through memory of the guest, as drivers read it there. */
function* writeText(k: VxWorks, fd: number, text: string): Steps<number> {
  const bytes = bytesOf(text);
  const at = k.allocate(Math.max(1, bytes.length));
  if (at === 0) return EOF;
  k.memory.write(at, bytes);
  const sent = bytes.length === 0 ? 0 : yield* writeFile(k, fd, at, bytes.length);
  k.pool.free(at);
  return sent;
}

function* printTo(k: VxWorks, stream: number, text: string): Steps<number> {
  const sent = yield* writeText(k, fdOf(k, stream), text);
  if (sent < 0) mark(k, stream, IN_ERROR);
  return sent;
}

function* putCharacter(k: VxWorks, c: number, stream: number): Steps<number> {
  k.write('FILE.writable', stream, 0);
  return (yield* printTo(k, stream, String.fromCharCode(c & 0xff))) === 1 ? c & 0xff : EOF;
}

/** A line with its end into a buffer; 0 at the end of the file. */
function* readLine(k: VxWorks, buffer: number, most: number, stream: number, keep: boolean): Steps<number> {
  let at = buffer;
  while (at - buffer < most - 1) {
    const c = yield* readCharacter(k, stream);
    if (c === EOF && at === buffer) return 0;
    if (c === EOF || (c === 10 && !keep)) break;
    k.memory.set8(at++, c);
    if (c === 10) break;
  }
  k.memory.set8(at, 0);
  return buffer;
}

/** Flags of open for a mode of fopen; undefined for none. O_CREAT 0x200, O_TRUNC 0x400, O_APPEND 8. */
function openFlags(mode: string): { open: number; stream: number } | undefined {
  const both = mode.includes('+');
  const stream = both ? READS | WRITES : mode[0] === 'r' ? READS : WRITES;
  const access = both ? 2 : mode[0] === 'r' ? 0 : 1;
  const extra = { r: 0, w: 0x600, a: 0x208 }[mode[0] as 'r' | 'w' | 'a'];
  return extra === undefined ? undefined : { open: access | extra, stream };
}

function* openStream(k: VxWorks, path: string, mode: string): Steps<number> {
  const { caller } = k;
  const flags = openFlags(mode);
  if (flags === undefined) return noneFor(k, ERRNO.EINVAL);
  const fd = yield* openFile(k, path, flags.open, 0o644, 'open');
  return fd < 0 ? 0 : makeStream(k, fd, flags.stream, caller);
}

function* closeStream(k: VxWorks, stream: number): Steps<number> {
  const result = yield* closeFile(k, fdOf(k, stream));
  k.pool.free(stream);
  return result === 0 ? 0 : EOF;
}

function* readItems(k: VxWorks, to: number, size: number, count: number, stream: number): Steps<number> {
  const bytes = size * count;
  let done = 0;
  for (; done < bytes; done++) {
    const c = yield* readCharacter(k, stream);
    if (c === EOF) break;
    k.memory.set8(to + done, c);
  }
  return size === 0 ? 0 : Math.floor(done / size);
}

function* seekStream(k: VxWorks, stream: number, offset: number, whence: number): Steps<number> {
  const left = Math.max(0, k.read('FILE.readable', stream));
  k.write('FILE.readable', stream, 0);
  unmark(k, stream, AT_END);
  return (yield* seekFile(k, fdOf(k, stream), whence === 1 ? offset - left : offset, whence)) < 0 ? EOF : 0;
}

/** Characters of a stream for scanf: the one that was looked at last goes back when the scan is over. */
function streamSource(k: VxWorks, stream: number) {
  let seen: number | undefined;
  return {
    *peek(): Steps<string | undefined> {
      seen ??= yield* readCharacter(k, stream);
      return seen === EOF ? undefined : String.fromCharCode(seen);
    },
    take() {
      seen = undefined;
    },
    giveBack() {
      if (seen !== undefined) pushBack(k, stream, seen);
    },
  };
}

function* scanStream(
  k: VxWorks,
  stream: number,
  format: string,
  args: Parameters<typeof scanFormat>[3],
): Steps<number> {
  const source = streamSource(k, stream);
  const result = yield* scanFormat(k, source, format, args);
  source.giveBack();
  return result;
}

const streamOf = (k: VxWorks, fd: number): number => k.memory.ptr(k.state(standard)(fd));

export const streamFunctions = functions({
  // In stdio.h `stdin` is what this pointer points at.
  'FILE **__stdin(void)': (k) => k.state(standard)(0),
  'FILE **__stdout(void)': (k) => k.state(standard)(1),
  'FILE **__stderr(void)': (k) => k.state(standard)(2),
  'FILE *stdioFp(int fd)': (k, fd) => (fd >= 0 && fd <= 2 ? streamOf(k, fd) : noneFor(k, ERRNO.EINVAL)),
  'int __srget(FILE *stream)': readCharacter,
  'int __swbuf(int c, FILE *stream)': putCharacter,
  'FILE *fopen(const char *path, const char *mode)': (k, path, mode) =>
    openStream(k, guestText(k, path, 1024), guestText(k, mode, 8)),
  'FILE *fdopen(int fd, const char *mode)': (k, fd, mode) =>
    makeStream(k, fd, openFlags(guestText(k, mode, 8))?.stream ?? READS, k.caller),
  'int fclose(FILE *stream)': closeStream,
  'int fflush(FILE *stream)': () => 0,
  'int setvbuf(FILE *stream, char *buffer, int mode, size_t bytes)': () => 0,
  'void setbuf(FILE *stream, char *buffer)': () => undefined,
  'int fileno(FILE *stream)': fdOf,
  'int feof(FILE *stream)': (k, stream) => (marked(k, stream, AT_END) ? 1 : 0),
  'int ferror(FILE *stream)': (k, stream) => (marked(k, stream, IN_ERROR) ? 1 : 0),
  'void clearerr(FILE *stream)': (k, stream) => unmark(k, stream, AT_END | IN_ERROR),
  'int getc(FILE *stream)': readCharacter,
  'int fgetc(FILE *stream)': readCharacter,
  'int getchar(void)': (k) => readCharacter(k, streamOf(k, 0)),
  'int ungetc(int c, FILE *stream)': (k, c, stream) => pushBack(k, stream, c),
  'char *fgets(char *buffer, int most, FILE *stream)': (k, buffer, most, stream) =>
    readLine(k, buffer, most, stream, true),
  'char *gets(char *buffer)': (k, buffer) => readLine(k, buffer, MAX_LINE, streamOf(k, 0), false),
  'size_t fread(void *to, size_t size, size_t count, FILE *stream)': readItems,
  'size_t fwrite(const void *from, size_t size, size_t count, FILE *stream)': function* (
    k,
    from,
    size,
    count,
    stream,
  ): Steps<number> {
    const sent = yield* writeBytes(k, stream, from, size * count);
    return size === 0 ? 0 : Math.floor(sent / size);
  },
  'int putc(int c, FILE *stream)': putCharacter,
  'int fputc(int c, FILE *stream)': putCharacter,
  'int fputs(const char *text, FILE *stream)': (k, text, stream) => printTo(k, stream, guestText(k, text)),
  'int fprintf(FILE *stream, const char *format, ...)': (k, stream, format, args) =>
    printTo(k, stream, formatC(k, format, args).text),
  'int vfprintf(FILE *stream, const char *format, va_list args)': (k, stream, format, args) =>
    printTo(k, stream, formatC(k, format, args).text),
  'int fdprintf(int fd, const char *format, ...)': (k, fd, format, args) =>
    writeText(k, fd, formatC(k, format, args).text),
  'int vfdprintf(int fd, const char *format, va_list args)': (k, fd, format, args) =>
    writeText(k, fd, formatC(k, format, args).text),
  'int fseek(FILE *stream, long offset, int whence)': seekStream,
  'void rewind(FILE *stream)': function* (k, stream): Steps<void> {
    yield* seekStream(k, stream, 0, 0);
    unmark(k, stream, IN_ERROR);
  },
  'long ftell(FILE *stream)': function* (k, stream): Steps<number> {
    const at = yield* ioctlFile(k, fdOf(k, stream), FIOWHERE, 0);
    return at < 0 ? at : at - Math.max(0, k.read('FILE.readable', stream));
  },
  'int scanf(const char *format, ...)': (k, format, args) =>
    scanStream(k, streamOf(k, 0), guestText(k, format), args),
  'int fscanf(FILE *stream, const char *format, ...)': (k, stream, format, args) =>
    scanStream(k, stream, guestText(k, format), args),
  'int sscanf(const char *text, const char *format, ...)': (k, text, format, args) =>
    scanFormat(k, textSource(guestText(k, text)), guestText(k, format), args),
  'int vsscanf(const char *text, const char *format, va_list args)': (k, text, format, args) =>
    scanFormat(k, textSource(guestText(k, text)), guestText(k, format), args),
});
