/**
 * Who must have signed a driver: kernel-mode code signing by release ("Driver signing policy", Microsoft's published
 * description), test signing, the block list, and memory integrity's demands on the image.
 */
import { FormatError } from '../../../bytes/errors.ts';
import { readImports } from '../../../formats/pe/imports.ts';
import { DIRECTORY, SECTION } from '../../../formats/pe/layout.ts';
import type { PeFile } from '../../../formats/pe/read.ts';
import { PAGE_SIZE } from '../../../memory/address.ts';
import { atLeast, BUILD_1607 } from '../release.ts';
import { dayOf } from '../signature/origin.ts';
import { Status } from '../status.ts';
import { type ImageFacts, type ImagePolicy, note, pass, refuse, type Verdict } from './verdict.ts';

export function signingRules(policy: ImagePolicy, facts: ImageFacts): Verdict[] {
  return [
    blockList(policy, facts),
    signature(policy, facts),
    crossCertificate(policy, facts),
    origin(policy, facts),
    memoryIntegrity(policy, facts),
  ];
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
  const carried = facts.signatures.some(({ place, state }) => place !== 'catalog' && state === 'valid');
  if (policy.bootStart === true && !carried)
    return bad(
      'A driver that starts with the system must carry its signature; only a catalog vouches for this file.',
      'Sign the file itself (signtool sign, and not a catalog of it alone); catalogs do for Start=1 and later.',
    );
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

/**
 * A cross-certificate is good until its day, the last of them ended in 2021: what was stamped before stays good, what was
 * stamped later never was.
 */
function crossCertificate(policy: ImagePolicy, { signature: facts }: ImageFacts): Verdict {
  const rule = 'cross-certificate';
  const { origin: from, timeStamp } = facts;
  if (facts.state !== 'valid' || from?.cross === undefined || from.kind !== 'cross-signed')
    return pass(rule, 'the signature rests on no cross-certificate');
  const { authority, expires } = from.cross;
  const until = dayOf(expires);
  if (timeStamp?.holds !== true || timeStamp.time === undefined)
    return note(
      rule,
      `the cross-certificate of ${authority} ends on ${until}; no time stamp says when it was signed`,
    );
  const stamped = dayOf(timeStamp.time);
  if (expires === undefined || timeStamp.time <= expires)
    return pass(rule, `stamped on ${stamped}, before the cross-certificate of ${authority} ended (${until})`);
  const why = `The file was stamped on ${stamped}; the cross-certificate of ${authority} had ended on ${until}.`;
  const hint = "Since 2021 drivers are signed by Microsoft's hardware portal alone.";
  return enforced(policy) ? refuse(rule, Status.INVALID_IMAGE_HASH, why, hint) : note(rule, why);
}

/** Certificates issued before this day still sign drivers for 1607 and later, Secure Boot or not. */
const LAST_DAY = Date.UTC(2015, 6, 29);

/** Windows 10 1607 and later, installed anew and with Secure Boot on, take new drivers from the hardware portal alone. */
function origin(policy: ImagePolicy, { signature: facts }: ImageFacts): Verdict {
  const rule = 'signing-origin';
  if (!enforced(policy) || policy.release.build < BUILD_1607)
    return pass(rule, `${policy.release.title} does not ask on whose word a driver was signed`);
  const from = facts.origin;
  if (facts.state !== 'valid' || from === undefined) return pass(rule, 'there is no signature to ask about');
  if (from.kind === 'attestation')
    return pass(rule, "signed by the hardware portal on the vendor's word (Windows Server wants tests)");
  if (from.kind === 'hardware tests') return pass(rule, 'signed by the hardware portal after tests (WHQL)');
  if (from.kind === 'system component') return pass(rule, 'signed as a part of Windows');
  if (from.kind === 'other')
    return pass(rule, 'signed under a root of its own; whether that is trusted was asked before');
  const issued = `the signer's certificate was issued on ${dayOf(from.issued)}`;
  if (from.issued !== undefined && from.issued < LAST_DAY)
    return pass(rule, `cross-signed, and ${issued}, before 29 July 2015`);
  if (!policy.secureBoot)
    return note(
      rule,
      `cross-signed, and ${issued}: taken because Secure Boot is off (or the system was upgraded)`,
    );
  return refuse(
    rule,
    Status.INVALID_IMAGE_HASH,
    `The driver is cross-signed, and ${issued}, not before 29 July 2015; since 1607 new drivers come from the hardware portal.`,
    'Systems that were upgraded from an earlier release, or whose Secure Boot is off, take it.',
  );
}

/** Functions that give memory which is executable unless the driver says otherwise. */
const EXECUTABLE_POOL = /^ExAllocatePool(WithTag|WithQuotaTag|WithQuota|WithTagPriority)?$/;

/**
 * Hypervisor-protected code integrity: no section both writable and executable ("Implement memory integrity compatible code";
 * no exception is made there for INIT, which old linkers made so), and sections on pages of their own.
 */
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
  const { address } = pe.directory(DIRECTORY.IAT);
  const table = address === 0 ? undefined : pe.sectionAt(address);
  if (table !== undefined && (table.flags & SECTION.EXECUTE) !== 0)
    return refuse(
      rule,
      Status.DRIVER_BLOCKED,
      `The import address table is in section ${table.name}, which is executable: the loader has to write there.`,
      'Link without /MERGE:.rdata=.text, and without /SECTION options that make data executable.',
    );
  const pools = importedNames(pe).filter((name) => EXECUTABLE_POOL.test(name));
  const good = 'no section is writable and executable, all are aligned to pages, imports are not in code';
  // NonPagedPool means executable memory there, and which kind is asked for only the run shows.
  return pools.length === 0
    ? pass(rule, good)
    : note(rule, `${good}; ${pools[0]} must ask for NonPagedPoolNx`);
}

/** A damaged import directory is another rule's. */
function importedNames(pe: PeFile): string[] {
  try {
    return readImports(pe).flatMap(({ imports }) =>
      imports.flatMap(({ name }) => (name === undefined ? [] : [name])),
    );
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}
