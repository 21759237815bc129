/** A certificate that signs itself and its key, made for one test run. */
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

const ALGORITHM = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: 'SHA-256',
};

const pem = (label: string, bytes: ArrayBuffer): Uint8Array => {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return new TextEncoder().encode(`-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`);
};

export async function makeCertificate(name: string): Promise<{ certificate: Uint8Array; key: Uint8Array }> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  certificate.serialNumber = new asn1js.Integer({ value: 1 });
  for (const [type, value] of [
    ['2.5.4.6', 'XX'],
    ['2.5.4.10', 'Example'],
    ['2.5.4.3', name],
  ]) {
    const attribute = () =>
      new pkijs.AttributeTypeAndValue({ type, value: new asn1js.Utf8String({ value }) });
    certificate.issuer.typesAndValues.push(attribute());
    certificate.subject.typesAndValues.push(attribute());
  }
  certificate.notBefore.value = new Date(2020, 1, 1);
  certificate.notAfter.value = new Date(2049, 1, 1);
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey);
  await certificate.sign(keys.privateKey, 'SHA-256');
  return {
    certificate: pem('CERTIFICATE', certificate.toSchema(true).toBER()),
    key: pem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', keys.privateKey)),
  };
}
