/**
 * Error numbers: the number of the library in the upper half, its own number in the lower (errnoLib). Numbers of tasks,
 * I/O, memory, symbols, semaphores, objects and message queues are those that error reports show. [uncertain]: those of
 * loadLib, unldLib and moduleLib, whose headers no public source shows.
 */
const library = (number: number) => number << 16;

const TASK = library(3);
const IOS = library(13);
const LOAD = library(14);
const MEMORY = library(17);
const SEMAPHORE = library(22);
const SYMBOL = library(28);
const UNLOAD = library(35);
const OBJECT = library(61);
const MESSAGES = library(65);
const MODULE = library(66);
const EVENT = library(67);
const IO = library(12);

/** Those without a library's number are POSIX's as errno.h counts them. [uncertain]: those of
 * sockets and of ioLib, which are remembered. */
export const ERRNO = {
  EINVAL: 22,
  ENOTSUP: 35,
  EMSGSIZE: 36,
  ENOPROTOOPT: 42,
  EPROTONOSUPPORT: 43,
  EOPNOTSUPP: 45,
  EAFNOSUPPORT: 47,
  EADDRINUSE: 48,
  EADDRNOTAVAIL: 49,
  ENOTSOCK: 50,
  ENETUNREACH: 51,
  ECONNRESET: 54,
  EISCONN: 56,
  ENOTCONN: 57,
  EPIPE: 32,
  ECONNREFUSED: 61,
  EWOULDBLOCK: 70,
  S_ioLib_UNKNOWN_REQUEST: IO | 2,
  S_taskLib_NAME_NOT_FOUND: TASK | 101,
  S_taskLib_TASK_HOOK_TABLE_FULL: TASK | 102,
  S_taskLib_TASK_HOOK_NOT_FOUND: TASK | 103,
  S_taskLib_ILLEGAL_PRIORITY: TASK | 107,
  S_iosLib_DEVICE_NOT_FOUND: IOS | 1,
  S_iosLib_DRIVER_GLUT: IOS | 2,
  S_iosLib_INVALID_FILE_DESCRIPTOR: IOS | 3,
  S_iosLib_TOO_MANY_OPEN_FILES: IOS | 4,
  S_iosLib_DUPLICATE_DEVICE_NAME: IOS | 6,
  S_loadLib_UNDEFINED_REFERENCES: LOAD | 5,
  S_loadLib_ISA_MISMATCH: LOAD | 11,
  S_loadLib_ROUTINE_NOT_INSTALLED: LOAD | 1,
  S_loadLib_INVALID_LOAD_FLAG: LOAD | 7,
  S_loadLib_ILLEGAL_FLAGS_COMBINATION: LOAD | 3,
  S_memLib_NOT_ENOUGH_MEMORY: MEMORY | 1,
  S_memLib_BLOCK_ERROR: MEMORY | 3,
  S_semLib_INVALID_STATE: SEMAPHORE | 101,
  S_semLib_INVALID_OPERATION: SEMAPHORE | 102,
  S_symLib_SYMBOL_NOT_FOUND: SYMBOL | 1,
  S_unldLib_MODULE_NOT_FOUND: UNLOAD | 1,
  S_unldLib_TEXT_IN_USE: UNLOAD | 2,
  S_objLib_OBJ_ID_ERROR: OBJECT | 1,
  S_objLib_OBJ_UNAVAILABLE: OBJECT | 2,
  S_objLib_OBJ_DELETED: OBJECT | 3,
  S_objLib_OBJ_TIMEOUT: OBJECT | 4,
  S_msgQLib_INVALID_MSG_LENGTH: MESSAGES | 1,
  S_moduleLib_MODULE_NOT_FOUND: MODULE | 1,
  S_moduleLib_HOOK_NOT_FOUND: MODULE | 2,
  S_eventLib_TIMEOUT: EVENT | 1,
  S_eventLib_NOT_ALL_EVENTS: EVENT | 2,
  S_eventLib_ZERO_EVENTS: EVENT | 4,
} as const;

export const OK = 0;
export const ERROR = -1;
export const NO_WAIT = 0;
export const WAIT_FOREVER = -1;
