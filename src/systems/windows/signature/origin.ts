/**
 * On whose word a driver was signed: Microsoft's hardware portal (tested, or attested by the vendor), or the vendor's own
 * certificate under a cross-certificate (Microsoft's published "Driver signing policy" and "Cross-Certificates for
 * Kernel-Mode Code Signing"; the object identifiers are those of its code-signing documentation).
 */
import { readDer } from '../../../formats/der.ts';
import { type Certificate, nameText } from '../../../formats/pki/certificate.ts';

export interface SignatureOrigin {
  readonly kind: 'hardware tests' | 'attestation' | 'system component' | 'cross-signed' | 'other';
  /** When the signer's certificate was issued, and until when it is good; milliseconds since 1970. */
  readonly issued: number | undefined;
  readonly expires: number | undefined;
  /** Of a cross-signed chain: the authority that Microsoft has signed for, and until when. */
  readonly cross: { readonly authority: string; readonly expires: number | undefined } | undefined;
}

/** Extended key usage of a signer's certificate; Microsoft alone gives these away, so that a chain to it is wanted, too. */
const PURPOSES: readonly (readonly [oid: string, kind: SignatureOrigin['kind']])[] = [
  ['1.3.6.1.4.1.311.10.3.5.1', 'attestation'],
  ['1.3.6.1.4.1.311.10.3.5', 'hardware tests'],
  ['1.3.6.1.4.1.311.10.3.39', 'hardware tests'],
  ['1.3.6.1.4.1.311.10.3.6', 'system component'],
];
const CROSS_ROOT = 'Microsoft Code Verification Root';

const issuerName = ({ issuer }: Certificate): string => nameText(readDer(issuer, 'name of the issuer'));

/** @param chain from the signer up; @param others all certificates of the signature */
export function originOf(chain: readonly Certificate[], others: readonly Certificate[]): SignatureOrigin {
  const [signer] = chain;
  const { notBefore: issued, notAfter: expires, purposes } = signer;
  const cross = others.find((one) => issuerName(one) === CROSS_ROOT && one.name !== CROSS_ROOT);
  const portal = chain.some((one) => /^Microsoft /.test(issuerName(one)) && issuerName(one) !== CROSS_ROOT);
  const kind = portal ? PURPOSES.find(([oid]) => purposes.includes(oid))?.[1] : undefined;
  return {
    kind: kind ?? (cross === undefined ? 'other' : 'cross-signed'),
    issued,
    expires,
    cross: cross && { authority: cross.name, expires: cross.notAfter },
  };
}

export const dayOf = (time: number | undefined): string =>
  time === undefined ? 'a day that cannot be read' : new Date(time).toISOString().slice(0, 10);

/** A few words for a description; nothing for signatures like any program's. */
export function originText({ kind, cross }: SignatureOrigin): string {
  switch (kind) {
    case 'hardware tests':
      return ', on tests of the hardware (WHQL)';
    case 'attestation':
      return ", on the vendor's word (attestation)";
    case 'system component':
      return ', as part of Windows';
    case 'cross-signed':
      return `, cross-signed for ${cross?.authority} until ${dayOf(cross?.expires)}`;
    case 'other':
      return '';
  }
}
