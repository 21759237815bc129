/** Hash algorithms by the object identifiers that signatures name them with. */
import { md5, sha1 } from '@noble/hashes/legacy';
import { sha224, sha256, sha384, sha512 } from '@noble/hashes/sha2';
import { sha3_256, sha3_384, sha3_512 } from '@noble/hashes/sha3';

export type Hash = (bytes: Uint8Array) => Uint8Array;

export interface HashAlgorithm {
  /** `sha256`, `sha3-256`: as OpenSSL and the kernel call it. */
  readonly name: string;
  readonly oid: string;
  readonly hash: Hash;
}

/**
 * Bytes that are hashed in TypeScript before the host's own code is fetched. It takes some milliseconds to begin, and so do
 * these while our own code is compiled as well (measured: a MB takes 60 ms at first, later 5; the host's 0.7).
 */
const FETCH_AFTER = 128 << 10;
let hashed = 0;
let host: HostHashes | undefined;

/** What is used of Node's crypto module; a browser has no such thing that answers at once. */
interface HostHashes {
  createHash(name: string): { update(bytes: Uint8Array): { digest(): Uint8Array } };
}

function hostHashes(): HostHashes | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(id: string): unknown } };
  return process?.getBuiltinModule?.('node:crypto') as HostHashes | undefined;
}

/** The same function, by the host's own code where there is one and much is hashed (bench/kernel.ts loads a signed MB). */
function quick(name: string, hash: Hash): Hash {
  return (bytes) => {
    if (hashed <= FETCH_AFTER) {
      hashed += bytes.length;
      if (hashed > FETCH_AFTER) host = hostHashes();
    }
    return host === undefined ? hash(bytes) : new Uint8Array(host.createHash(name).update(bytes).digest());
  };
}

const ALGORITHMS: readonly HashAlgorithm[] = [
  { name: 'md5', oid: '1.2.840.113549.2.5', hash: md5 },
  { name: 'sha1', oid: '1.3.14.3.2.26', hash: quick('sha1', sha1) },
  { name: 'sha224', oid: '2.16.840.1.101.3.4.2.4', hash: sha224 },
  { name: 'sha256', oid: '2.16.840.1.101.3.4.2.1', hash: quick('sha256', sha256) },
  { name: 'sha384', oid: '2.16.840.1.101.3.4.2.2', hash: sha384 },
  { name: 'sha512', oid: '2.16.840.1.101.3.4.2.3', hash: quick('sha512', sha512) },
  { name: 'sha3-256', oid: '2.16.840.1.101.3.4.2.8', hash: sha3_256 },
  { name: 'sha3-384', oid: '2.16.840.1.101.3.4.2.9', hash: sha3_384 },
  { name: 'sha3-512', oid: '2.16.840.1.101.3.4.2.10', hash: sha3_512 },
];

/** Signature algorithms that say which hash they use: the key's kind, and the hash by name. */
const COMBINED: Readonly<Record<string, readonly [kind: 'rsa' | 'ec', hash: string]>> = {
  '1.2.840.113549.1.1.4': ['rsa', 'md5'],
  '1.2.840.113549.1.1.5': ['rsa', 'sha1'],
  '1.3.14.3.2.29': ['rsa', 'sha1'],
  '1.2.840.113549.1.1.14': ['rsa', 'sha224'],
  '1.2.840.113549.1.1.11': ['rsa', 'sha256'],
  '1.2.840.113549.1.1.12': ['rsa', 'sha384'],
  '1.2.840.113549.1.1.13': ['rsa', 'sha512'],
  '2.16.840.1.101.3.4.3.14': ['rsa', 'sha3-256'],
  '2.16.840.1.101.3.4.3.15': ['rsa', 'sha3-384'],
  '2.16.840.1.101.3.4.3.16': ['rsa', 'sha3-512'],
  '1.2.840.10045.4.1': ['ec', 'sha1'],
  '1.2.840.10045.4.3.1': ['ec', 'sha224'],
  '1.2.840.10045.4.3.2': ['ec', 'sha256'],
  '1.2.840.10045.4.3.3': ['ec', 'sha384'],
  '1.2.840.10045.4.3.4': ['ec', 'sha512'],
  '2.16.840.1.101.3.4.3.10': ['ec', 'sha3-256'],
  '2.16.840.1.101.3.4.3.11': ['ec', 'sha3-384'],
  '2.16.840.1.101.3.4.3.12': ['ec', 'sha3-512'],
};

/** By name; - and _ are the same, so `sha3_256` is found too. */
export const hashNamed = (name: string): HashAlgorithm | undefined =>
  ALGORITHMS.find((one) => one.name === name.replaceAll('_', '-'));

/** The hash that an identifier stands for, whether it names a plain hash or a signature with one. */
export function hashOf(oid: string): HashAlgorithm | undefined {
  const combined = COMBINED[oid];
  return ALGORITHMS.find((one) => one.oid === oid || one.name === combined?.[1]);
}

/** Of a signature algorithm that names its hash: the kind of key it is for. */
export const keyKindOf = (oid: string): 'rsa' | 'ec' | undefined => COMBINED[oid]?.[0];

/** The names of all that are known, for messages. */
export const hashNames = (): string[] => ALGORITHMS.map(({ name }) => name);
