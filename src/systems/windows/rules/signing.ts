/**
 * Who must have signed a driver: kernel-mode code signing by release ("Driver signing policy", Microsoft's published
 * description), test signing, the block list, and memory integrity's demands on the image.
 */
import { SECTION } from '../../../formats/pe/layout.ts';
import { PAGE_SIZE } from '../../../memory/address.ts';
import { atLeast, BUILD_1607 } from '../release.ts';
import { Status } from '../status.ts';
import { type ImageFacts, type ImagePolicy, note, pass, refuse, type Verdict } from './verdict.ts';

export function signingRules(policy: ImagePolicy, facts: ImageFacts): Verdict[] {
  return [blockList(policy, facts), signature(policy, facts), memoryIntegrity(policy, facts)];
}

function blockList({ blocked }: ImagePolicy, { signature }: ImageFacts): Verdict {
  const hit = signature.hashes.find((hash) => blocked.has(hash));
  if (hit === undefined) return pass('block-list', 'not on the block list');
  return refuse(
    'block-list',
    Status.DRIVER_BLOCKED,
    `The Authenticode hash ${hit} is on the block list.`,
    'The list that was given with --set blocklist names this file; nothing is wrong with its signature.',
  );
}

/** Is code signing enforced at all? x64 since Vista. */
const enforced = ({ release, machine, noIntegrityChecks }: ImagePolicy): boolean =>
  machine !== 'x86' && atLeast(release, 6, 0) && !noIntegrityChecks;

function signature(policy: ImagePolicy, { signature: facts }: ImageFacts): Verdict {
  const rule = 'code-signing';
  if (!enforced(policy)) {
    const why = policy.noIntegrityChecks
      ? 'enforcement is off for this boot'
      : `${policy.release.title} ${policy.machine} does not ask for signatures`;
    return note(rule, `${why}; the file's own: ${facts.detail}`);
  }
  const bad = (why: string, hint: string) => refuse(rule, Status.INVALID_IMAGE_HASH, why, hint);
  if (facts.state === 'none')
    return bad(
      'The file has no signature.',
      'Sign it, even with a certificate of your own, and set testsigning=on; or set integrity=off for one boot.',
    );
  if (facts.state === 'bad hash' || facts.state === 'malformed')
    return bad(
      `The signature does not fit the file: ${facts.detail}.`,
      'The file was changed after it was signed.',
    );
  if (facts.state === 'cannot tell') return { rule, verdict: 'cannot tell', status: 0, why: facts.detail };
  if (facts.trusted) return pass(rule, `signed by ${facts.signer ?? 'someone'}, down to a trusted root`);
  if (policy.testSigning && !policy.secureBoot)
    return note(rule, `signed by ${facts.signer ?? 'someone'}; test mode takes any signature`);
  const who =
    policy.release.build >= BUILD_1607 && policy.secureBoot
      ? "Since Windows 10 1607 new drivers need Microsoft's own signature where Secure Boot is on."
      : 'Its chain must end at a root that the kernel trusts.';
  return bad(
    `The signer (${facts.signer ?? 'unknown'}) is not one that this kernel trusts. ${who}`,
    'For a test: testsigning=on (Secure Boot off); or give the root with --set roots=FILE.',
  );
}

/** Hypervisor-protected code integrity: no page both writable and executable, sections on pages of their own. */
function memoryIntegrity({ hvci }: ImagePolicy, { pe }: ImageFacts): Verdict {
  const rule = 'memory-integrity';
  if (!hvci) return pass(rule, 'memory integrity is off');
  const both = SECTION.WRITE | SECTION.EXECUTE;
  const mixed = pe.sections.find(({ flags }) => (flags & both) >>> 0 === both >>> 0);
  if (mixed !== undefined)
    return refuse(rule, Status.DRIVER_BLOCKED, `Section ${mixed.name} is writable and executable.`);
  if (pe.header.sectionAlignment % PAGE_SIZE !== 0)
    return refuse(
      rule,
      Status.DRIVER_BLOCKED,
      `Sections are aligned to 0x${pe.header.sectionAlignment.toString(16)}, not to pages.`,
    );
  return pass(rule, 'no section is writable and executable, and all are aligned to pages');
}
