// SPDX-License-Identifier: GPL-2.0
/* Sends so many bytes through an algorithm of the crypto API while it is loaded, and says how long that took. */
#include <crypto/hash.h>
#include <crypto/internal/cipher.h>
#include <linux/crypto.h>
#include <linux/init.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#define CHUNK 65536

static char *algorithm = "sha512-generic";
module_param(algorithm, charp, 0444);
static char *kind = "hash";
module_param(kind, charp, 0444);
static unsigned int kib = 16384;
module_param(kib, uint, 0444);

static u8 *input, *output;
static u64 sum;

static void mix(const u8 *bytes, unsigned int count)
{
	while (count--)
		sum = (sum ^ *bytes++) * 0x100000001b3ull;
}

/* Words of a small vocabulary with some noise: what a compressor meets. */
static void fill(void)
{
	u32 state = 2463534242u, n, at = 0;

	while (at < CHUNK) {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		for (n = 0; n < 4 + (state & 7) && at < CHUNK; n++)
			input[at++] = 'a' + ((state >> 8) * (n + 1) & 15);
		if (at < CHUNK)
			input[at++] = state >> 29 ? ' ' : state >> 16;
	}
}

static int hash(void)
{
	struct crypto_shash *tfm = crypto_alloc_shash(algorithm, 0, 0);
	unsigned int done;
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	{
		SHASH_DESC_ON_STACK(desc, tfm);

		desc->tfm = tfm;
		err = crypto_shash_init(desc);
		for (done = 0; done < kib && !err; done += CHUNK / 1024)
			err = crypto_shash_update(desc, input, CHUNK);
		if (!err)
			err = crypto_shash_final(desc, output);
		mix(output, crypto_shash_digestsize(tfm));
	}
	crypto_free_shash(tfm);
	return err;
}

static int cipher(void)
{
	struct crypto_cipher *tfm = crypto_alloc_cipher(algorithm, 0, 0);
	unsigned int done, at, block;
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	block = crypto_cipher_blocksize(tfm);
	err = crypto_cipher_setkey(tfm, "\x13\x57\x9b\xdf\x02\x46\x8a\xce", 8);
	for (done = 0; done < kib && !err; done += CHUNK / 1024)
		for (at = 0; at < CHUNK; at += block)
			crypto_cipher_encrypt_one(tfm, output + at, input + at);
	mix(output, 64);
	crypto_free_cipher(tfm);
	return err;
}

static int compressor(void)
{
	struct crypto_comp *tfm = crypto_alloc_comp(algorithm, 0, 0);
	unsigned int done, length = 0;
	int err = 0;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	for (done = 0; done < kib && !err; done += CHUNK / 1024) {
		length = 2 * CHUNK;
		err = crypto_comp_compress(tfm, input, CHUNK, output, &length);
	}
	mix(output, length);
	crypto_free_comp(tfm);
	return err;
}

static int __init cryptobench_init(void)
{
	ktime_t start;
	int err;

	input = vmalloc(CHUNK);
	output = vmalloc(2 * CHUNK);
	if (!input || !output)
		return -ENOMEM;
	fill();
	start = ktime_get();
	if (!strcmp(kind, "hash"))
		err = hash();
	else if (!strcmp(kind, "cipher"))
		err = cipher();
	else
		err = compressor();
	pr_info("cryptobench %s %d %llx %lld\n", algorithm, err, sum, ktime_to_ns(ktime_sub(ktime_get(), start)));
	vfree(input);
	vfree(output);
	return err;
}

static void __exit cryptobench_exit(void)
{
}

module_init(cryptobench_init);
module_exit(cryptobench_exit);
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(CRYPTO_INTERNAL);
