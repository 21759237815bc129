/** Errors of kmutil(8) as transcripts of macOS 11 to 15 show them: those of KMErrorDomain, printed by Foundation. */
import type { FormatError } from '../../bytes/errors.ts';
import { readMachO } from '../../formats/macho/read.ts';
import { linkedRelocations } from '../../formats/macho/relocations.ts';
import type { Kext } from '../../systems/macos/library.ts';
import { type OsReturnName, osReturnNumber, osReturnText } from '../../systems/macos/os-return.ts';
import type { Answer } from './answer.ts';
import { type Loading, policyView } from './loading.ts';
import type { MacosSession } from './session.ts';

/** Codes of KMErrorDomain, which are the tool's exit codes, too. */
export const CODE = {
  approval: 27,
  reboot: 28,
  authentication: 29,
  validation: 30,
  collection: 31,
  other: 71,
} as const;

/** As Foundation prints an error. */
function fail(answer: Answer, code: keyof typeof CODE, text: string): void {
  answer.complain(
    `Error Domain=KMErrorDomain Code=${CODE[code]} "${text}" UserInfo={NSLocalizedDescription=${text}}`,
  );
  answer.code = CODE[code];
}

export const requestFailed = (answer: Answer, code: OsReturnName): void =>
  fail(answer, 'other', `Kernel request failed: ${osReturnText(code)} (${osReturnNumber(code)})`);

/** A word of the command line that is no kext. */
export function notFound(
  session: MacosSession,
  answer: Answer,
  word: string,
  kext: FormatError | undefined,
): void {
  const path = word.includes('/') || word.endsWith('.kext') ? session.absolute(word) : undefined;
  const what =
    path === undefined ? `Extension with identifier '${word}' not found` : `No bundle was found at ${path}.`;
  fail(answer, 'other', `Could not find: ${what}`);
  answer.explain(kext?.message);
}

/** Why a kext was not loaded: by the rule that refused, or by the kernel's answer. */
export function refused(session: MacosSession, kext: Kext, result: Loading, answer: Answer): void {
  const { identifier, info } = kext;
  const kind = kext.executable === undefined ? 'codeless' : 'executable';
  const about = `Kext ${identifier} v${info.versionText ?? ''} in ${kind} kext bundle ${identifier} at ${kext.path}:\n\n`;
  const [missing] = result.diagnostics.of('dependencies').flatMap(({ values }) => values);
  if (result.rule === 'macos.owner')
    fail(answer, 'validation', `Validating extension failed: ${about}${ownership(session, kext)}`);
  else if (result.rule === 'macos.signature')
    fail(
      answer,
      'authentication',
      `Authenticating extension failed: ${about}Authenticating extension failed: Bad code signature`,
    );
  else if (/\.(approval|collection)$/.test(result.rule ?? '')) approval(session, kext, answer);
  else if (result.code === 'Dependencies' && missing !== undefined)
    fail(
      answer,
      'other',
      `Unable to resolve dependencies: '${identifier}' names a dependency on '${missing}', which was not found.`,
    );
  else if (result.code === 'LinkError') fail(answer, 'collection', linkText(kext, result));
  else requestFailed(answer, result.code);
}

/** Approved, but not part of this start's collection; or not approved. */
function approval(session: MacosSession, kext: Kext, answer: Answer): void {
  const { records, choices } = session;
  if (policyView(session).approved(kext) && !records.collection.has(kext.identifier)) {
    fail(answer, 'reboot', `Loading extension(s): ${kext.identifier} requires a reboot`);
    return;
  }
  const where = Number(choices.release.name) >= 13 ? 'Settings' : 'Preferences';
  fail(
    answer,
    'approval',
    `Extension with identifiers ${kext.identifier} not approved to load. Please approve using System ${where}.`,
  );
}

/** The collection with this kext cannot be built: each symbol that nobody has, where it is first used. */
function linkText(kext: Kext, { kernel }: Loading): string {
  const symbols = kernel.flatMap((line) => /: \t(\S+)$/.exec(line)?.[1] ?? []);
  const places = firstUses(kext.executable, symbols);
  const failures = symbols.map(
    (symbol) =>
      `Failed to bind '${symbol}' in '${kext.identifier}'${places.get(symbol) ?? ''} as could not find a kext which exports this symbol`,
  );
  const what = failures.length === 0 ? (kernel[0] ?? 'link error') : failures.join('');
  return [
    'Error occurred while building a collection: ',
    '    1: One or more binaries has an error which prevented linking.  See other errors.',
    `    2: Could not use '${kext.identifier}' because: ${what}`,
    `${kext.identifier} specific: `,
    `    1: ${what}`,
    '',
  ].join('\n');
}

/** Where each of these symbols is bound first, in kmutil's words. */
function firstUses(
  executable: Uint8Array | undefined,
  symbols: readonly string[],
): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  if (executable === undefined) return places;
  const file = readMachO(executable);
  const names = file.symbols()?.all ?? [];
  for (const { symbol, address } of linkedRelocations(file).external) {
    const name = names[symbol]?.name;
    if (name === undefined || !symbols.includes(name) || places.has(name)) continue;
    const section = file.sections.find((one) => one.address <= address && address < one.address + one.size);
    if (section === undefined) continue;
    const offset = (address - section.address).toString(16);
    places.set(name, ` (at offset 0x${offset} in ${section.segment}, ${section.name})`);
  }
  return places;
}

/** Each file that does not belong to root and wheel, or that others may write. */
function ownership(session: MacosSession, kext: Kext): string {
  const lines: string[] = [];
  for (const path of session.tree.walk(kext.path)) {
    const node = session.tree.lookUp(path);
    if (node !== undefined && (node.uid !== 0 || node.gid !== 0))
      lines.push(
        `Filesystem error: Invalid ownership (${node.uid}:${node.gid}) should be (0:0) on ${path}\n`,
      );
  }
  return lines.length === 0 ? kext.authentication.body : lines.join('');
}
