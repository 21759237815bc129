/** loadLib, unldLib, moduleLib and symLib as machine code calls them. */
import { definer } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import { ERRNO, OK } from '../errno.ts';
import { LoadRefused, loadModule } from '../load.ts';
import { symbolFlags } from '../load-flags.ts';
import type { SegmentKind, VxModule } from '../module.ts';
import { SYM_GLOBAL, SYM_TYPE, type SymbolKind, type VxSymbol } from '../symbols.ts';
import { failed, noneFor } from '../tasks.ts';
import { unloadModule } from '../unload.ts';
import type { VxWorks } from '../vxworks.ts';
import { hostFileOf } from './io.ts';

const functions = definer<VxWorks>();

/** Module formats, as the clone of the headers numbers them. */
const FORMAT_ELF = 3;
const FORMAT_COFF = 2;

export const moduleFunctions = functions({
  'MODULE_ID moduleFindByName(char *name)': (k, name) =>
    k.modules.find(guestText(k, name, 255))?.id ?? noneFor(k, ERRNO.S_moduleLib_MODULE_NOT_FOUND),
  'MODULE_ID moduleFindByGroup(int group)': (k, group) =>
    k.modules.byGroup(group)?.id ?? noneFor(k, ERRNO.S_moduleLib_MODULE_NOT_FOUND),
  'char *moduleNameGet(MODULE_ID id)': (k, id) => {
    const module = k.modules.byId(id);
    if (module === undefined) return 0;
    k.memory.write(module.id, bytesOf(`${module.name.slice(0, 62)}\0`));
    return module.id;
  },
  'STATUS moduleInfoGet(MODULE_ID id, MODULE_INFO *info)': (k, id, info) => {
    const module = k.modules.byId(id);
    if (module === undefined) return failed(k, ERRNO.S_moduleLib_MODULE_NOT_FOUND);
    fillInfo(k, module, info);
    return OK;
  },
  'int moduleIdListGet(MODULE_ID *list, int most)': (k, list, most) => {
    const ids = [...k.modules].map((module) => module.id).slice(0, Math.max(0, most));
    for (const [i, id] of ids.entries()) k.memory.setPtr(list + i * k.spec.pointerBytes, id);
    return ids.length;
  },
  'MODULE_ID loadModule(int fd, int symFlag)': (k, fd, flags) => load(k, fd, flags, [0, 0, 0]),
  'MODULE_ID loadModuleAt(int fd, int symFlag, char **text, char **data, char **bss)': (
    k,
    fd,
    flags,
    text,
    data,
    bss,
  ) => load(k, fd, flags, [text, data, bss]),
  'MODULE_ID moduleFindByNameAndPath(char *name, char *path)': (k, name, path) => {
    const [wanted, folder] = [guestText(k, name, 255), guestText(k, path, 1024)];
    const found = [...k.modules].findLast(
      (module) => module.name === wanted && folderOf(module.path) === folder.replace(/\/$/, ''),
    );
    return found?.id ?? noneFor(k, ERRNO.S_moduleLib_MODULE_NOT_FOUND);
  },
  'int moduleFlagsGet(MODULE_ID id)': (k, id) =>
    k.modules.byId(id)?.flags ?? failed(k, ERRNO.S_moduleLib_MODULE_NOT_FOUND),
  'STATUS moduleCreateHookAdd(FUNCPTR hook)': (k, hook) => {
    k.modules.createHooks.push(hook);
    return OK;
  },
  'STATUS moduleCreateHookDelete(FUNCPTR hook)': (k, hook) => {
    const hooks = k.modules.createHooks;
    const at = hooks.indexOf(hook);
    if (at < 0) return failed(k, ERRNO.S_moduleLib_HOOK_NOT_FOUND);
    hooks.splice(at, 1);
    return OK;
  },
  'STATUS unldByModuleId(MODULE_ID id, int options)': (k, id, options) =>
    unload(k, k.modules.byId(id), options),
  'STATUS unldByNameAndPath(char *name, char *path, int options)': (k, name, _path, options) =>
    unload(k, k.modules.find(guestText(k, name, 255)), options),
  'STATUS unldByGroup(UINT16 group, int options)': (k, group, options) =>
    unload(k, k.modules.byGroup(group), options),
  'STATUS symFindByName(SYMTAB_ID table, char *name, char **value, SYM_TYPE *type)': (
    k,
    _t,
    name,
    value,
    type,
  ) => {
    const symbol = k.sysSymTbl.find(guestText(k, name, 1024));
    if (symbol === undefined) return failed(k, ERRNO.S_symLib_SYMBOL_NOT_FOUND);
    if (value !== 0) k.memory.setPtr(value, symbol.address);
    if (type !== 0) k.memory.set8(type, symbolType(symbol));
    return OK;
  },
  'STATUS symFindByValue(SYMTAB_ID table, ULONG wanted, char *name, int *value, SYM_TYPE *type)': (
    k,
    _t,
    wanted,
    name,
    value,
    type,
  ) => {
    const symbol = k.sysSymTbl.nearest(wanted, 1 << 20);
    if (symbol === undefined) return failed(k, ERRNO.S_symLib_SYMBOL_NOT_FOUND);
    if (name !== 0) k.memory.write(name, bytesOf(`${symbol.name}\0`));
    if (value !== 0) k.memory.set32(value, symbol.address);
    if (type !== 0) k.memory.set8(type, symbolType(symbol));
    return OK;
  },
  'STATUS symAdd(SYMTAB_ID table, char *name, char *value, SYM_TYPE type, UINT16 group)': (
    k,
    _t,
    name,
    value,
    type,
    group,
  ) => {
    const kind = KINDS.get(type & ~SYM_GLOBAL) ?? 'abs';
    const global = (type & SYM_GLOBAL) !== 0;
    k.sysSymTbl.add({ name: guestText(k, name, 1024), address: value, kind, group, global });
    return OK;
  },
  'void cplusXtorSet(int strategy)': (k, strategy) => {
    k.automaticConstructors = strategy !== 0;
  },
});

const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** LD_NO_ADDRESS: the loader is to choose, and to say where. */
const NO_ADDRESS = -1;

/**
 * Loads from a descriptor. `places` are where the caller keeps the addresses of text, data and bss: each one given, or
 * LD_NO_ADDRESS, or (a null pointer) of no interest.
 */
function* load(k: VxWorks, fd: number, symFlag: number, places: readonly number[]): Steps<number> {
  const file = hostFileOf(k, fd);
  if (file === undefined) return noneFor(k, ERRNO.S_iosLib_INVALID_FILE_DESCRIPTOR);
  const at: Partial<Record<SegmentKind, number>> = {};
  for (const [i, kind] of SEGMENTS.entries()) {
    const given = places[i] === 0 ? NO_ADDRESS : k.memory.ptr(places[i]);
    if (!isNone(k, given)) at[kind] = given;
  }
  try {
    const { module } = yield* loadModule(k, {
      path: file.name,
      bytes: file.bytes,
      flags: symbolFlags(symFlag),
      at,
    });
    for (const [i, kind] of SEGMENTS.entries())
      if (places[i] !== 0) k.memory.setPtr(places[i], module.segments[kind].address);
    if (module.undefinedNames.length > 0) k.errno = ERRNO.S_symLib_SYMBOL_NOT_FOUND;
    return module.id;
  } catch (error) {
    if (!(error instanceof LoadRefused)) throw error;
    return noneFor(k, error.errno);
  }
}

const SEGMENTS: readonly SegmentKind[] = ['text', 'data', 'bss'];

const isNone = (k: VxWorks, address: number): boolean =>
  address === NO_ADDRESS || (k.spec.pointerBytes === 4 && address === 0xffffffff);

const KINDS: ReadonlyMap<number, SymbolKind> = new Map([
  [SYM_TYPE.text, 'text'],
  [SYM_TYPE.data, 'data'],
  [SYM_TYPE.bss, 'bss'],
  [SYM_TYPE.absolute, 'abs'],
]);

/** SYM_TYPE of a symbol: what it is, and whether others see it. */
export function symbolType({ kind, global, common }: VxSymbol): number {
  const type = kind === 'abs' ? SYM_TYPE.absolute : SYM_TYPE[kind];
  return (common ? SYM_TYPE.common : type) | (global ? SYM_GLOBAL : 0);
}

function* unload(k: VxWorks, module: VxModule | undefined, options: number): Steps<number> {
  if (module === undefined) return failed(k, ERRNO.S_unldLib_MODULE_NOT_FOUND);
  const errno = yield* unloadModule(k, module, options);
  return errno === 0 ? OK : failed(k, errno);
}

function fillInfo(k: VxWorks, { name, file, group, segments }: VxModule, info: number): void {
  k.memory.fill(info, k.sizeof('MODULE_INFO'), 0);
  k.memory.write(info, bytesOf(name.slice(0, 31)));
  k.write('MODULE_INFO.format', info, file.format === 'elf' ? FORMAT_ELF : FORMAT_COFF);
  k.write('MODULE_INFO.group', info, group);
  for (const kind of ['text', 'data', 'bss'] as const) {
    k.write(`MODULE_INFO.segInfo.${kind}Addr`, info, segments[kind].address);
    k.write(`MODULE_INFO.segInfo.${kind}Size`, info, segments[kind].bytes);
  }
}
