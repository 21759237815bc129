/**
 * Static keys (kernel/jump_label.c): a branch that is a nop or a jump in the code itself, changed when the key's count goes
 * from or to zero. Keys and tables are in guest memory; here is only the index from a key to its entries.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';
import type { LinuxModule } from './module.ts';

/** struct jump_entry: s32 code, s32 target, long key, each relative to itself. */
const entryBytes = (k: Linux): number => 8 + k.word;
const NOP2 = Uint8Array.of(0x66, 0x90);
const NOP5 = Uint8Array.of(0x0f, 0x1f, 0x44, 0x00, 0x00);
/** lea 0(%esi,1),%esi with a prefix: what compilers for any 32-bit processor fill with (asm/nops.h). */
const NOP5_32 = Uint8Array.of(0x3e, 0x8d, 0x74, 0x26, 0x00);
/** JUMP_TYPE_TRUE, in the low bits of static_key.type. */
const TYPE_TRUE = 1;
const TYPE_MASK = 3;

/** Entries by key. */
const index = perKernel(() => new Map<Address, Set<Address>>());

function keyOf(k: Linux, entry: Address): { key: Address; branch: boolean } {
  const raw = k.memory.long(entry + 8);
  const flags = ((raw % 4) + 4) % 4;
  return { key: entry + 8 + raw - flags, branch: (flags & 1) === 1 };
}

function* entriesOf(k: Linux, module: LinuxModule): Generator<Address> {
  const table = k.read('module.jump_entries', module.control);
  const count = k.read('module.num_jump_entries', module.control);
  for (let i = 0; i < count; i++) yield table + i * entryBytes(k);
}

export function staticKeyEnabled(k: Linux, key: Address): boolean {
  return k.memory.i32(key) > 0;
}

/** jump_label_add_module: links the module's branches to their keys and sets those whose key is not in its first state. */
export function addJumpLabels(k: Linux, module: LinuxModule): void {
  if (!k.types.has('module.jump_entries')) return;
  const keys = k.state(index);
  const typeAt = k.offset('static_key.type');
  for (const entry of entriesOf(k, module)) {
    const { key, branch } = keyOf(k, entry);
    if (!isReadable(k, key, typeAt + k.word)) continue;
    let entries = keys.get(key);
    if (entries === undefined) {
      entries = new Set();
      keys.set(key, entries);
      if (k.modules.at(key) === module) {
        const type = k.memory.u32(key + typeAt) & TYPE_MASK;
        k.memory.setPtr(key + typeAt, entry + type);
      }
    }
    entries.add(entry);
    const initial = (k.memory.u32(key + typeAt) & TYPE_TRUE) !== 0;
    if (staticKeyEnabled(k, key) !== initial) transform(k, entry, staticKeyEnabled(k, key) !== branch);
  }
}

/** Forgets the branches of a module; with `within`, only those whose code lies there (init memory that is freed). */
export function removeJumpLabels(
  k: Linux,
  module: LinuxModule,
  within?: { base: Address; bytes: number },
): void {
  if (!k.types.has('module.jump_entries')) return;
  const keys = k.state(index);
  for (const entry of entriesOf(k, module)) {
    const code = entry + k.memory.i32(entry);
    if (within !== undefined && !(code >= within.base && code < within.base + within.bytes)) continue;
    const { key } = keyOf(k, entry);
    keys.get(key)?.delete(entry);
    if (keys.get(key)?.size === 0) keys.delete(key);
  }
}

/** jump_label_update: brings every branch of a key into line with its count. */
export function updateStaticKey(k: Linux, key: Address): void {
  const enabled = staticKeyEnabled(k, key);
  for (const entry of k.state(index).get(key) ?? []) transform(k, entry, enabled !== keyOf(k, entry).branch);
}

/** Sets a key's count and its branches. */
export function setStaticKey(k: Linux, key: Address, count: number): void {
  const before = staticKeyEnabled(k, key);
  k.memory.set32(key, count);
  if (staticKeyEnabled(k, key) !== before) updateStaticKey(k, key);
}

/** Writes the jump or the nop, as long as what the compiler left there; anything else is left alone. */
function transform(k: Linux, entry: Address, jump: boolean): void {
  const code = entry + k.memory.i32(entry);
  const target = entry + 4 + k.memory.i32(entry + 4);
  if (!isReadable(k, code, 5)) return;
  const first = k.memory.u8(code);
  if (first === 0xeb || first === 0x66) {
    k.memory.poke(code, jump ? Uint8Array.of(0xeb, target - code - 2) : NOP2);
  } else if (first === 0xe9 || first === NOP5[0] || first === NOP5_32[0]) {
    const bytes = new Uint8Array(5);
    bytes[0] = 0xe9;
    new DataView(bytes.buffer).setInt32(1, target - code - 5, true);
    k.memory.poke(code, jump ? bytes : k.word === 8 ? NOP5 : NOP5_32);
  }
}

function isReadable(k: Linux, address: Address, bytes: number): boolean {
  return k.memory.permOf(address) !== undefined && k.memory.permOf(address + bytes - 1) !== undefined;
}
