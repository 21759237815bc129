"""An unsigned catalog (a certificate trust list) of one file, for osslsigncode to sign: make-catalog.py HASH OUTPUT."""
import sys


def der(tag, *parts):
    body = b''.join(parts)
    n = len(body)
    size = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, 'big')
    return bytes([tag]) + size + body


def oid(text):
    first, second, *rest = map(int, text.split('.'))
    out = bytearray([first * 40 + second])
    for value in rest:
        groups = [value & 127]
        while value := value >> 7:
            groups.append(128 | value & 127)
        out += bytes(reversed(groups))
    return der(6, bytes(out))


def seq(*parts):
    return der(0x30, *parts)


NULL = der(5)
digest = bytes.fromhex(sys.argv[1])
sha256 = seq(oid('2.16.840.1.101.3.4.2.1'), NULL)
image = seq(oid('1.3.6.1.4.1.311.2.1.15'), seq(der(3, b'\0'), der(0xA0, der(0xA2, der(0x80)))))
indirect = seq(image, seq(sha256, der(4, digest)))
member = seq(der(4, digest), der(0x31, seq(oid('1.3.6.1.4.1.311.2.1.4'), der(0x31, indirect))))
trust_list = seq(
    seq(oid('1.3.6.1.4.1.311.12.1.1')),
    der(4, bytes(range(16))),
    der(0x17, b'231114221320Z'),
    seq(oid('1.3.6.1.4.1.311.12.1.3'), NULL),
    seq(member),
)
contents = seq(oid('1.3.6.1.4.1.311.10.1'), der(0xA0, trust_list))
signed = seq(der(2, b'\1'), der(0x31), contents, der(0x31))
open(sys.argv[2], 'wb').write(seq(oid('1.2.840.113549.1.7.2'), der(0xA0, signed)))
