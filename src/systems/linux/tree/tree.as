// The inner loops of depmod, in AssemblyScript: names of symbols by number, symbol tables, and the `.bin` indexes. A run is
// too short for an optimiser to pay, and what these loops go through is bytes. workshop.ts lays out the memory: addresses
// are given by the caller, and only what stands at `out` grows.

// -- names ---------------------------------------------------------------------------------------------------------

let pool: u32 = 0; // the names, a NUL after each
let poolEnd: u32 = 0;
let poolLimit: u32 = 0;
let starts: u32 = 0; // u32 each: offset in the pool; one more than there are names
let hashes: u32 = 0; // u32 each
let slots: u32 = 0; // u32 each: number + 1, 0 for a free place
let mask: u32 = 0;
let count: u32 = 0;
let full: bool = false; // there was no room for a name

const BASIS: u32 = 0x811c9dc5;
const PRIME: u32 = 0x01000193;

export function nameCount(): u32 {
  return count;
}

export function poolLength(): u32 {
  return poolEnd - pool;
}

/** Gives the table other places, which are larger: what is in it moves there. There are `slotCount` / 2 names at most. */
export function moveNames(to: u32, limit: u32, toStarts: u32, toHashes: u32, toSlots: u32, slotCount: u32): void {
  memory.copy(to, pool, poolEnd - pool);
  memory.copy(toStarts, starts, 4 * (count + 1));
  memory.copy(toHashes, hashes, 4 * count);
  poolEnd = to + (poolEnd - pool);
  pool = to;
  poolLimit = limit;
  starts = toStarts;
  hashes = toHashes;
  slots = toSlots;
  mask = slotCount - 1;
  full = false;
  memory.fill(slots, 0, 4 * slotCount);
  for (let number: u32 = 0; number < count; number++) {
    const hash = load<u32>(hashes + 4 * number);
    let slot = (hash ^ (hash >>> 15)) & mask;
    while (load<u32>(slots + 4 * slot) != 0) slot = (slot + 1) & mask;
    store<u32>(slots + 4 * slot, number + 1);
  }
}

/** The number of the name at `at`, which ends at a NUL or at the limit; any number, and `full` set, when it has no room. */
export function numberOf(at: u32, limit: u32): u32 {
  let hash = BASIS;
  let end = at;
  for (; end < limit; end++) {
    const byte = <u32>load<u8>(end);
    if (byte == 0) break;
    hash = (hash ^ byte) * PRIME;
  }
  let slot = (hash ^ (hash >>> 15)) & mask;
  for (let number = load<u32>(slots + 4 * slot); number != 0; number = load<u32>(slots + 4 * slot)) {
    number--;
    if (load<u32>(hashes + 4 * number) == hash && isName(number, at, end - at)) return number;
    slot = (slot + 1) & mask;
  }
  return add(hash, slot, at, end - at);
}

function isName(number: u32, at: u32, length: u32): bool {
  const start = load<u32>(starts + 4 * number);
  if (load<u32>(starts + 4 * number, 4) - start - 1 != length) return false;
  return isSame(pool + start, at, length);
}

function isSame(a: u32, b: u32, length: u32): bool {
  const end = a + length;
  for (; a + 8 <= end; a += 8, b += 8) if (load<u64>(a) != load<u64>(b)) return false;
  for (; a < end; a++, b++) if (load<u8>(a) != load<u8>(b)) return false;
  return true;
}

function add(hash: u32, slot: u32, at: u32, length: u32): u32 {
  if ((count + 1) << 1 > mask || length >= poolLimit - poolEnd) {
    full = true;
    return 0;
  }
  const number = count++;
  store<u32>(slots + 4 * slot, number + 1);
  store<u32>(hashes + 4 * number, hash);
  memory.copy(poolEnd, at, length);
  store<u8>(poolEnd + length, 0);
  poolEnd += length + 1;
  store<u32>(starts + 4 * number, poolEnd - pool, 4);
  return number;
}

/** The numbers of names that stand one after the other, a NUL after each, to `target`. @returns how many; -1: no room */
export function numbersOf(at: u32, end: u32, target: u32): i32 {
  full = false;
  let found: i32 = 0;
  while (at < end) {
    const number = numberOf(at, end);
    if (full) return -1;
    store<u32>(target + 4 * found++, number);
    at += load<u32>(starts + 4 * number, 4) - load<u32>(starts + 4 * number);
  }
  return found;
}

// -- symbol tables -------------------------------------------------------------------------------------------------

// What walk() returns: DONE, a name outside the string table, no room for a name.
const DONE: u32 = 0;
const OUTSIDE: u32 = 1;
const NO_ROOM: u32 = 2;

let needCount: u32 = 0;
let exportCount: u32 = 0;

export function needsFound(): u32 {
  return needCount;
}

export function exportsFound(): u32 {
  return exportCount;
}

const CRC: u32 = 0x72635f5f; // `__cr`, and what follows:
const CRC_END: u32 = 0x5f63; // `c_`

/**
 * One walk through a little-endian 64-bit symbol table: numbers of needed names * 2, plus 1 for a weak reference, go to
 * `needs`, those of `__crc_NAME` symbols to `exports`; each has room for as many as there are symbols.
 */
export function walk(symbols: u32, end: u32, strings: u32, limit: u32, needs: u32, exports: u32): u32 {
  needCount = 0;
  exportCount = 0;
  full = false;
  const size = limit - strings;
  for (let at = symbols + 24; at + 24 <= end; at += 24) {
    const offset = load<u32>(at);
    if (offset >= size) return OUTSIDE;
    const name = strings + offset;
    if (load<u16>(at, 6) == 0) {
      if (load<u8>(name) == 0) continue;
      const number = numberOf(name, limit);
      store<u32>(needs + 4 * needCount++, (number << 1) | (load<u8>(at, 4) >> 4 == 2 ? 1 : 0));
    }
    // Behind the strings there is room in memory: reading beyond them is no harm.
    if (load<u32>(name) == CRC && load<u16>(name, 4) == CRC_END && size - offset >= 6)
      store<u32>(exports + 4 * exportCount++, numberOf(name + 6, limit));
    if (full) return NO_ROOM;
  }
  return DONE;
}

// -- what is written -----------------------------------------------------------------------------------------------

let out: u32 = 0; // the next byte goes here
let room: u32 = 0; // the memory ends here

export function startOut(at: u32): void {
  out = at;
  room = memory.size() << 16;
}

export function outEnd(): u32 {
  return out;
}

/** Makes room for so many bytes. */
function need(bytes: u32): void {
  if (bytes <= room - out) return;
  const missing = bytes - (room - out);
  const more = max(missing, room >> 2);
  if (memory.grow((more + 0xffff) >> 16) < 0 && memory.grow((missing + 0xffff) >> 16) < 0) unreachable();
  room = memory.size() << 16;
}

function copyOut(from: u32, length: u32): void {
  need(length);
  if (length > 24) memory.copy(out, from, length);
  else for (let i: u32 = 0; i < length; i++) store<u8>(out + i, load<u8>(from + i));
  out += length;
}

function byteOut(byte: u32): void {
  need(1);
  store<u8>(out++, <u8>byte);
}

/** Big-endian. */
function wordOut(value: u32): void {
  need(4);
  store<u32>(out, bswap<u32>(value));
  out += 4;
}

export function put(from: u32, length: u32): void {
  copyOut(from, length);
}

export function isAscii(at: u32, end: u32): bool {
  for (; at + 8 <= end; at += 8) if ((load<u64>(at) & 0x8080808080808080) != 0) return false;
  for (; at < end; at++) if (load<u8>(at) >= 0x80) return false;
  return true;
}

// -- indexes -------------------------------------------------------------------------------------------------------

let keys: u32 = 0; // a NUL after each
let keyEnd: u32 = 0;
let keyStarts: u32 = 0; // u32 each: address
let valueOf: u32 = 0; // u32 each: number of the value
let priorities: u32 = 0; // i32 each
let entries: u32 = 0;
let order: u32 = 0; // u32 each: entries, sorted

/** Where entries come to stand, of which there are none yet. */
export function startEntries(atKeys: u32, atStarts: u32, atValueOf: u32, atPriorities: u32): void {
  keys = atKeys;
  keyEnd = atKeys;
  keyStarts = atStarts;
  valueOf = atValueOf;
  priorities = atPriorities;
  entries = 0;
}

/** Keys stand already, at `starts` from the first one's address. */
export function setEntries(atKeys: u32, atStarts: u32, atValueOf: u32, atPriorities: u32, number: u32): void {
  startEntries(atKeys, atStarts, atValueOf, atPriorities);
  entries = number;
  for (let i: u32 = 0; i < number; i++) store<u32>(keyStarts + 4 * i, load<u32>(keyStarts + 4 * i) + keys);
}

function entry(start: u32, value: u32): void {
  store<u8>(keyEnd++, 0);
  store<u32>(keyStarts + 4 * entries, start);
  store<u32>(valueOf + 4 * entries, value);
  store<u32>(priorities + 4 * entries, value);
  entries++;
}

const ALIAS: u32 = 0x61696c61; // `alia`, and behind it `s=`
const DASH: u32 = 0x2d;
const UNDERSCORE: u32 = 0x5f;
const OPEN: u32 = 0x5b;
const CLOSE: u32 = 0x5d;
const LONGEST: u32 = 4095;

/** The `alias=` strings of modules, [from, to) each, as keys of their numbers. @returns how many; -1: brackets that do not match, or no ASCII */
export function aliasKeys(modules: u32, from: u32, to: u32): i32 {
  for (let module: u32 = 0; module < modules; module++) {
    const end = load<u32>(to + 4 * module);
    for (let at = load<u32>(from + 4 * module); at < end; at++) {
      const start = at;
      while (load<u8>(at) != 0) at++;
      if (load<u8>(start) == 0x61 && !aliasKey(start + 6, at, module)) return -1;
    }
  }
  return entries;
}

function aliasKey(start: u32, end: u32, module: u32): bool {
  const to = min(end, start + LONGEST);
  const key = keyEnd;
  let inside = false;
  for (let i = start; i < to; i++) {
    let byte = <u32>load<u8>(i);
    if (byte >= 0x80) return false;
    if (inside) inside = byte != CLOSE;
    else if (byte == CLOSE) return false;
    else if (byte == OPEN) inside = true;
    else if (byte == DASH) byte = UNDERSCORE;
    store<u8>(keyEnd++, <u8>byte);
  }
  if (inside) return false;
  entry(key, module);
  return true;
}

/**
 * Softdep and weakdep strings, and aliases that may be about device nodes (`devname:`, `char-major-`, `block-major-`): there
 * are few among tens of thousands. Three words each are written: module, from, to.
 */
export function otherStrings(modules: u32, from: u32, to: u32): void {
  for (let module: u32 = 0; module < modules; module++) {
    const end = load<u32>(to + 4 * module);
    for (let at = load<u32>(from + 4 * module); at < end; at++) {
      const start = at;
      while (load<u8>(at) != 0) at++;
      if (load<u8>(start) == 0x61 && !isAboutNodes(load<u16>(start, 6))) continue;
      need(12);
      store<u32>(out, module);
      store<u32>(out, start, 4);
      store<u32>(out, at, 8);
      out += 12;
    }
  }
}

/** `de`, `ch`, `bl` */
function isAboutNodes(start: u32): bool {
  return start == 0x6564 || start == 0x6863 || start == 0x6c62;
}

/** The same strings as lines, with the modules' names. */
export function aliasLines(modules: u32, from: u32, to: u32, names: u32, nameEnds: u32): void {
  for (let module: u32 = 0; module < modules; module++) {
    const end = load<u32>(to + 4 * module);
    const name = load<u32>(names + 4 * module);
    const nameLength = load<u32>(nameEnds + 4 * module) - name;
    for (let at = load<u32>(from + 4 * module); at < end; at++) {
      const start = at;
      while (load<u8>(at) != 0) at++;
      if (load<u8>(start) != 0x61) continue;
      need(at - start + nameLength + 8);
      store<u32>(out, ALIAS);
      store<u16>(out, 0x2073, 4);
      out += 6;
      copyOut(start + 6, at - start - 6);
      store<u8>(out++, 0x20);
      copyOut(name, nameLength);
      store<u8>(out++, 0x0a);
    }
  }
}

/** Sorts the entries and writes the index to `out`. `orderAt`: 4 bytes an entry; values are [start, end) by number. */
export function writeTrie(orderAt: u32, valueStarts: u32, valueEnds: u32): void {
  order = orderAt;
  for (let i: u32 = 0; i < entries; i++) store<u32>(order + 4 * i, i);
  sort(0, entries, 0);
  base = out;
  starts_ = valueStarts;
  ends_ = valueEnds;
  wordOut(0xb007f457);
  wordOut(0x00020001);
  wordOut(0);
  const root = node(0, entries, 0);
  store<u32>(base, bswap<u32>(root), 8);
}

let base: u32 = 0;
let starts_: u32 = 0;
let ends_: u32 = 0;

/** Address of the key at that place of the order. */
function keyAt(place: u32): u32 {
  return load<u32>(keyStarts + 4 * load<u32>(order + 4 * place));
}

const FEW: u32 = 12;

/** Sorts order[low, high), whose keys share `depth` bytes: by key, by priority, the later first (three-way quicksort on bytes). */
function sort(low: u32, high: u32, depth: u32): void {
  let from = low;
  let to = high;
  let at = depth;
  while (to - from > FEW) {
    const pivot = load<u8>(keyAt((from + to) >> 1) + at);
    let less = from;
    let more = to;
    for (let i = from; i < more; ) {
      const entry = load<u32>(order + 4 * i);
      const byte = load<u8>(load<u32>(keyStarts + 4 * entry) + at);
      if (byte < pivot) {
        store<u32>(order + 4 * i++, load<u32>(order + 4 * less));
        store<u32>(order + 4 * less++, entry);
      } else if (byte > pivot) {
        more--;
        store<u32>(order + 4 * i, load<u32>(order + 4 * more));
        store<u32>(order + 4 * more, entry);
      } else i++;
    }
    if (less > from) sort(from, less, at);
    if (more < to) sort(more, to, at);
    // Equal up to their ends: one key.
    if (pivot == 0) {
      sortEqual(less, more);
      return;
    }
    from = less;
    to = more;
    at++;
  }
  for (let i = from + 1; i < to; i++) {
    const entry = load<u32>(order + 4 * i);
    let place = i;
    for (; place > from && isBehind(load<u32>(order + 4 * (place - 1)), entry, at); place--)
      store<u32>(order + 4 * place, load<u32>(order + 4 * (place - 1)));
    store<u32>(order + 4 * place, entry);
  }
}

/** Shell's sort: the same key may stand there a hundred thousand times. */
function sortEqual(from: u32, to: u32): void {
  let gap: u32 = 1;
  while (gap < (to - from) / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3) {
    for (let i = from + gap; i < to; i++) {
      const entry = load<u32>(order + 4 * i);
      let place = i;
      for (; place >= from + gap && isEqualBehind(load<u32>(order + 4 * (place - gap)), entry); place -= gap)
        store<u32>(order + 4 * place, load<u32>(order + 4 * (place - gap)));
      store<u32>(order + 4 * place, entry);
    }
  }
}

function isBehind(a: u32, b: u32, depth: u32): bool {
  let i = load<u32>(keyStarts + 4 * a) + depth;
  let j = load<u32>(keyStarts + 4 * b) + depth;
  for (; load<u8>(i) == load<u8>(j); i++, j++) if (load<u8>(i) == 0) return isEqualBehind(a, b);
  return load<u8>(i) > load<u8>(j);
}

function isEqualBehind(a: u32, b: u32): bool {
  const first = load<i32>(priorities + 4 * a);
  const second = load<i32>(priorities + 4 * b);
  return first == second ? a < b : first > second;
}

/** The node for order[from, to), whose keys share `depth` bytes (0: the root); its offset with its flags. */
function node(from: u32, to: u32, depth: u32): u32 {
  const first = from < to ? keyAt(from) : 0;
  // The root never has a prefix, whatever its keys share.
  let end: u32 = 0;
  if (depth != 0) {
    const last = keyAt(to - 1);
    end = depth;
    while (load<u8>(first + end) != 0 && load<u8>(first + end) == load<u8>(last + end)) end++;
  }
  // The shortest key sorts first: it is the one that ends here, if any does.
  const ends = from < to && load<u8>(first + end) == 0;
  const start = out - base;
  let flags: u32 = 0;
  if (end > depth) {
    copyOut(first + depth, end - depth);
    byteOut(0);
    flags = 0x80000000;
  }
  let below = from;
  if (ends) {
    flags |= 0x40000000;
    while (below < to && load<u8>(keyAt(below) + end) == 0) below++;
  }
  let table: u32 = 0;
  let low: u32 = 0;
  if (below < to) {
    flags |= 0x20000000;
    low = load<u8>(keyAt(below) + end);
    const high = <u32>load<u8>(keyAt(to - 1) + end);
    const size = 2 + 4 * (high - low + 1);
    need(size);
    memory.fill(out, 0, size);
    store<u8>(out, <u8>low);
    store<u8>(out, <u8>high, 1);
    table = out + 2;
    out += size;
  }
  if (ends) writeValues(from, below);
  while (below < to) {
    const byte = <u32>load<u8>(keyAt(below) + end);
    let next = below + 1;
    while (next < to && load<u8>(keyAt(next) + end) == byte) next++;
    store<u32>(table + 4 * (byte - low), bswap<u32>(node(below, next, end + 1)));
    below = next;
  }
  return start | flags;
}

function writeValues(from: u32, to: u32): void {
  wordOut(to - from);
  for (let i = from; i < to; i++) {
    const entry = load<u32>(order + 4 * i);
    wordOut(load<u32>(priorities + 4 * entry));
    const value = load<u32>(valueOf + 4 * entry);
    const start = load<u32>(starts_ + 4 * value);
    copyOut(start, load<u32>(ends_ + 4 * value) - start);
    byteOut(0);
  }
}

// -- modules.symbols -----------------------------------------------------------------------------------------------

const BUCKETS: u32 = 2048;

/**
 * Numbers of the names that have an owner (i32 each: module + 1) in the order of the tool's table, by bucket, then by
 * name; to `target`. `scratch` is for 8 bytes a name and 16 KiB more. @returns how many
 */
export function ownedSymbols(owners: u32, size: u32, target: u32, scratch: u32): u32 {
  const ends = scratch;
  const begins = ends + 4 * (BUCKETS + 1);
  const numbers = begins + 4 * (BUCKETS + 1);
  const buckets = numbers + 4 * count;
  memory.fill(ends, 0, 4 * (BUCKETS + 1));
  let found: u32 = 0;
  for (let number: u32 = 0; number < min(size, count); number++) {
    if (load<i32>(owners + 4 * number) <= 0) continue;
    const start = load<u32>(starts + 4 * number);
    const bucket = hashOf(pool + start, load<u32>(starts + 4 * number, 4) - start - 1) & (BUCKETS - 1);
    store<u32>(numbers + 4 * found, number);
    store<u32>(buckets + 4 * found++, bucket);
    store<u32>(ends + 4 * bucket, load<u32>(ends + 4 * bucket, 4) + 1, 4);
  }
  for (let bucket: u32 = 0; bucket < BUCKETS; bucket++)
    store<u32>(ends + 4 * bucket, load<u32>(ends + 4 * bucket) + load<u32>(ends + 4 * bucket, 4), 4);
  memory.copy(begins, ends, 4 * (BUCKETS + 1));
  // From here on `ends` tells where the next one of a bucket goes.
  for (let i: u32 = 0; i < found; i++) {
    const bucket = load<u32>(buckets + 4 * i);
    const number = load<u32>(numbers + 4 * i);
    let at = load<u32>(ends + 4 * bucket);
    store<u32>(ends + 4 * bucket, at + 1);
    for (; at > load<u32>(begins + 4 * bucket) && isBefore(number, load<u32>(target + 4 * (at - 1))); at--)
      store<u32>(target + 4 * at, load<u32>(target + 4 * (at - 1)));
    store<u32>(target + 4 * at, number);
  }
  return found;
}

/** strcmp: a NUL stands after each name. */
function isBefore(a: u32, b: u32): bool {
  let i = pool + load<u32>(starts + 4 * a);
  let j = pool + load<u32>(starts + 4 * b);
  while (load<u8>(i) == load<u8>(j) && load<u8>(i) != 0) {
    i++;
    j++;
  }
  return load<u8>(i) < load<u8>(j);
}

/** Paul Hsieh's, as buckets.ts has it. */
function hashOf(at: u32, length: u32): u32 {
  let hash = length;
  const whole = at + (length & ~3);
  for (; at < whole; at += 4) {
    hash += load<u16>(at);
    hash = (hash << 16) ^ ((<u32>load<u16>(at, 2) << 11) ^ hash);
    hash += hash >>> 11;
  }
  switch (length & 3) {
    case 3: {
      hash += load<u16>(at);
      hash ^= hash << 16;
      hash ^= <u32>load<u8>(at, 2) << 18;
      hash += hash >>> 11;
      break;
    }
    case 2: {
      hash += load<u16>(at);
      hash ^= hash << 11;
      hash += hash >>> 17;
      break;
    }
    case 1: {
      hash += <u32>load<i8>(at);
      hash ^= hash << 10;
      hash += hash >>> 1;
      break;
    }
  }
  hash ^= hash << 3;
  hash += hash >>> 5;
  hash ^= hash << 4;
  hash += hash >>> 17;
  hash ^= hash << 25;
  hash += hash >>> 6;
  return hash;
}

const SYMBOL: u64 = 0x3a6c6f626d7973; // `symbol:`

/** `alias symbol:` and each name that has an owner, with the owner's; `head`: where those thirteen bytes stand. */
export function symbolLines(ordered: u32, number: u32, owners: u32, names: u32, nameEnds: u32, head: u32): void {
  for (let i: u32 = 0; i < number; i++) {
    const name = load<u32>(ordered + 4 * i);
    const start = load<u32>(starts + 4 * name);
    const owner = load<u32>(owners + 4 * name) - 1;
    copyOut(head, 13);
    copyOut(pool + start, load<u32>(starts + 4 * name, 4) - start - 1);
    byteOut(0x20);
    copyOut(load<u32>(names + 4 * owner), load<u32>(nameEnds + 4 * owner) - load<u32>(names + 4 * owner));
    byteOut(0x0a);
  }
}

/** The same as keys. */
export function symbolKeys(ordered: u32, number: u32, owners: u32): void {
  for (let i: u32 = 0; i < number; i++) {
    const name = load<u32>(ordered + 4 * i);
    const start = load<u32>(starts + 4 * name);
    const length = load<u32>(starts + 4 * name, 4) - start - 1;
    const key = keyEnd;
    store<u64>(keyEnd, SYMBOL);
    keyEnd += 7;
    memory.copy(keyEnd, pool + start, length);
    keyEnd += length;
    entry(key, load<u32>(owners + 4 * name) - 1);
  }
}
