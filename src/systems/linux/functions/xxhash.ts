/** xxHash as the kernel has it built in (lib/xxhash.c); the state lies in the caller's struct. */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotate = (value: bigint, bits: bigint): bigint => u64(value << bits) | (value >> (64n - bits));
const round = (lane: bigint, word: bigint): bigint => u64(rotate(u64(lane + word * P2), 31n) * P1);
const merge = (hash: bigint, lane: bigint): bigint => u64((hash ^ round(0n, lane)) * P1 + P4);

const startLanes = (seed: bigint): bigint[] => [u64(seed + P1 + P2), u64(seed + P2), seed, u64(seed - P1)];

/** Whole stripes of 32 bytes into the four lanes. */
function stripes(lanes: bigint[], view: DataView, count: number): void {
  for (let i = 0; i < count; i++) {
    for (let lane = 0; lane < 4; lane++) {
      lanes[lane] = round(lanes[lane], view.getBigUint64(i * 32 + lane * 8, true));
    }
  }
}

function finish(lanes: readonly bigint[], total: bigint, seed: bigint, rest: Uint8Array): bigint {
  let hash = seed + P5;
  if (total >= 32n) {
    const [a, b, c, d] = lanes;
    hash = u64(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
    for (const lane of lanes) hash = merge(hash, lane);
  }
  hash = u64(hash + total);
  const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
  let at = 0;
  for (; at + 8 <= rest.length; at += 8) {
    hash = u64(rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * P1 + P4);
  }
  if (at + 4 <= rest.length) {
    hash = u64(rotate(hash ^ u64(BigInt(view.getUint32(at, true)) * P1), 23n) * P2 + P3);
    at += 4;
  }
  for (; at < rest.length; at++) hash = u64(rotate(hash ^ u64(BigInt(rest[at]) * P5), 11n) * P1);
  hash = u64((hash ^ (hash >> 33n)) * P2);
  hash = u64((hash ^ (hash >> 29n)) * P3);
  return hash ^ (hash >> 32n);
}

/** XXH64 of bytes (xxHash specification, 64-bit variant). */
export function xxh64(bytes: Uint8Array, seed: bigint): bigint {
  const lanes = startLanes(seed);
  const whole = Math.floor(bytes.length / 32);
  stripes(lanes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), whole);
  return finish(lanes, BigInt(bytes.length), seed, bytes.subarray(whole * 32));
}

/** struct xxh64_state (include/linux/xxhash.h): total, four lanes, a stripe not yet full and how full. */
const STATE = { total: 0, lanes: 8, stripe: 40, filled: 72 } as const;

function readLanes(k: Linux, state: Address): bigint[] {
  return [0, 1, 2, 3].map((lane) => k.memory.u64(state + STATE.lanes + lane * 8));
}

function resetState(k: Linux, state: Address, seed: bigint): void {
  k.memory.fill(state, STATE.filled + 8, 0);
  startLanes(seed).forEach((lane, i) => {
    k.memory.setU64(state + STATE.lanes + i * 8, lane);
  });
}

function updateState(k: Linux, state: Address, data: Address, length: number): void {
  const { memory } = k;
  const filled = memory.u32(state + STATE.filled);
  const bytes = new Uint8Array(filled + length);
  bytes.set(memory.bytes(state + STATE.stripe, filled));
  bytes.set(memory.bytes(data, length), filled);
  const whole = Math.floor(bytes.length / 32);
  const lanes = readLanes(k, state);
  stripes(lanes, new DataView(bytes.buffer), whole);
  lanes.forEach((lane, i) => {
    memory.setU64(state + STATE.lanes + i * 8, lane);
  });
  const rest = bytes.subarray(whole * 32);
  memory.write(state + STATE.stripe, rest);
  memory.set32(state + STATE.filled, rest.length);
  memory.setU64(state + STATE.total, memory.u64(state + STATE.total) + BigInt(length));
}

function digestState(k: Linux, state: Address): bigint {
  const lanes = readLanes(k, state);
  const rest = k.memory.bytes(state + STATE.stripe, k.memory.u32(state + STATE.filled));
  // Before the first whole stripe the third lane still is the seed.
  return finish(lanes, k.memory.u64(state + STATE.total), lanes[2], rest);
}

export const xxhashFunctions = kernelFunctions({
  'uint64_t xxh64(const void *input, size_t len, uint64_t seed)': (k, at, length, seed) =>
    xxh64(k.memory.bytes(at, length), seed),
  'void xxh64_reset(struct xxh64_state *state, uint64_t seed)': resetState,
  'int xxh64_update(struct xxh64_state *state, const void *input, size_t len)': (k, state, at, length) => {
    if (at === 0) return -22;
    updateState(k, state, at, length);
    return 0;
  },
  'uint64_t xxh64_digest(const struct xxh64_state *state)': digestState,
});
