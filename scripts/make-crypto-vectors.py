"""Writes src/systems/linux/crypto/selftest-vectors.ts: what algorithms must answer to fixed input.

  python3 scripts/make-crypto-vectors.py

Answers come from libgcrypt (libgcrypt20), OpenSSL (also as the module cryptography), zlib and the programs lz4 and zstd, not from any kernel. Where a standard
has test data of its own, a list begins with it; the rest is the input that `pattern` makes, of the lengths that the kernel's own
list has at that place, so that a number in a message means the same here and there.
"""
import ctypes
import ctypes.util
import hashlib
import os
import struct
import subprocess
import zlib

from cryptography.hazmat.decrepit.ciphers import algorithms as old
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers import algorithms as new

gcrypt = ctypes.CDLL(ctypes.util.find_library('gcrypt'))
gcrypt.gcry_check_version.restype = ctypes.c_char_p
gcrypt.gcry_check_version(None)
MASK32 = 0xffffffff


def pattern(length, seed=1):
    """The same bytes as `pattern` of selftest-data.ts."""
    out = bytearray()
    state = seed
    for _ in range(length):
        state = (state * 1103515245 + 12345) & 0x7fffffff
        out.append(state >> 16 & 0xff)
    return bytes(out)


def words(length, seed):
    """The same text as `words` of selftest-data.ts: it can be compressed."""
    out = ''
    state = seed
    while len(out) < length:
        state = (state * 1103515245 + 12345) & 0x7fffffff
        out += ' module ' if state >> 24 & 15 == 0 else chr(97 + (state >> 16 & 15))
    return out[:length].encode()


def gcry_hash(number):
    def run(data, _key):
        out = ctypes.create_string_buffer(gcrypt.gcry_md_get_algo_dlen(number))
        gcrypt.gcry_md_hash_buffer(number, out, data, ctypes.c_size_t(len(data)))
        return out.raw
    return run


def lib_hash(name):
    return lambda data, _key: hashlib.new(name, data).digest()


def blake(size):
    return lambda data, key: hashlib.blake2b(data, digest_size=size, key=key or b'').digest()


def crc_reflected(polynomial, bits):
    def run(data, value):
        for byte in data:
            value ^= byte
            for _ in range(8):
                value = value >> 1 ^ (polynomial if value & 1 else 0)
        return value.to_bytes(bits // 8, 'little')
    return run


def crc32(data, key):
    return crc_reflected(0xedb88320, 32)(data, int.from_bytes(key or b'', 'little'))


def crc32c(data, key):
    seed = MASK32 if key is None else int.from_bytes(key, 'little')
    return bytes(b ^ 0xff for b in crc_reflected(0x82f63b78, 32)(data, seed))


def crc64(data, _key):
    return bytes(b ^ 0xff for b in crc_reflected(0x9a6c9329ac4bc9b5, 64)(data, (1 << 64) - 1))


def crct10dif(data, _key):
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x8bb7 if value & 0x8000 else 0)) & 0xffff
    return value.to_bytes(2, 'little')


def xxhash64(data, key):
    """XXH64 of its specification (doc/xxhash_spec.md of xxHash)."""
    p1, p2, p3 = 0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
    p4, p5, mask = 0x85ebca77c2b2ae63, 0x27d4eb2f165667c5, (1 << 64) - 1
    turn = lambda v, by: (v << by | v >> (64 - by)) & mask
    step = lambda acc, lane: turn((acc + lane * p2) & mask, 31) * p1 & mask
    seed = int.from_bytes(key or b'', 'little')
    at = 0
    if len(data) >= 32:
        v = [(seed + p1 + p2) & mask, (seed + p2) & mask, seed, (seed - p1) & mask]
        while at + 32 <= len(data):
            v = [step(a, lane) for a, lane in zip(v, struct.unpack_from('<4Q', data, at))]
            at += 32
        h = (turn(v[0], 1) + turn(v[1], 7) + turn(v[2], 12) + turn(v[3], 18)) & mask
        for a in v:
            h = ((h ^ step(0, a)) * p1 + p4) & mask
    else:
        h = (seed + p5) & mask
    h = (h + len(data)) & mask
    while at + 8 <= len(data):
        h = (turn(h ^ step(0, struct.unpack_from('<Q', data, at)[0]), 27) * p1 + p4) & mask
        at += 8
    if at + 4 <= len(data):
        h = (turn(h ^ struct.unpack_from('<I', data, at)[0] * p1 & mask, 23) * p2 + p3) & mask
        at += 4
    for byte in data[at:]:
        h = turn(h ^ byte * p5 & mask, 11) * p1 & mask
    h = (h ^ h >> 33) * p2 & mask
    h = (h ^ h >> 29) * p3 & mask
    return (h ^ h >> 32).to_bytes(8, 'little')


def ghash(data, key):
    """GHASH of NIST SP 800-38D, the data filled up with zeros."""
    h = int.from_bytes(key, 'big')
    y = 0
    for at in range(0, len(data), 16):
        x = y ^ int.from_bytes(data[at:at + 16].ljust(16, b'\0'), 'big')
        y, v = 0, h
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                y ^= v
            v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
    return y.to_bytes(16, 'big')


def michael(data, key):
    """Michael of IEEE 802.11, annex on TKIP."""
    turn = lambda v, by: (v << by | v >> (32 - by)) & MASK32
    left, right = struct.unpack('<2I', key)
    data += b'\x5a' + b'\0' * 4
    data += b'\0' * (-len(data) % 4)
    for (word,) in struct.iter_unpack('<I', data):
        left ^= word
        right ^= turn(left, 17)
        left = (left + right) & MASK32
        right ^= (left & 0xff00ff00) >> 8 | (left & 0x00ff00ff) << 8
        left = (left + right) & MASK32
        right ^= turn(left, 3)
        left = (left + right) & MASK32
        right ^= turn(left, 30)
        left = (left + right) & MASK32
    return struct.pack('<2I', left, right)


def poly1305(data, _key):
    """Poly1305 of RFC 7539; the first 32 bytes of the data are the key."""
    r = int.from_bytes(data[:16], 'little') & 0x0ffffffc0ffffffc0ffffffc0fffffff
    s = int.from_bytes(data[16:32], 'little')
    value = 0
    for at in range(32, len(data), 16):
        value = (value + int.from_bytes(data[at:at + 16] + b'\1', 'little')) * r % ((1 << 130) - 5)
    return ((value + s) & (1 << 128) - 1).to_bytes(16, 'little')


RFC1320 = [b'', b'a', b'abc', b'message digest', bytes(range(97, 123)), None, b'1234567890' * 8]
RFC1320[5] = bytes([*range(65, 91), *range(97, 123), *range(48, 58)])
FIPS180 = [b'', b'abc', b'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq']
SHA2 = (0, 3, 56, 64, 1023)
SHA512 = (0, 3, 56, 112, 104, 1023)
SHA3 = (0, 1, 56, 1023)
WHIRLPOOL = (0, 1, 3, 14, 26, 62, 80, 32)
CRC = ('0', '7', '0k4', '40k4', '240k4')
BLAKE = ('0', '64', '1k32', '7k64', '15k1', '247k32', '256k64')
MICHAEL = ('0k8', '1k8', '2k8', '3k8', '4k8', '7k8')


def whirlpool(size):
    return lambda data, key: gcry_hash(305)(data, key)[:size]


# Name, how it is computed, lengths of the input (with `kN`: and of the key).
HASHES = [
    ('md4', gcry_hash(301), (0, 1, 3, 14, 26, 62, 80)),
    ('md5', lib_hash('md5'), (0, 1, 3, 14, 26, 62, 80)),
    ('rmd160', gcry_hash(3), (0, 1, 3, 14, 26, 62, 80, 56, 112, 32)),
    ('sha1', lib_hash('sha1'), (0, 3, 56, 163, 64, 1023)),
    ('sha224', lib_hash('sha224'), SHA2), ('sha256', lib_hash('sha256'), SHA2),
    ('sha384', lib_hash('sha384'), SHA512), ('sha512', lib_hash('sha512'), SHA512),
    ('sha3-224', lib_hash('sha3_224'), SHA3), ('sha3-256', lib_hash('sha3_256'), SHA3),
    ('sha3-384', lib_hash('sha3_384'), SHA3), ('sha3-512', lib_hash('sha3_512'), SHA3),
    ('sm3', gcry_hash(326), (0, 1, 3, 26, 64, 256)),
    ('streebog256', gcry_hash(309), (63, 72)), ('streebog512', gcry_hash(310), (63, 72)),
    ('wp256', whirlpool(32), WHIRLPOOL), ('wp384', whirlpool(48), WHIRLPOOL), ('wp512', whirlpool(64), WHIRLPOOL),
    ('blake2b-160', blake(20), BLAKE),
    ('blake2b-256', blake(32), ('0', '7', '256', '1k1', '64k64', '15k32')),
    ('blake2b-384', blake(48), ('1', '247', '0k32', '7k1', '64k32', '256k1')),
    ('blake2b-512', blake(64), ('15', '0k64', '1k1', '7k32', '64k64', '247k1', '256k32')),
    ('crct10dif', crct10dif, (3, 79, 56, 319)),
    ('crc64-rocksoft', crc64, (256, 333)),
    ('crc32', crc32, CRC), ('crc32c', crc32c, CRC),
    ('xxhash64', xxhash64, ('0', '1', '14', '222', '0k8', '1k8', '14k8', '222k8')),
    ('ghash', ghash, ('16k16', '16k16', '28k16', '64k16', '20k16')),
    ('michael_mic', michael, MICHAEL),
    ('poly1305', poly1305, (96, 407, 80, 48)),
]


def message(name, at, length):
    """The standard's own message where the list begins with those, the pattern elsewhere."""
    if name in ('md4', 'md5', 'rmd160', 'wp256', 'wp384', 'wp512') and at < len(RFC1320):
        return RFC1320[at]
    if name.startswith('sha') and '-' not in name and at < len(FIPS180):
        return FIPS180[at]
    return pattern(length)


def hash_rows():
    for name, run, lengths in HASHES:
        row = []
        for at, spec in enumerate(lengths):
            length, _, key = str(spec).partition('k')
            data = message(name, at, int(length))
            assert len(data) == int(length), (name, at)
            digest = run(data, pattern(int(key), 2) if key else None)
            own = data if data != pattern(len(data)) else None
            text = f'={own.decode()}' if own else length
            row.append(f'{text}{"k" + key if key else ""}:{digest.hex()}')
        yield name, row


def gcry_cipher(number, by_length=False):
    def run(key, data):
        handle = ctypes.c_void_p()
        which = number + {16: 0, 24: 1, 32: 2}[len(key)] if by_length else number
        assert gcrypt.gcry_cipher_open(ctypes.byref(handle), which, 1, 0) == 0
        failed = gcrypt.gcry_cipher_setkey(handle, key, ctypes.c_size_t(len(key)))
        # A weak key is told, and can be used all the same.
        assert failed & 0xffff in (0, 43), failed
        out = ctypes.create_string_buffer(len(data))
        size = ctypes.c_size_t(len(data))
        assert gcrypt.gcry_cipher_encrypt(handle, out, size, data, size) == 0
        gcrypt.gcry_cipher_close(handle)
        return out.raw
    return run


def openssl(cipher):
    def run(key, data):
        name = cipher.format(len(key) * 8)
        command = ['openssl', 'enc', f'-{name}', '-K', key.hex(), '-nopad', '-provider', 'legacy', '-provider', 'default']
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout
    return run


def with_openssl(algorithm):
    """OpenSSL's, by way of the module cryptography: keys of any length, which openssl(1) cannot be told."""
    def run(key, data):
        machine = Cipher(algorithm(key), modes.ECB()).encryptor()
        return machine.update(data) + machine.finalize()
    return run


def tea(kind):
    """TEA and XTEA as their authors describe them, and the mistaken XTEA of old that is called XETA."""
    def block(key, y, z):
        total = 0
        for _ in range(32):
            if kind == 'tea':
                total = (total + 0x9e3779b9) & MASK32
                y = (y + ((z << 4) + key[0] ^ z + total ^ (z >> 5) + key[1])) & MASK32
                z = (z + ((y << 4) + key[2] ^ y + total ^ (y >> 5) + key[3])) & MASK32
                continue
            mix = (lambda v, k: ((v << 4 ^ v >> 5) + v) ^ (total + k)) if kind == 'xtea' else \
                (lambda v, k: (v << 4 & MASK32 ^ v >> 5) + (v ^ total) + k)
            y = (y + mix(z, key[total & 3])) & MASK32
            total = (total + 0x9e3779b9) & MASK32
            z = (z + mix(y, key[total >> 11 & 3])) & MASK32
        return y, z

    def run(key, data):
        words = struct.unpack('<4I', key)
        return b''.join(struct.pack('<2I', *block(words, *pair)) for pair in struct.iter_unpack('<2I', data))
    return run


def known(table):
    """Ciphers that no library here has: the standard's own pairs and nothing more."""
    return lambda key, data: bytes.fromhex(table[key.hex(), data.hex()])


Z8, Z16 = '00' * 8, '00' * 16
COUNT = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'
UPDOWN = '0123456789abcdeffedcba9876543210'
FLAT = '00112233445566778899aabbccddeeff'
PAIRS = UPDOWN + FLAT
# RFC 2612, appendix A.
CAST6 = {
    ('2342bb9efa38542c0af75647f29f615d', Z16): 'c842a08972b43d20836c91d1b7530f6b',
    ('2342bb9efa38542cbed0ac83940ac298bac77a7717942863', Z16): '1b386c0210dcadcbdd0e41aa08a7a7e8',
    ('2342bb9efa38542cbed0ac83940ac2988d7c47ce264908461cc1b5137ae6b604', Z16): '4f6a2038286897b9c9870136553317fa',
}
RFC2144 = ('0123456712345678234567893456789a', '0123456789abcdef')
# Name, how it is computed, pairs of key and text: hexadecimal, or a number of bytes of the pattern.
CIPHERS = [
    ('aes', with_openssl(new.AES), [(COUNT[:32], FLAT), (COUNT[:48], FLAT), (COUNT, FLAT), (32, 48)]),
    ('camellia', with_openssl(old.Camellia), [(UPDOWN, UPDOWN), (PAIRS[:48], UPDOWN), (PAIRS, UPDOWN), (32, 48)]),
    ('aria', openssl('aria-{}-ecb'), [(COUNT[:32], FLAT), (COUNT[:48], FLAT), (COUNT, FLAT)]),
    ('sm4', with_openssl(new.SM4), [(UPDOWN, UPDOWN), (16, 160), (16, 32)]),
    ('blowfish', with_openssl(old.Blowfish), [(Z8, Z8), (8, 8), None, (16, 8), None, (56, 8), (32, 48)]),
    ('cast5', with_openssl(old.CAST5), [RFC2144, (RFC2144[0][:20], RFC2144[1]), (RFC2144[0][:10], RFC2144[1]), (16, 48)]),
    ('cast6', known(CAST6), list(CAST6)),
    ('des', openssl('des-ecb'), [('0123456789abcdef', '0123456789abcde7'), ('0123456789abcdef', 8), (8, 8), (8, 24)]),
    ('des3_ede', with_openssl(old.TripleDES), [('0123456789abcdef5555555555555555fedcba9876543210', b'somedata'.hex()),
                                          (24, 8), (24, 8), (24, 48)]),
    ('seed', openssl('seed-ecb'), [(Z16, COUNT[:32]), (COUNT[:32], Z16), (16, 16), (16, 16)]),
    ('serpent', gcry_cipher(304, True), [None, (COUNT[:32], COUNT[:32]), (COUNT, COUNT[:32]), ('00' * 15 + '80', Z16), (32, 48)]),
    ('twofish', lambda key, data: gcry_cipher(303 if len(key) == 16 else 10)(key, data),
     [(Z16, Z16), None, (PAIRS, Z16), (32, 48)]),
    ('tea', tea('tea'), [(Z16, Z8), (16, 8), (16, 16), (16, 32)]),
    ('xtea', tea('xtea'), [(Z16, Z8), (16, 8), (16, 16), (16, 32)]),
    ('xeta', tea('xeta'), [(Z16, Z8), (16, 8), (16, 16), (16, 32)]),
]


def cipher_rows():
    for name, run, pairs in CIPHERS:
        row = []
        for pair in pairs:
            # A place of the kernel's list that no library can answer, or that would take long and tell nothing new.
            if pair is None:
                row.append('')
                continue
            key, text = (pattern(part, 2 - n) if isinstance(part, int) else bytes.fromhex(part) for n, part in enumerate(pair))
            spec = ':'.join(f'@{part}' if isinstance(part, int) else part for part in pair)
            row.append(f'{spec}:{run(key, text).hex()}')
        yield name, row


def block_cipher(name):
    return next(run for known, run, _ in CIPHERS if known == name)


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other))


def cbc(name, size):
    def run(key, iv, text):
        out = b''
        for at in range(0, len(text), size):
            iv = block_cipher(name)(key, xor(text[at:at + size], iv))
            out += iv
        return out, iv
    return run


def ctr(name, size):
    def run(key, iv, text):
        blocks = -(-len(text) // size)
        count = lambda n: ((int.from_bytes(iv, 'big') + n) % (1 << 8 * size)).to_bytes(size, 'big')
        stream = block_cipher(name)(key, b''.join(count(n) for n in range(blocks)))
        return xor(text, stream), count(blocks)
    return run


def xts(name):
    """XTS of IEEE 1619, whole blocks."""
    def run(key, iv, text):
        half = len(key) // 2
        tweak = int.from_bytes(block_cipher(name)(key[half:], iv), 'little')
        out = b''
        for at in range(0, len(text), 16):
            mask = tweak.to_bytes(16, 'little')
            out += xor(block_cipher(name)(key[:half], xor(text[at:at + 16], mask)), mask)
            tweak = tweak << 1 ^ (0x87 if tweak >> 127 else 0)
            tweak &= (1 << 128) - 1
        return out, None
    return run


def chacha(rounds, extended=False):
    """ChaCha of RFC 7539 with a 32-bit counter in front of the nonce; XChaCha puts the kernel's 64-bit position last."""
    turn = lambda v, by: (v << by | v >> (32 - by)) & MASK32

    def permuted(state):
        x = list(state)
        for n in range(rounds):
            for i in range(4):
                a, b, c, d = (i, 4 + i, 8 + i, 12 + i) if n % 2 == 0 else \
                    (i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
                for p, q, r, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    x[p] = (x[p] + x[q]) & MASK32
                    x[r] = turn(x[r] ^ x[p], by)
        return x

    def run(key, iv, text):
        start = lambda k, v: [*struct.unpack('<4I', b'expand 32-byte k'), *struct.unpack('<8I', k), *struct.unpack('<4I', v)]
        if extended:
            x = permuted(start(key, iv[:16]))
            key, iv = struct.pack('<8I', *x[:4], *x[12:]), iv[24:32] + iv[16:24]
        state = start(key, iv)
        out = b''
        for at in range(0, len(text), 64):
            block = struct.pack('<16I', *((a + b) & MASK32 for a, b in zip(permuted(state), state)))
            out += xor(text[at:at + 64], block)
            state[12] = (state[12] + 1) & MASK32
        return out, None
    return run


# Name, how it is computed, bytes of the vector, pairs of key and text; what is long has only its SHA-256 written down.
STREAMS = [
    *((f'cbc({name})', cbc(name, size), size, lengths) for name, size, lengths in [
        ('aes', 16, [(16, 16), (16, 32), (24, 64), (32, 64), (32, 496)]),
        ('camellia', 16, [(16, 16), (16, 32), (32, 1008)]), ('serpent', 16, [(32, 496)]),
        ('twofish', 16, [(16, 16), (16, 16), (16, 16), (16, 48), (32, 496)]), ('sm4', 16, [(16, 32), (16, 32)]),
        ('blowfish', 8, [(16, 32), (32, 504)]), ('cast5', 8, [(16, 496)]), ('des3_ede', 8, [(24, 128), (24, 496)])]),
    *((f'ctr({name})', ctr(name, size), size, lengths) for name, size, lengths in [
        ('aes', 16, [(16, 64), (24, 64), (32, 64), (32, 496), (32, 499)]), ('camellia', 16, [(32, 496), (32, 499)]),
        ('serpent', 16, [(32, 496), (32, 499)]), ('twofish', 16, [(32, 496), (32, 499)]), ('sm4', 16, [(16, 64), (16, 64)]),
        ('blowfish', 8, [(32, 504), (32, 503)]), ('cast5', 8, [(16, 17), (16, 496)]), ('des3_ede', 8, [(24, 496), (24, 499)])]),
    *((f'xts({name})', xts(name), 16, [(32, 32), (32, 32), (32, 32), (32, 512), (64, 512)])
      for name in ('aes', 'camellia', 'serpent', 'twofish')),
    ('chacha20', chacha(20), 16, [(32, 64), (32, 375), (32, 127), (32, 1281)]),
    ('xchacha20', chacha(20, True), 32, [(32, 29), (32, 91), (32, 64), (32, 375), (32, 127), (32, 1281), (32, 304)]),
    ('xchacha12', chacha(12, True), 32, [(32, 29), (32, 91), (32, 64), (32, 375), (32, 127), (32, 1281), (32, 304)]),
]


def stream_rows():
    for name, run, iv_size, lengths in STREAMS:
        row = []
        for key, text in lengths:
            answer, iv_out = run(pattern(key, 2), pattern(iv_size, 3), pattern(text))
            shown = answer.hex() if text <= 32 else '#' + hashlib.sha256(answer).hexdigest()
            row.append(f'@{key}:@{iv_size}:@{text}:{shown}' + (f':{iv_out.hex()}' if iv_out else ''))
        yield name, row


def lz4(level):
    def run(data):
        frame = subprocess.run(['lz4', f'-{level}', '-c', '--no-frame-crc'], input=data, capture_output=True, check=True).stdout
        at = 7 + (8 if frame[4] & 8 else 0)
        size = struct.unpack_from('<I', frame, at)[0]
        assert size >> 31 == 0
        return frame[at + 4:at + 4 + size]
    return run


def deflate(data):
    packer = zlib.compressobj(6, zlib.DEFLATED, -11)
    return packer.compress(data) + packer.flush()


def zstd(data):
    return subprocess.run(['zstd', '-3', '-c', '--no-check'], input=data, capture_output=True, check=True).stdout


# Name, program, lengths that are compressed, lengths that are expanded with what they take compressed.
COMPRESSORS = [
    ('lz4', lz4(1), [255], [(255, 218)]),
    ('lz4hc', lz4(9), [255], [(255, 216)]),
    ('deflate', deflate, [70, 191], [(191, None), (70, None)]),
    ('zstd', zstd, [68, 244], [(68, None), (244, None)]),
]


def compressor_rows():
    for name, run, plain, packed in COMPRESSORS:
        row = [f'{length}/1' for length in plain]
        for length, size in packed:
            seeds = range(1, 500)
            seed = next(s for s in seeds if len(run(words(length, s))) == size) if size else 1
            row.append(f'{length}/{seed}:{run(words(length, seed)).hex()}')
        yield name, row


def table(name, comment, rows):
    lines = [f'/** {comment} */', f'export const {name}: Readonly<Record<string, readonly string[]>> = {{']
    for key, row in rows:
        lines.append(f"  '{key}': [")
        lines.extend(f"    '{entry}'," for entry in row)
        lines.append('  ],')
    return '\n'.join([*lines, '};', ''])


head = '''/**
 * What algorithms must answer to fixed input. Written by scripts/make-crypto-vectors.py, which says where the answers come from
 * and where in the kernel's lists they stand; selftest-data.ts reads the notation. Not to be edited.
 */
'''
target = os.path.join(os.path.dirname(__file__), '..', 'src/systems/linux/crypto/selftest-vectors.ts')
with open(target, 'w') as out:
    out.write('\n'.join([
        head.rstrip(),
        table('HASH_VECTORS', 'MESSAGE:DIGEST; a message is `=TEXT` or the length of a pattern, with `kN` a key of N bytes belongs to it.', hash_rows()),
        table('CIPHER_VECTORS', 'KEY:TEXT:ANSWER, with `@N` for N bytes of the pattern; nothing at places that are left out.', cipher_rows()),
        table('STREAM_VECTORS', 'KEY:IV:TEXT:ANSWER and, where it is looked at, the vector afterwards; `#` and a SHA-256 stand for a long answer.', stream_rows()),
        table('COMPRESSION_VECTORS', 'LENGTH/SEED: words to compress and expand again; with `:DATA`, what expands to them.', compressor_rows()),
    ]))
subprocess.run(['npx', 'biome', 'format', '--write', target], check=True, stdout=subprocess.DEVNULL)
