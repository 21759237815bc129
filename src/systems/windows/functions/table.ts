/**
 * Generic tables: ordered trees whose nodes the caller's routine allocates and whose order the caller's routine decides.
 * Both kinds are binary search trees in guest memory with the links where the headers have them; neither is rebalanced, so
 * results and order are the system's, the depth of an AVL table may not be.
 */
import { joinTables } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions, renamed } from './define.ts';

/** What differs: RTL_GENERIC_TABLE with splay links and a list by age, RTL_AVL_TABLE with balanced links. */
interface Kind {
  readonly name: 'RTL_GENERIC_TABLE' | 'RTL_AVL_TABLE';
  readonly avl: boolean;
}
const SPLAY: Kind = { name: 'RTL_GENERIC_TABLE', avl: false };
const AVL: Kind = { name: 'RTL_AVL_TABLE', avl: true };

/** RTL_GENERIC_COMPARE_RESULTS. */
const LESS = 0;
const GREATER = 1;
/** TABLE_SEARCH_RESULT. */
const Search = { EMPTY: 0, FOUND: 1, LEFT: 2, RIGHT: 3 } as const;

const PARENT = 0;
const LEFT = 1;
const RIGHT = 2;

const get = (k: Windows, node: Address, which: number): Address => k.memory.ptr(node + which * k.word);
const set = (k: Windows, node: Address, which: number, to: Address): void =>
  k.memory.setPtr(node + which * k.word, to);
/** Bytes in front of the caller's data: links (and a byte of balance, aligned), or links and a list entry. */
const head = (k: Windows, { avl }: Kind): number => (avl ? (k.word === 8 ? 32 : 16) : 5 * k.word);
/** Where the pointer to the root is kept. */
const rootAt = (k: Windows, table: Address, { avl }: Kind): Address => (avl ? table + RIGHT * k.word : table);
const root = (k: Windows, table: Address, kind: Kind): Address => k.memory.ptr(rootAt(k, table, kind));
const field = (k: Windows, kind: Kind, table: Address, name: string): number =>
  k.read(`${kind.name}.${name}`, table);

function initialise(k: Windows, kind: Kind, table: Address, routines: readonly Address[]): void {
  k.memory.fill(table, k.sizeof(kind.name), 0);
  const [compare, allocate, free, context] = routines;
  k.write(`${kind.name}.CompareRoutine`, table, compare);
  k.write(`${kind.name}.AllocateRoutine`, table, allocate);
  k.write(`${kind.name}.FreeRoutine`, table, free);
  k.write(`${kind.name}.TableContext`, table, context);
  if (kind.avl) {
    k.memory.setPtr(table, table);
    return;
  }
  for (const list of ['InsertOrderList', 'OrderedPointer'] as const) {
    const at = table + k.offset(`${kind.name}.InsertOrderList`);
    if (list === 'OrderedPointer') k.write(`${kind.name}.OrderedPointer`, table, at);
    else {
      k.memory.setPtr(at, at);
      k.memory.setPtr(at + k.word, at);
    }
  }
}

interface Found {
  readonly result: number;
  readonly node: Address;
}

function* find(k: Windows, kind: Kind, table: Address, buffer: Address): Steps<Found> {
  const compare = field(k, kind, table, 'CompareRoutine');
  let node = root(k, table, kind);
  if (node === 0) return { result: Search.EMPTY, node: 0 };
  for (;;) {
    const order = yield* k.callInt(compare, table, buffer, node + head(k, kind));
    if (order !== LESS && order !== GREATER) return { result: Search.FOUND, node };
    const side = order === LESS ? LEFT : RIGHT;
    const next = get(k, node, side);
    if (next === 0) return { result: order === LESS ? Search.LEFT : Search.RIGHT, node };
    node = next;
  }
}

function* insertAt(
  k: Windows,
  kind: Kind,
  table: Address,
  buffer: Address,
  bytes: number,
  isNew: Address,
  { result, node }: Found,
): Steps<Address> {
  if (isNew !== 0) k.memory.set8(isNew, result === Search.FOUND ? 0 : 1);
  if (result === Search.FOUND) return node + head(k, kind);
  const made = yield* k.call(field(k, kind, table, 'AllocateRoutine'), table, head(k, kind) + bytes);
  if (made === 0) {
    if (isNew !== 0) k.memory.set8(isNew, 0);
    return 0;
  }
  k.memory.fill(made, head(k, kind), 0);
  k.memory.copy(made + head(k, kind), buffer, bytes);
  if (result === Search.EMPTY) {
    set(k, made, PARENT, kind.avl ? table : made);
    k.memory.setPtr(rootAt(k, table, kind), made);
  } else {
    set(k, made, PARENT, node);
    set(k, node, result === Search.LEFT ? LEFT : RIGHT, made);
  }
  if (!kind.avl) linkByAge(k, table, made + 3 * k.word);
  count(k, kind, table, 1);
  return made + head(k, kind);
}

function linkByAge(k: Windows, table: Address, entry: Address): void {
  const list = table + k.offset('RTL_GENERIC_TABLE.InsertOrderList');
  const last = k.memory.ptr(list + k.word);
  k.memory.setPtr(entry, list);
  k.memory.setPtr(entry + k.word, last);
  k.memory.setPtr(last, entry);
  k.memory.setPtr(list + k.word, entry);
}

function count(k: Windows, kind: Kind, table: Address, by: number): void {
  const name = `${kind.name}.NumberGenericTableElements`;
  k.write(name, table, k.read(name, table) + by);
  // Positions that were remembered for walks no longer hold.
  k.write(`${kind.name}.WhichOrderedElement`, table, 0);
}

/** Puts `by` in the place of `node` below its parent. */
function replace(k: Windows, kind: Kind, table: Address, node: Address, by: Address): void {
  const parent = get(k, node, PARENT);
  const top = root(k, table, kind) === node;
  if (top) k.memory.setPtr(rootAt(k, table, kind), by);
  else set(k, parent, get(k, parent, LEFT) === node ? LEFT : RIGHT, by);
  if (by !== 0) set(k, by, PARENT, top ? (kind.avl ? table : by) : parent);
}

function unlink(k: Windows, kind: Kind, table: Address, node: Address): void {
  const [left, right] = [get(k, node, LEFT), get(k, node, RIGHT)];
  if (left === 0 || right === 0) {
    replace(k, kind, table, node, left === 0 ? right : left);
    return;
  }
  // The next in order has no left child: it takes the place.
  let next = right;
  while (get(k, next, LEFT) !== 0) next = get(k, next, LEFT);
  if (next !== right) {
    replace(k, kind, table, next, get(k, next, RIGHT));
    set(k, next, RIGHT, right);
    set(k, right, PARENT, next);
  }
  replace(k, kind, table, node, next);
  set(k, next, LEFT, left);
  set(k, left, PARENT, next);
}

function* remove(k: Windows, kind: Kind, table: Address, buffer: Address): Steps<number> {
  const { result, node } = yield* find(k, kind, table, buffer);
  if (result !== Search.FOUND) return 0;
  unlink(k, kind, table, node);
  if (!kind.avl) {
    const entry = node + 3 * k.word;
    const [next, previous] = [k.memory.ptr(entry), k.memory.ptr(entry + k.word)];
    k.memory.setPtr(previous, next);
    k.memory.setPtr(next + k.word, previous);
  } else {
    k.write('RTL_AVL_TABLE.DeleteCount', table, k.read('RTL_AVL_TABLE.DeleteCount', table) + 1);
    if (k.read('RTL_AVL_TABLE.RestartKey', table) === node) k.write('RTL_AVL_TABLE.RestartKey', table, 0);
  }
  count(k, kind, table, -1);
  yield* k.call(field(k, kind, table, 'FreeRoutine'), table, node);
  return 1;
}

function* lookUp(k: Windows, kind: Kind, table: Address, buffer: Address): Steps<Address> {
  const { result, node } = yield* find(k, kind, table, buffer);
  return result === Search.FOUND ? node + head(k, kind) : 0;
}

/** The first node, or the one behind this. */
function successor(k: Windows, kind: Kind, table: Address, node: Address): Address {
  let at = node === 0 ? root(k, table, kind) : get(k, node, RIGHT);
  if (at !== 0) {
    while (get(k, at, LEFT) !== 0) at = get(k, at, LEFT);
    return at;
  }
  if (node === 0) return 0;
  at = node;
  while (at !== root(k, table, kind)) {
    const parent = get(k, at, PARENT);
    if (get(k, parent, LEFT) === at) return parent;
    at = parent;
  }
  return 0;
}

function walk(k: Windows, kind: Kind, table: Address, keyAt: Address): Address {
  const next = successor(k, kind, table, k.memory.ptr(keyAt));
  if (next !== 0) k.memory.setPtr(keyAt, next);
  return next === 0 ? 0 : next + head(k, kind);
}

/** Enumerations that begin anew remember their place in the table itself. */
function walkInTable(k: Windows, kind: Kind, table: Address, restart: number): Address {
  const at =
    table + (kind.avl ? k.offset('RTL_AVL_TABLE.RestartKey') : k.offset('RTL_GENERIC_TABLE.OrderedPointer'));
  const list = kind.avl ? 0 : table + k.offset('RTL_GENERIC_TABLE.InsertOrderList');
  if (restart || (!kind.avl && k.memory.ptr(at) === list)) k.memory.setPtr(at, 0);
  const found = walk(k, kind, table, at);
  if (found === 0 && !kind.avl) k.memory.setPtr(at, list);
  return found;
}

function nth(k: Windows, kind: Kind, table: Address, index: number): Address {
  let node = successor(k, kind, table, 0);
  for (let i = 0; i < index && node !== 0; i++) node = successor(k, kind, table, node);
  return node === 0 ? 0 : node + head(k, kind);
}

/** The functions that both kinds of table have, under the names of one. */
const common = (kind: Kind) =>
  kernelFunctions({
    'void RtlInitializeGenericTable(PVOID table, PVOID compare, PVOID allocate, PVOID free, PVOID context)': (
      k,
      table,
      ...routines
    ) => initialise(k, kind, table, routines),
    'PVOID RtlInsertElementGenericTable(PVOID table, PVOID buffer, ULONG bytes, BOOLEAN *isNew)': function* (
      k,
      table,
      buffer,
      bytes,
      isNew,
    ) {
      return yield* insertAt(k, kind, table, buffer, bytes, isNew, yield* find(k, kind, table, buffer));
    },
    'BOOLEAN RtlDeleteElementGenericTable(PVOID table, PVOID buffer)': (k, table, buffer) =>
      remove(k, kind, table, buffer),
    'PVOID RtlLookupElementGenericTable(PVOID table, PVOID buffer)': (k, table, buffer) =>
      lookUp(k, kind, table, buffer),
    'PVOID RtlEnumerateGenericTable(PVOID table, BOOLEAN restart)': (k, table, restart) =>
      walkInTable(k, kind, table, restart),
    'PVOID RtlEnumerateGenericTableWithoutSplaying(PVOID table, PVOID *key)': (k, table, key) =>
      walk(k, kind, table, key),
    'PVOID RtlGetElementGenericTable(PVOID table, ULONG index)': (k, table, index) =>
      nth(k, kind, table, index),
    'ULONG RtlNumberGenericTableElements(PVOID table)': (k, table) =>
      field(k, kind, table, 'NumberGenericTableElements'),
    'BOOLEAN RtlIsGenericTableEmpty(PVOID table)': (k, table) => root(k, table, kind) === 0,
  });

export const tableFunctions = joinTables([
  common(SPLAY),
  renamed(common(AVL), (name) => `${name}Avl`),
  kernelFunctions({
    'PVOID RtlInsertElementGenericTableFullAvl(PVOID table, PVOID buffer, ULONG bytes, BOOLEAN *isNew, PVOID node, ULONG result)':
      (k, table, buffer, bytes, isNew, node, result) =>
        insertAt(k, AVL, table, buffer, bytes, isNew, { node, result }),
    'PVOID RtlLookupElementGenericTableFullAvl(PVOID table, PVOID buffer, PVOID *node, ULONG *result)':
      function* (k, table, buffer, nodeOut, resultOut) {
        const { result, node } = yield* find(k, AVL, table, buffer);
        k.memory.setPtr(nodeOut, node);
        k.memory.set32(resultOut, result);
        return result === Search.FOUND ? node + head(k, AVL) : 0;
      },
  }),
]);
