/** ECDSA over the curves that certificates of kernels use (FIPS 186-5; keys and signatures as RFC 5480 and 3279 write them). */
import { p256, p384, p521 } from '@noble/curves/nist';

export type CurveName = 'nistp256' | 'nistp384' | 'nistp521';

export interface EcKey {
  readonly kind: 'ec';
  readonly curve: CurveName;
  /** The point, as the certificate has it. */
  readonly point: Uint8Array;
}

const CURVES = { nistp256: p256, nistp384: p384, nistp521: p521 } as const;

const NAMES: Readonly<Record<string, CurveName>> = {
  '1.2.840.10045.3.1.7': 'nistp256',
  '1.3.132.0.34': 'nistp384',
  '1.3.132.0.35': 'nistp521',
};

export const curveNamed = (oid: string): CurveName | undefined => NAMES[oid];

/** @param signature DER: a sequence of two integers */
export function verifyEcdsa(key: EcKey, digest: Uint8Array, signature: Uint8Array): boolean {
  try {
    const options = { prehash: false, lowS: false, format: 'der' } as const;
    return CURVES[key.curve].verify(signature, digest, key.point, options);
  } catch {
    // The library throws for points that are not on the curve and for signatures that are no DER.
    return false;
  }
}
