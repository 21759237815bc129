/**
 * Files as CLIB has them: handles and streams on the server's volumes. What a module writes stays in this server's
 * memory: the folders behind the volumes are only read. [uncertain]: the bits of open and the numbers
 * of errno, taken from the compilers of that
 * time, whose C library this is.
 */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { formatC, guestText } from '../../../kernel/text/printf.ts';
import { bytesOf, textOf } from '../../../kernel/text/sink.ts';
import type { NlmModule } from '../module.ts';
import type { NetWare } from '../netware.ts';
import { print, setErrno } from './clients.ts';

const functions = definer<NetWare>();

const O_WRONLY = 1;
const O_ACCESS = 3;
const O_APPEND = 0x10;
const O_CREAT = 0x20;
const O_TRUNC = 0x40;
const O_EXCL = 0x400;

const FAILURE = -1;
/** Numbers of errno, from the same compilers. */
const ENOENT = 1;
const EBADF = 4;
const EEXIST = 7;
const EINVAL = 9;

/** A file that a module keeps writing to has an end. */
const MOST_BYTES = 16 << 20;
/** Handles 0 to 2 are the module's screen. */
const FIRST_HANDLE = 3;

interface Contents {
  bytes: Uint8Array;
}

interface OpenFile {
  readonly name: string;
  readonly contents: Contents;
  readonly flags: number;
  readonly owner: NlmModule | undefined;
  position: number;
  atEnd: boolean;
}

const volumes = perKernel(() => ({
  /** By name in capitals; undefined: removed. */
  changed: new Map<string, Contents | undefined>(),
  open: new Map<number, OpenFile>(),
}));

/** Names without a volume are those of SYS:. */
function fullName(name: string): string {
  const plain = name.replaceAll('/', '\\').toUpperCase();
  return /^[A-Z][\w-]*:/.test(plain) ? plain : `SYS:${plain.replace(/^\\+/, '')}`;
}

function contentsOf(k: NetWare, name: string): Contents | undefined {
  const { changed } = k.state(volumes);
  const full = fullName(name);
  if (changed.has(full)) return changed.get(full);
  const bytes = k.files.offered(full);
  return bytes && { bytes };
}

function fail(k: NetWare, errno: number): number {
  setErrno(k, errno);
  return FAILURE;
}

function openFile(k: NetWare, name: string, flags: number): number {
  const { changed, open } = k.state(volumes);
  let contents = contentsOf(k, name);
  if (contents === undefined && (flags & O_CREAT) === 0) return fail(k, ENOENT);
  if (contents !== undefined && (flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) return fail(k, EEXIST);
  if ((flags & O_ACCESS) !== 0 || contents === undefined) {
    contents ??= { bytes: new Uint8Array(0) };
    if ((flags & O_TRUNC) !== 0) contents.bytes = new Uint8Array(0);
    changed.set(fullName(name), contents);
  }
  let handle = FIRST_HANDLE;
  while (open.has(handle)) handle++;
  open.set(handle, {
    name: fullName(name),
    contents,
    flags,
    owner: k.callingModule,
    position: 0,
    atEnd: false,
  });
  return handle;
}

function read(k: NetWare, file: OpenFile, buffer: number, most: number): number {
  const part = file.contents.bytes.subarray(file.position, file.position + most);
  k.memory.write(buffer, part);
  file.position += part.length;
  file.atEnd ||= part.length < most;
  return part.length;
}

function write(k: NetWare, file: OpenFile, data: Uint8Array): number {
  if ((file.flags & O_ACCESS) === 0) return fail(k, EBADF);
  const { contents } = file;
  if ((file.flags & O_APPEND) !== 0) file.position = contents.bytes.length;
  const end = file.position + data.length;
  if (end > MOST_BYTES) return fail(k, EINVAL);
  if (end > contents.bytes.length) {
    const longer = new Uint8Array(end);
    longer.set(contents.bytes);
    contents.bytes = longer;
  }
  contents.bytes.set(data, file.position);
  file.position = end;
  return data.length;
}

function seek(k: NetWare, file: OpenFile, offset: number, whence: number): number {
  const from = [0, file.position, file.contents.bytes.length][whence];
  if (from === undefined || from + offset < 0) return fail(k, EINVAL);
  file.position = from + offset;
  file.atEnd = false;
  return file.position;
}

/** Runs `use` on an open file; FAILURE with errno for what is none. */
function onFile(k: NetWare, handle: number, use: (file: OpenFile) => number): number {
  const file = k.state(volumes).open.get(handle);
  return file === undefined ? fail(k, EBADF) : use(file);
}

/** Handle and name of each open file. */
export function* openFiles(k: NetWare): Generator<{ handle: number; name: string }> {
  for (const [handle, { name }] of k.state(volumes).open) yield { handle, name };
}

/** Closes what a module that goes has left open, as CLIB does. */
export function closeFilesOf(k: NetWare, module: NlmModule): void {
  const { open } = k.state(volumes);
  for (const [handle, { owner }] of [...open]) if (owner === module) open.delete(handle);
}

export const fileFunctions = functions({
  'int open(char *path, int flags, ...)': (k, path, flags) => openFile(k, guestText(k, path, 255), flags),
  'int creat(char *path, int mode)': (k, path) =>
    openFile(k, guestText(k, path, 255), O_WRONLY | O_CREAT | O_TRUNC),
  'int close(int handle)': (k, handle) => (k.state(volumes).open.delete(handle) ? 0 : fail(k, EBADF)),
  'LONG read(int handle, void *buffer, LONG bytes)': (k, handle, buffer, bytes) =>
    handle === 0 ? 0 : onFile(k, handle, (file) => read(k, file, buffer, bytes)),
  'LONG write(int handle, void *buffer, LONG bytes)': (k, handle, buffer, bytes) => {
    const data = k.memory.bytes(buffer, Math.min(bytes, MOST_BYTES));
    if (handle !== 1 && handle !== 2) return onFile(k, handle, (file) => write(k, file, data));
    print(k, textOf(data));
    return bytes;
  },
  'LONG lseek(int handle, LONG offset, int whence)': (k, handle, offset, whence) =>
    onFile(k, handle, (file) => seek(k, file, offset | 0, whence)),
  'LONG tell(int handle)': (k, handle) => onFile(k, handle, (file) => file.position),
  'LONG filelength(int handle)': (k, handle) => onFile(k, handle, (file) => file.contents.bytes.length),
  'int eof(int handle)': (k, handle) =>
    onFile(k, handle, ({ position, contents }) => (position >= contents.bytes.length ? 1 : 0)),
  'int access(char *path, int mode)': (k, path) =>
    contentsOf(k, guestText(k, path, 255)) === undefined ? fail(k, ENOENT) : 0,
  'int unlink(char *path)': (k, path) => {
    const name = guestText(k, path, 255);
    if (contentsOf(k, name) === undefined) return fail(k, ENOENT);
    k.state(volumes).changed.set(fullName(name), undefined);
    return 0;
  },
});

/** A stream is its handle, kept in memory of the server: modules only pass it on. */
const streamOf = (k: NetWare, handle: number): number => {
  const at = k.pool.allocate(4, undefined, k.caller);
  if (at !== 0) k.memory.set32(at, handle);
  return at;
};

const MODES: ReadonlyMap<string, number> = new Map([
  ['r', 0],
  ['r+', 2],
  ['w', O_WRONLY | O_CREAT | O_TRUNC],
  ['w+', 2 | O_CREAT | O_TRUNC],
  ['a', O_WRONLY | O_CREAT | O_APPEND],
  ['a+', 2 | O_CREAT | O_APPEND],
]);

const onStream = (k: NetWare, stream: number, use: (file: OpenFile) => number): number =>
  onFile(k, k.memory.u32(stream), use);

function put(k: NetWare, stream: number, text: string): number {
  const handle = k.memory.u32(stream);
  if (handle !== 1 && handle !== 2) return onFile(k, handle, (file) => write(k, file, bytesOf(text)));
  return print(k, text);
}

export const streamFunctions = functions({
  'void *__get_stdout(void)': (k) => streamOf(k, 1),
  'void *__get_stderr(void)': (k) => streamOf(k, 2),
  'void *fopen(char *path, char *mode)': (k, path, mode) => {
    const flags = MODES.get(guestText(k, mode, 8).replace(/[bt]/g, ''));
    if (flags === undefined) {
      fail(k, EINVAL);
      return 0;
    }
    const handle = openFile(k, guestText(k, path, 255), flags);
    return handle === FAILURE ? 0 : streamOf(k, handle);
  },
  'int fclose(void *stream)': (k, stream) => {
    const known = k.state(volumes).open.delete(k.memory.u32(stream));
    k.pool.free(stream);
    return known ? 0 : FAILURE;
  },
  'int fflush(void *stream)': () => 0,
  'size_t fread(void *buffer, size_t size, size_t count, void *stream)': (k, buffer, size, count, stream) =>
    size === 0
      ? 0
      : Math.floor(
          Math.max(
            0,
            onStream(k, stream, (file) => read(k, file, buffer, size * count)),
          ) / size,
        ),
  'size_t fwrite(void *buffer, size_t size, size_t count, void *stream)': (
    k,
    buffer,
    size,
    count,
    stream,
  ) => {
    if (size === 0) return 0;
    const data = k.memory.bytes(buffer, Math.min(size * count, MOST_BYTES));
    return Math.floor(
      Math.max(
        0,
        onStream(k, stream, (file) => write(k, file, data)),
      ) / size,
    );
  },
  'char *fgets(char *buffer, int most, void *stream)': (k, buffer, most, stream) => {
    let length = 0;
    onStream(k, stream, (file) => {
      const { bytes } = file.contents;
      const line = bytes.indexOf(10, file.position);
      const end = Math.min(line < 0 ? bytes.length : line + 1, file.position + Math.max(0, most - 1));
      length = read(k, file, buffer, end - file.position);
      file.atEnd = length === 0;
      return length;
    });
    if (length === 0) return 0;
    k.memory.set8(buffer + length, 0);
    return buffer;
  },
  'int fputs(char *text, void *stream)': (k, text, stream) => put(k, stream, guestText(k, text)),
  'int fprintf(void *stream, const char *format, ...)': (k, stream, format, args) =>
    put(k, stream, formatC(k, format, args).text),
  'int feof(void *stream)': (k, stream) => onStream(k, stream, ({ atEnd }) => (atEnd ? 1 : 0)),
  'int fseek(void *stream, LONG offset, int whence)': (k, stream, offset, whence) =>
    onStream(k, stream, (file) => (seek(k, file, offset | 0, whence) < 0 ? FAILURE : 0)),
  'LONG ftell(void *stream)': (k, stream) => onStream(k, stream, (file) => file.position),
});
