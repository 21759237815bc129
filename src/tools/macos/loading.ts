/**
 * The way of a kext from a tool to the kernel: found, validated, authenticated, judged by the system's policy, its
 * dependencies resolved, loaded. Every tool that loads goes this way.
 */
import { FormatError } from '../../bytes/errors.ts';
import { readMachO } from '../../formats/macho/read.ts';
import { type Kext, KextLibrary } from '../../systems/macos/library.ts';
import { type FindKext, type KextRequest, loadKext, unloadKext } from '../../systems/macos/load.ts';
import { KextError, type OsReturnName, osReturnText } from '../../systems/macos/os-return.ts';
import { resolveDependencies } from '../../systems/macos/rules/dependencies.ts';
import { Diagnostics, findingText } from '../../systems/macos/rules/diagnostics.ts';
import { judge, type PolicyView } from '../../systems/macos/rules/policy.ts';
import { services } from '../../systems/macos/runtime/services.ts';
import {
  refusedItself,
  stuckDrivers,
  waitingPersonalities,
  wantedBy,
} from '../../systems/macos/runtime/waiting.ts';
import { isCompatible } from '../../systems/macos/version.ts';
import { KernelWords, LOUDNESS, passes } from '../../systems/macos/words.ts';
import type { Ending, LoadOutcome } from '../system.ts';
import { Answer } from './answer.ts';
import { DEFAULT_FILTER } from './options.ts';
import type { MacosSession } from './session.ts';
import { signatureOf } from './signatures.ts';

/** How a load ended. */
export interface Loading {
  readonly code: OsReturnName;
  readonly rule: string | undefined;
  readonly note: string | undefined;
  /** Findings that stood in the way. */
  readonly diagnostics: Diagnostics;
  /** What the kernel said, as far as the answer's filter lets it through. */
  readonly kernel: readonly string[];
  /** It came as far as the kernel: what user space looks at was well. */
  readonly inKernel: boolean;
  /** False when the run broke off for a reason of ours (a missing function, a panic). */
  readonly complete: boolean;
}

export interface LoadChoices {
  /** Further folders and kexts to look for dependencies in. */
  readonly repositories?: readonly string[];
  /** Look at everything, load nothing. */
  readonly dryRun?: boolean;
  /** kextutil -e: nothing of /System/Library/Extensions is used. */
  readonly withoutSystem?: boolean;
  /** kextutil -Z: libraries are not looked for. */
  readonly unresolved?: boolean;
  /** Personalities that are sent with the kext; all when nothing is said. */
  readonly personalities?: readonly string[];
  /** kextutil -z: owners and modes are not looked at. */
  readonly withoutAuthentication?: boolean;
  /** What authentication says; kextd's words go to the log of the machine. */
  readonly hear?: (line: string) => void;
}

export function policyView(session: MacosSession): PolicyView {
  const { records, choices, uid } = session;
  const key = (kext: Kext): string => kext.identifier;
  return {
    release: choices.release,
    uid,
    csr: session.csr,
    bootArgs: session.bootArgs,
    signature: (kext) => signatureOf(session, kext),
    // A stapled ticket is what shows notarisation without asking Apple; what it says is not read.
    notarised: (kext) => session.tree.get(`${kext.bundle.contents}/CodeResources`) !== undefined,
    approved: (kext) => {
      const state = signatureOf(session, kext);
      return (
        records.approved.has(key(kext)) || (state.kind === 'developer' && records.approved.has(state.team))
      );
    },
    // With kext signing switched off for development the collection is made anew for each kext.
    inCollection: (kext) => records.collection.has(key(kext)) || (session.csr & 1) !== 0,
    excluded: (kext) => session.excluded(kext),
  };
}

/** Loads a kext after everything that user space looks at first. */
export function loadFromDisk(
  session: MacosSession,
  kext: Kext,
  answer: Answer,
  choices: LoadChoices = {},
): Loading {
  const diagnostics = new Diagnostics();
  const done = (code: OsReturnName, more: Partial<Loading> = {}): Loading => ({
    code,
    rule: more.rule,
    note: more.note,
    diagnostics,
    kernel: more.kernel ?? [],
    inKernel: more.inKernel ?? false,
    complete: more.complete ?? true,
  });
  diagnostics.merge(kext.validation);
  if (kext.validation.has('validation')) {
    const [first] = kext.validation.of('validation');
    return done('Validation', { rule: first.rule, note: findingText(first) });
  }
  const [architecture] = kext.validation.of('warnings').filter(({ rule }) => rule === 'macos.architecture');
  if (architecture !== undefined)
    return done('ArchNotFound', { rule: architecture.rule, note: findingText(architecture) });
  const others = session
    .kexts(choices.repositories)
    .filter(({ inSystem }) => choices.withoutSystem !== true || !inSystem);
  if (choices.unresolved === true && choices.dryRun === true) return done('Success');
  standInsFor(session, [kext, ...others], kext, answer);
  const { found, order } = resolveDependencies(kext, {
    kexts: [...others, kext],
    loaded: session.kernel.kexts.all,
    darwin: session.choices.release.darwin,
    is64Bit: session.choices.architecture !== 'i386',
  });
  diagnostics.merge(found);
  if (found.has('dependencies')) {
    const [first] = found.of('dependencies');
    return done('Dependencies', { rule: first.rule, note: findingText(first) });
  }
  const view = policyView(session);
  for (const one of [...order, kext]) {
    if (choices.withoutAuthentication !== true) diagnostics.merge(one.authentication);
    if (session.loaded(one.identifier) !== undefined) continue;
    for (const verdict of judge(one, view)) {
      if (verdict.rule === 'macos.owner' && choices.withoutAuthentication === true) continue;
      const hear = choices.hear ?? ((line) => session.kernel.print(`${line}\n`));
      if (verdict.text !== '') for (const line of verdict.text.split('\n')) hear(line);
      if (verdict.result === 'refuse') return done(verdict.code, { rule: verdict.rule, note: verdict.note });
    }
  }
  if (choices.dryRun === true) return done('Success');
  return inKernel(session, kext, order, answer, done, choices.personalities);
}

/** Everything that user space finds to say of a kext that nobody is loading. */
export function diagnosticsOf(session: MacosSession, kext: Kext, withDependencies: boolean): Diagnostics {
  const all = new Diagnostics();
  all.merge(kext.validation);
  all.merge(kext.authentication);
  if (!withDependencies) return all;
  const { found } = resolveDependencies(kext, {
    kexts: [...session.kexts(), kext],
    loaded: session.kernel.kexts.all,
    darwin: session.choices.release.darwin,
    is64Bit: session.choices.architecture !== 'i386',
  });
  all.merge(found);
  return all;
}

/** Apple's own libraries, which nobody but Apple may pass on. */
const APPLE_LIBRARY = /^com\.apple\.(iokit|driver|kec|filesystems|vecLib)\./;

/** Every library of Apple's that the kext needs, directly or not, and that is nowhere, gets a stand-in. */
function standInsFor(
  session: MacosSession,
  kexts: readonly Kext[],
  kext: Kext,
  answer: Answer,
  seen = new Set<Kext>(),
): void {
  if (!session.choices.standIns || seen.has(kext)) return;
  seen.add(kext);
  for (const [identifier, version] of kext.info.libraries) {
    if (session.loaded(identifier) !== undefined) continue;
    const known = kexts.find((one) => one.identifier === identifier);
    if (known !== undefined) standInsFor(session, kexts, known, answer, seen);
    else if (APPLE_LIBRARY.test(identifier)) {
      session.kernel.kexts.addStandIn(identifier, version);
      answer.explain(
        `${identifier} is not installed: a stand-in takes its place, and what is called of it is missing`,
      );
    }
  }
}

function inKernel(
  session: MacosSession,
  kext: Kext,
  order: readonly Kext[],
  answer: Answer,
  done: (code: OsReturnName, more?: Partial<Loading>) => Loading,
  personalities: readonly string[] | undefined,
): Loading {
  const request = { ...kext.request, personalities };
  const words = new KernelWords(session.kernel);
  const find: FindKext = (identifier, version): KextRequest | undefined =>
    order.find(
      (one) =>
        one.identifier === identifier &&
        isCompatible({ version: one.info.version, compatible: one.info.compatibleVersion }, version),
    )?.request;
  try {
    const missing = refusedForMissing(session, kext);
    if (missing !== undefined)
      return done('LinkError', { rule: 'lkm.missing', note: missing, inKernel: true });
    const loaded = session.perform('kextload', loadKext(session.kernel, request, find, words), answer);
    if (loaded === undefined)
      return done('Internal', { kernel: words.heard(answer.filter), complete: false, inKernel: true });
    absentDevices(session, loaded.identifier, answer);
    return done('Success', { kernel: words.heard(answer.filter), inKernel: true });
  } catch (error) {
    if (!(error instanceof KextError)) throw error;
    const kernel = words.heard(answer.filter);
    const note =
      error.code === 'LinkError'
        ? (whoHas(session, kext, words.heard(LOUDNESS.error)) ?? error.note)
        : error.note;
    return done(error.code, { rule: error.rule, note, kernel, inKernel: true });
  }
}

/** Devices that are named before the rest is only counted. */
const MOST_ABSENT = 4;

/** A driver that has found nothing to drive: which of its personalities wait, and for what. */
function absentDevices({ kernel }: MacosSession, identifier: string, answer: Answer): void {
  for (const name of stuckDrivers(kernel, identifier))
    answer.explain(
      `device absent: ${name} waits in its start for ${kernel.state(services).absent ?? 'what does not come'}`,
    );
  const waiting = waitingPersonalities(kernel, identifier);
  const [asked, absent] = [true, false].map((one) =>
    waiting.filter(({ properties }) => refusedItself(kernel, properties) === one),
  );
  for (const { name } of asked)
    answer.explain(
      `the driver of personality ${name} was asked and did not start: it found nothing to drive`,
    );
  for (const { name, properties } of absent.slice(0, MOST_ABSENT))
    answer.explain(`device absent: personality ${name} waits for ${wantedBy(properties)}`);
  if (absent.length > MOST_ABSENT)
    answer.explain(`${absent.length - MOST_ABSENT} further personalities wait for devices that are absent`);
}

/** `--missing refuse`: functions that nobody wrote, by name. */
function refusedForMissing({ kernel }: MacosSession, kext: Kext): string | undefined {
  const bytes = kext.executable;
  if (kernel.missingPolicy !== 'refuse' || bytes === undefined) return undefined;
  const names = (readMachO(bytes).symbols()?.undefined ?? []).map(({ name }) => name);
  const missing = names.filter((name) => kernel.kpi.owner(name) !== undefined && !kernel.implements(name));
  return missing.length === 0
    ? undefined
    : `the base kernel does not have ${missing.map((name) => name.slice(1)).join(', ')}`;
}

/** For each unresolved symbol, the library to add to OSBundleLibraries. */
function whoHas(session: MacosSession, kext: Kext, lines: readonly string[]): string | undefined {
  const symbols = lines.flatMap((line) => /: \t(\S+)$/.exec(line)?.[1] ?? []);
  if (symbols.length === 0) return undefined;
  return symbols
    .slice(0, 8)
    .map((symbol) => {
      const owner = session.kernel.kpi.owner(symbol)?.owner ?? libraryWith(session, kext, symbol);
      return owner === undefined
        ? `${symbol}: no library of this release has it`
        : `${symbol}: add ${owner} to OSBundleLibraries`;
    })
    .join('\n  ');
}

function libraryWith(session: MacosSession, kext: Kext, symbol: string): string | undefined {
  const loaded = session.kernel.kexts.all.find((one) => one.exports?.has(symbol) === true);
  if (loaded !== undefined) return loaded.identifier;
  return session.kexts().find((one) => one.identifier !== kext.identifier && exports(one, symbol))
    ?.identifier;
}

function exports(kext: Kext, symbol: string): boolean {
  try {
    const bytes = kext.info.isLibrary ? kext.executable : undefined;
    return (
      bytes !== undefined &&
      (readMachO(bytes)
        .symbols()
        ?.exports.some(({ name }) => name === symbol) ??
        false)
    );
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** The kext that a word of a command line means: a path, or the identifier of one that is installed. */
export function kextAt(session: MacosSession, word: string): Kext | FormatError | undefined {
  const path = session.locate(word);
  if (path === undefined) return undefined;
  try {
    return session.library.open(path);
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}

export const kextNamed = (
  session: MacosSession,
  identifier: string,
  repositories: readonly string[] = [],
): Kext | undefined => KextLibrary.find(session.kexts(repositories), identifier);

/** kextload's last word about one kext. */
export const failedText = (name: string, code: OsReturnName): string =>
  `${name} failed to load - ${osReturnText(code)}; check the system/kernel logs for errors or try kextutil(8).`;

/** `lkm run`: what kextload does, with the session's own kexts as a repository. */
export async function loadByTool(
  session: MacosSession,
  path: string,
  args: readonly string[],
): Promise<LoadOutcome> {
  if (args.length > 0) {
    return {
      code: 1,
      out: '',
      err: '',
      note: `a kext takes no parameters: ${args.join(' ')}`,
      module: undefined,
    };
  }
  const answer = new Answer();
  const kext = kextAt(session, path);
  if (kext === undefined || kext instanceof FormatError) {
    answer.code = 1;
    answer.complain(failedText(path, kext === undefined ? 'NotFound' : 'NotAKext'));
    answer.explain(kext?.message);
    return { ...answer.result(), module: undefined };
  }
  await session.prepareSignatures([kext, ...session.kexts(besides(session))]);
  const result = loadFromDisk(session, kext, answer, { repositories: besides(session) });
  if (result.code === 'Success') return { ...answer.result(), module: kext.identifier };
  answer.code = 1;
  for (const line of result.kernel) answer.complain(`(kernel) ${line}`);
  if (result.complete) answer.complain(failedText(path, result.code));
  answer.explain(result.note);
  return { ...answer.result(), module: undefined, rule: result.rule, ended: answer.ended };
}

/** Folders beside the kexts that were named before: dependencies lie there. */
const besides = (session: MacosSession): readonly string[] => [session.absolute('.')];

/** Stops and takes away a kext by identifier. */
export async function unloadByTool(session: MacosSession, identifier: string): Promise<Ending> {
  const answer = new Answer();
  unloadInto(session, identifier, answer);
  return { ...answer.result(), ended: answer.ended };
}

/** Says of another filter than the default that it is one (`-v 5`, `-v 6`). */
export function announceFilter(answer: Answer): void {
  for (const space of ['user-space', 'kernel-space'])
    answer.log(
      LOUDNESS.debug,
      `Kext ${space} log filter changed from ${hexed(DEFAULT_FILTER)} to ${hexed(answer.filter)}.`,
    );
}

const hexed = (filter: number): string => `0x${filter.toString(16)}`;

/** What a request to the kernel begins and ends with, where everything is wanted (-v 6). */
function requested(answer: Answer, what: string): void {
  answer.log(LOUDNESS.debug, `(kernel) User-space log flags changed from 0x0 to ${hexed(answer.filter)}.`);
  answer.log(LOUDNESS.debug, `(kernel) Received '${what}' request from user space.`);
}

/** Unloads by identifier (OSKextUnloadKextWithIdentifier of IOKitUser's OSKext.c). */
export function unloadInto(session: MacosSession, identifier: string, answer: Answer): OsReturnName {
  // The word was misspelt before 10.13 or a later one.
  const termination =
    Number(session.choices.release.darwin.split('.')[0]) < 17 ? 'termnation' : 'termination';
  answer.log(LOUDNESS.progress, `Requesting unload of ${identifier} (with ${termination} of IOServices).`);
  requested(answer, 'Unload');
  const kext = session.loaded(identifier);
  const words = new KernelWords(session.kernel);
  const failed = (code: OsReturnName): OsReturnName => {
    answer.code = 1;
    for (const line of words.heard(answer.filter)) answer.complain(`(kernel) ${line}`);
    const text = osReturnText(code);
    if (passes(answer.filter, LOUDNESS.debug))
      answer.complain(`Kernel error handling kext request - ${text}.`);
    answer.log(LOUDNESS.error, `Failed to unload ${identifier} - ${text}.`);
    return code;
  };
  if (kext === undefined) {
    words.say(`Kext ${identifier} not found for unload request.`);
    return failed('NotFound');
  }
  try {
    const before = answer.code;
    session.perform('kextunload', unloadKext(session.kernel, kext, words), answer);
    if (answer.code !== before) return 'Internal';
    for (const line of words.heard(answer.filter)) answer.complain(`(kernel) ${line}`);
    answer.log(LOUDNESS.progress, `Successfully unloaded ${identifier}.`);
    return 'Success';
  } catch (error) {
    if (!(error instanceof KextError)) throw error;
    answer.explain(error.note);
    return failed(error.code);
  }
}
