/** What `lkm inspect` shows of a kext's code signature: a line for the screen, the words of codesign(1), and the facts. */
import type { KextBundle } from '../../systems/macos/bundle.ts';
import { requirementLines, signatureFacts, signatureLines } from '../../systems/macos/signature/text.ts';
import type { SignatureReport } from '../../systems/macos/signature/verify.ts';
import type { DescribedList } from '../system.ts';

export function signatureText({ state, authorities, faults }: SignatureReport): string {
  if (state.kind === 'none') return 'none';
  const by = authorities[0] === undefined ? '' : ` by ${authorities[0]}`;
  if (state.kind === 'invalid') return `not valid${by}: ${[state.why, ...faults.slice(1, 4)].join('; ')}`;
  return `valid${by}${state.kind === 'apple' ? '' : ', a Developer ID for kexts'}`;
}

/** Rows about who signed, when, and what must be true of the code. */
export function signatureRows(report: SignatureReport): [string, string][] {
  const [seal] = report.seals;
  if (seal === undefined) return [['signature', signatureText(report)]];
  const when = seal.cms.timestamp ?? seal.cms.signingTime;
  const entitlements = Object.entries(seal.entitlements ?? seal.derEntitlements ?? {});
  const designated = seal.requirements.find(({ kind }) => kind === 'designated')?.text ?? '';
  return [
    ['signature', signatureText(report)],
    ['chain', report.authorities.join(' < ')],
    ['signed', when === undefined ? '' : `${when.toISOString().slice(0, 10)}${teamText(report)}`],
    ['requires', designated],
    ['entitled', entitlements.map(([key, value]) => `${key} = ${plain(value)}`).join(', ')],
  ];
}

const teamText = ({ team }: SignatureReport): string => (team === undefined ? '' : ` by team ${team}`);

const plain = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one));

/** `Key=value` lines of the first architecture; those of the others differ in hashes and sizes, and are in the facts. */
export function signatureLists(bundle: KextBundle, report: SignatureReport): DescribedList[] {
  const [seal, ...others] = report.seals;
  if (seal === undefined) return [];
  const names = others.map(({ architecture }) => architecture).join(', ');
  const of = seal.architecture === 'all' ? '' : `, ${seal.architecture}`;
  const entries = Object.keys(bundle.properties).length;
  const title = `code signature${of}${names === '' ? '' : ` (${names} likewise)`}`;
  return [
    {
      name: 'signatures',
      title,
      rows: [...signatureLines(seal, report, entries), ...requirementLines(seal)],
    },
  ];
}

export function signatureFactsOf(report: SignatureReport): Record<string, unknown> {
  const { seals, ...rest } = report;
  return { ...rest, seals: seals.map(signatureFacts) };
}
