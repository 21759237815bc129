/**
 * Hashes that Debian's kernels have built in and that modules ask for by name. Their state lies in the descriptor, in the
 * kernel's own layout (struct md5_state, sha1_state, sha256_state, sha512_state of include/crypto/).
 */
import { MD5, SHA1 } from '@noble/hashes/legacy';
import { SHA256, SHA512 } from '@noble/hashes/sha2';
import type { Address } from '../../../memory/space.ts';
import { kernelFunctions } from '../functions/define.ts';
import type { Linux } from '../linux.ts';

/** The compression function of a hash: a block into the state, which is 32-bit words. */
type Compress = (state: number[], block: DataView) => number[];

class OpenMd5 extends MD5 {
  run(state: number[], block: DataView): number[] {
    const [a, b, c, d] = state;
    this.set(a, b, c, d);
    this.process(block, 0);
    return this.get();
  }
}

class OpenSha1 extends SHA1 {
  run(state: number[], block: DataView): number[] {
    const [a, b, c, d, e] = state;
    this.set(a, b, c, d, e);
    this.process(block, 0);
    return this.get();
  }
}

class OpenSha256 extends SHA256 {
  run(state: number[], block: DataView): number[] {
    const [a, b, c, d, e, f, g, h] = state;
    this.set(a, b, c, d, e, f, g, h);
    this.process(block, 0);
    return this.get();
  }
}

class OpenSha512 extends SHA512 {
  run(state: number[], block: DataView): number[] {
    const [ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl] = state;
    this.set(ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl);
    this.process(block, 0);
    return this.get();
  }
}

interface Family {
  readonly blockBytes: number;
  /** Bytes of one word of the state: 64-bit words have their halves swapped in little-endian memory. */
  readonly wordBytes: 4 | 8;
  readonly words: number;
  readonly littleEndian: boolean;
  readonly compress: () => Compress;
  /** Where the count of bytes and the unfinished block lie, and how long the whole is, by the guest's word. */
  readonly layout: (word: number) => { count: number; buffer: number; bytes: number };
}

const bind = (hasher: { run: Compress }): Compress => hasher.run.bind(hasher);
const up8 = (at: number, word: number): number => (word === 8 ? (at + 7) & ~7 : at);

const MD5_FAMILY: Family = {
  blockBytes: 64,
  wordBytes: 4,
  words: 4,
  littleEndian: true,
  compress: () => bind(new OpenMd5()),
  layout: () => ({ buffer: 16, count: 80, bytes: 88 }),
};

const shaLayout = (stateBytes: number) => (word: number) => {
  const count = up8(stateBytes, word);
  return { count, buffer: count + 8, bytes: up8(count + 8 + 64, word) };
};

const SHA1_FAMILY: Family = {
  blockBytes: 64,
  wordBytes: 4,
  words: 5,
  littleEndian: false,
  compress: () => bind(new OpenSha1()),
  layout: shaLayout(20),
};

const SHA256_FAMILY: Family = {
  blockBytes: 64,
  wordBytes: 4,
  words: 8,
  littleEndian: false,
  compress: () => bind(new OpenSha256()),
  layout: shaLayout(32),
};

const SHA512_FAMILY: Family = {
  blockBytes: 128,
  wordBytes: 8,
  words: 8,
  littleEndian: false,
  compress: () => bind(new OpenSha512()),
  layout: () => ({ count: 64, buffer: 80, bytes: 208 }),
};

export interface BuiltInHash {
  readonly name: string;
  readonly priority: number;
  readonly digestSize: number;
  readonly family: Family;
  /** 32-bit words; the high half of a 64-bit word first. */
  readonly initial: readonly number[];
  /** The option that says whether it is built in. */
  readonly config: string;
}

const words = (text: string): number[] => text.split(' ').map((word) => Number.parseInt(word, 16) | 0);

/** Initial values: RFC 1321 3.3, FIPS 180-4 5.3. */
export const BUILT_IN_HASHES: readonly BuiltInHash[] = [
  {
    name: 'md5',
    priority: 0,
    digestSize: 16,
    family: MD5_FAMILY,
    config: 'CONFIG_CRYPTO_MD5',
    initial: words('67452301 efcdab89 98badcfe 10325476'),
  },
  {
    name: 'sha1',
    priority: 100,
    digestSize: 20,
    family: SHA1_FAMILY,
    config: 'CONFIG_CRYPTO_SHA1',
    initial: words('67452301 efcdab89 98badcfe 10325476 c3d2e1f0'),
  },
  {
    name: 'sha256',
    priority: 100,
    digestSize: 32,
    family: SHA256_FAMILY,
    config: 'CONFIG_CRYPTO_SHA256',
    initial: words('6a09e667 bb67ae85 3c6ef372 a54ff53a 510e527f 9b05688c 1f83d9ab 5be0cd19'),
  },
  {
    name: 'sha224',
    priority: 100,
    digestSize: 28,
    family: SHA256_FAMILY,
    config: 'CONFIG_CRYPTO_SHA256',
    initial: words('c1059ed8 367cd507 3070dd17 f70e5939 ffc00b31 68581511 64f98fa7 befa4fa4'),
  },
  {
    name: 'sha512',
    priority: 100,
    digestSize: 64,
    family: SHA512_FAMILY,
    config: 'CONFIG_CRYPTO_SHA512',
    initial: words(
      '6a09e667 f3bcc908 bb67ae85 84caa73b 3c6ef372 fe94f82b a54ff53a 5f1d36f1 ' +
        '510e527f ade682d1 9b05688c 2b3e6c1f 1f83d9ab fb41bd6b 5be0cd19 137e2179',
    ),
  },
  {
    name: 'sha384',
    priority: 100,
    digestSize: 48,
    family: SHA512_FAMILY,
    config: 'CONFIG_CRYPTO_SHA512',
    initial: words(
      'cbbb9d5d c1059ed8 629a292a 367cd507 9159015a 3070dd17 152fecd8 f70e5939 ' +
        '67332667 ffc00b31 8eb44a87 68581511 db0c2e0d 64f98fa7 47b5481d befa4fa4',
    ),
  },
];

/** A state in guest memory. */
class State {
  private readonly k: Linux;
  private readonly at: Address;
  private readonly family: Family;
  private readonly places: { count: number; buffer: number; bytes: number };

  constructor(k: Linux, at: Address, family: Family) {
    this.k = k;
    this.at = at;
    this.family = family;
    this.places = family.layout(k.word);
  }

  begin(initial: readonly number[]): void {
    this.k.memory.fill(this.at, this.places.bytes, 0);
    this.words = initial;
  }

  private get words(): number[] {
    const { wordBytes, words } = this.family;
    const count = (words * wordBytes) / 4;
    return Array.from({ length: count }, (_, i) => this.k.memory.u32(this.wordAt(i)) | 0);
  }

  private set words(values: readonly number[]) {
    for (const [i, value] of values.entries()) this.k.memory.set32(this.wordAt(i), value >>> 0);
  }

  private wordAt(index: number): Address {
    return this.at + 4 * (this.family.wordBytes === 8 ? index ^ 1 : index);
  }

  update(data: Uint8Array): void {
    const { blockBytes } = this.family;
    const { memory } = this.k;
    const seen = memory.u64(this.at + this.places.count);
    const held = Number(seen % BigInt(blockBytes));
    const bytes = new Uint8Array(held + data.length);
    bytes.set(memory.bytes(this.at + this.places.buffer, held));
    bytes.set(data, held);
    const whole = bytes.length - (bytes.length % blockBytes);
    if (whole > 0) {
      const compress = this.family.compress();
      let state = this.words;
      for (let i = 0; i < whole; i += blockBytes)
        state = compress(state, new DataView(bytes.buffer, i, blockBytes));
      this.words = state;
    }
    memory.write(this.at + this.places.buffer, bytes.subarray(whole));
    memory.setU64(this.at + this.places.count, seen + BigInt(data.length));
  }

  /** Padding: a one, zeros, the length in bits. */
  end(size: number): Uint8Array {
    const { blockBytes, littleEndian, wordBytes } = this.family;
    const bits = this.k.memory.u64(this.at + this.places.count) * 8n;
    const held = Number((bits / 8n) % BigInt(blockBytes));
    const lengthBytes = 2 * wordBytes;
    const zeros = (2 * blockBytes - 1 - held - lengthBytes) % blockBytes;
    const padding = new Uint8Array(1 + zeros + lengthBytes);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setBigUint64(padding.length - 8, bits, littleEndian);
    this.update(padding);
    const out = new DataView(new ArrayBuffer(64));
    for (const [i, word] of this.words.entries()) out.setInt32(4 * i, word, littleEndian);
    this.k.memory.fill(this.at, this.places.bytes, 0);
    return new Uint8Array(out.buffer, 0, size);
  }
}

function stateOf(k: Linux, descriptor: Address): { hash: BuiltInHash; state: State } {
  const transform = k.read('shash_desc.tfm', descriptor) + k.offset('crypto_shash.base');
  const name = k.readString('crypto_alg.cra_name', k.read('crypto_tfm.__crt_alg', transform));
  const hash = BUILT_IN_HASHES.find((one) => one.name === name);
  if (hash === undefined) throw new Error(`${name} is no built-in hash`);
  return { hash, state: new State(k, descriptor + k.offset('shash_desc.__ctx'), hash.family) };
}

function update(k: Linux, descriptor: Address, data: Address, length: number): number {
  stateOf(k, descriptor).state.update(k.memory.bytes(data, length));
  return 0;
}

function end(k: Linux, descriptor: Address, out: Address): number {
  const { hash, state } = stateOf(k, descriptor);
  k.memory.write(out, state.end(hash.digestSize));
  return 0;
}

function finup(k: Linux, descriptor: Address, data: Address, length: number, out: Address): number {
  update(k, descriptor, data, length);
  return end(k, descriptor, out);
}

export const builtInHashes = kernelFunctions({
  'int lkm_hash_init(struct shash_desc *desc)': (k, descriptor) => {
    const { hash, state } = stateOf(k, descriptor);
    state.begin(hash.initial);
    return 0;
  },
  'int lkm_hash_update(struct shash_desc *desc, const u8 *data, unsigned int len)': update,
  'int lkm_hash_final(struct shash_desc *desc, u8 *out)': end,
  // What implementations with vector instructions hand over where those cannot be used: their states have the same layout.
  'int crypto_sha1_update(struct shash_desc *desc, const u8 *data, unsigned int len)': update,
  'int crypto_sha1_finup(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *hash)': finup,
  'int crypto_sha256_update(struct shash_desc *desc, const u8 *data, unsigned int len)': update,
  'int crypto_sha256_finup(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *hash)': finup,
  'int crypto_sha512_update(struct shash_desc *desc, const u8 *data, unsigned int len)': update,
  'int crypto_sha512_finup(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *hash)': finup,
});

export const stateBytes = (k: Linux, hash: BuiltInHash): number => hash.family.layout(k.word).bytes;
