/** Random numbers by the kernel's seed, UUIDs, and the small generators that modules seed themselves. */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { byteString } from './format/printf.ts';

function randomBytes(k: Linux, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i += 4) {
    const word = k.random32();
    for (let j = 0; j < 4 && i + j < count; j++) bytes[i + j] = (word >>> (8 * j)) & 0xff;
  }
  return bytes;
}

/** Version 4, variant 1 (RFC 9562); `mixed` for the little-endian order of EFI, whose version sits in byte 7. */
function randomUuid(k: Linux, at: Address, mixed: boolean): void {
  const bytes = randomBytes(k, 16);
  const version = mixed ? 7 : 6;
  bytes[version] = (bytes[version] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  k.memory.write(at, bytes);
}

const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}/;
const MIXED = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

function parseUuid(k: Linux, text: Address, out: Address, mixed: boolean): number {
  const source = byteString(k, text, 36);
  if (!UUID.test(source)) return -Errno.EINVAL;
  const digits = source.replaceAll('-', '');
  const bytes = Uint8Array.from({ length: 16 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
  k.memory.write(out, mixed ? Uint8Array.from(MIXED, (i) => bytes[i]) : bytes);
  return 0;
}

/** One step of the combined Tausworthe generator taus113 (L'Ecuyer 1999) on struct rnd_state. */
function tausworthe(k: Linux, state: Address): number {
  const step = (i: number, a: number, b: number, mask: number, c: number) => {
    const s = k.memory.u32(state + i * 4);
    const next = (((s & mask) << c) ^ (((s << a) ^ s) >>> b)) >>> 0;
    k.memory.set32(state + i * 4, next);
    return next;
  };
  return (
    (step(0, 6, 13, 0xfffffffe, 18) ^
      step(1, 2, 27, 0xfffffff8, 2) ^
      step(2, 13, 21, 0xfffffff0, 7) ^
      step(3, 3, 12, 0xffffff80, 13)) >>>
    0
  );
}

export const random = kernelFunctions({
  'void get_random_bytes(void *buf, size_t len)': (k, at, length) =>
    k.memory.write(at, randomBytes(k, length)),
  'u8 get_random_u8(void)': (k) => k.random32() & 0xff,
  'u16 get_random_u16(void)': (k) => k.random32() & 0xffff,
  'u32 get_random_u32(void)': (k) => k.random32(),
  'u64 get_random_u64(void)': (k) => (BigInt(k.random32()) << 32n) | BigInt(k.random32()),
  'u32 __get_random_u32_below(u32 ceil)': (k, ceiling) =>
    ceiling === 0 ? k.random32() : Number((BigInt(k.random32()) * BigInt(ceiling)) >> 32n),
  'int wait_for_random_bytes(void)': () => 0,
  'bool rng_is_initialized(void)': () => 1,
  'void add_device_randomness(const void *buf, size_t len)': () => undefined,
  'u32 prandom_u32_state(struct rnd_state *state)': (k, state) => tausworthe(k, state),
  'void prandom_bytes_state(struct rnd_state *state, void *buf, size_t bytes)': (k, state, at, count) => {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i += 4) {
      const word = tausworthe(k, state);
      for (let j = 0; j < 4 && i + j < count; j++) bytes[i + j] = (word >>> (8 * j)) & 0xff;
    }
    k.memory.write(at, bytes);
  },
  'void uuid_gen(uuid_t *bu)': (k, at) => randomUuid(k, at, false),
  'void guid_gen(guid_t *lu)': (k, at) => randomUuid(k, at, true),
  'void generate_random_uuid(unsigned char *uuid)': (k, at) => randomUuid(k, at, false),
  'void generate_random_guid(unsigned char *guid)': (k, at) => randomUuid(k, at, true),
  'bool uuid_is_valid(const char *uuid)': (k, text) => (UUID.test(byteString(k, text, 36)) ? 1 : 0),
  'int uuid_parse(const char *uuid, uuid_t *u)': (k, text, out) => parseUuid(k, text, out, false),
  'int guid_parse(const char *uuid, guid_t *u)': (k, text, out) => parseUuid(k, text, out, true),
});

const zeros = (symbol: string): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) => k.memory.poke(at, new Uint8Array(16)),
});

export const randomData: readonly DataInitialiser[] = [zeros('uuid_null'), zeros('guid_null')];
