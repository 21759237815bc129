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

const ALGORITHMS: readonly HashAlgorithm[] = [
  { name: 'md5', oid: '1.2.840.113549.2.5', hash: md5 },
  { name: 'sha1', oid: '1.3.14.3.2.26', hash: sha1 },
  { name: 'sha224', oid: '2.16.840.1.101.3.4.2.4', hash: sha224 },
  { name: 'sha256', oid: '2.16.840.1.101.3.4.2.1', hash: sha256 },
  { name: 'sha384', oid: '2.16.840.1.101.3.4.2.2', hash: sha384 },
  { name: 'sha512', oid: '2.16.840.1.101.3.4.2.3', hash: sha512 },
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
