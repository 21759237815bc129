/**
 * crypto_cipher_encrypt_one and _decrypt_one (crypto/cipher.c), which callers use for every few bytes: where registers allow
 * it they are three instructions of machine code at the functions' addresses, so that a block does not leave the processor.
 */
import type { KernelFunction } from '../../../kernel/functions.ts';
import { oneBlock } from '../crypto/ciphers.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const calls = kernelFunctions({
  'void crypto_cipher_encrypt_one(struct crypto_cipher *tfm, u8 *dst, const u8 *src)': (
    k,
    cipher,
    to,
    from,
  ) => oneBlock(k, cipher, to, from, 'encrypt'),
  'void crypto_cipher_decrypt_one(struct crypto_cipher *tfm, u8 *dst, const u8 *src)': (
    k,
    cipher,
    to,
    from,
  ) => oneBlock(k, cipher, to, from, 'decrypt'),
});

const bytes32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 255);

/** mov __crt_alg(%rdi),%rax; mov cia_...(%rax),%rax; jmp *%rax: the arguments stay where they are. */
function jump(k: Linux, how: string): Uint8Array {
  const algorithm = k.offset('crypto_tfm.__crt_alg');
  const method = k.offset('crypto_alg.cra_u') + k.offset(`cipher_alg.cia_${how}`);
  return Uint8Array.from([
    0x48,
    0x8b,
    0x87,
    ...bytes32(algorithm),
    0x48,
    0x8b,
    0x80,
    ...bytes32(method),
    0xff,
    0xe0,
    0xcc,
  ]);
}

/** With arguments in eax, edx and ecx (regparm) no register is free for it. */
const block = (how: string): DataInitialiser => ({
  symbol: `crypto_cipher_${how}_one`,
  when: 'import',
  fill: (k, at) => {
    const fn = calls.get(`crypto_cipher_${how}_one`);
    if (k.cpu.bits === 64) k.placeCode(at, jump(k, how));
    else if (fn !== undefined) k.bind(`crypto_cipher_${how}_one`, at, fn as KernelFunction<never>);
  },
});

export const cipherCode: readonly DataInitialiser[] = [block('encrypt'), block('decrypt')];
