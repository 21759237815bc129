/** macOS's side of `lkm check`: kexts against a release, a kernel's file, or the root folder of a machine. */
import { FormatError } from '../../../bytes/errors.ts';
import { checkKext, type KextCheck, type StartSecurity } from '../../../systems/macos/check/check.ts';
import { RULE_IDS, RULES, type RuleFinding } from '../../../systems/macos/check/rules.ts';
import { type Kext, KextLibrary, REPOSITORIES } from '../../../systems/macos/library.ts';
import { OS_RETURN, osReturnText } from '../../../systems/macos/os-return.ts';
import {
  CSR_ALLOW_UNTRUSTED_KEXTS,
  type PolicyView,
  type SignatureState,
} from '../../../systems/macos/rules/policy.ts';
import { verifySignature } from '../../../systems/macos/signature/verify.ts';
import { baseName, FileTree, joinPath } from '../../../systems/macos/tree.ts';
import {
  answerOf,
  type CheckRequest,
  type MissingInput,
  type RuleResult,
  type SymbolProblem,
  type SystemChecker,
  type Verdict,
} from '../../check.ts';
import { SettingError } from '../../system.ts';
import { installTree, unpackBundles } from '../archive.ts';
import { isExcludedBy } from '../exclusion.ts';
import { bundleAround, hostBundle, isBundle } from '../host-bundle.ts';
import { type OwnerChoice, SIP } from '../settings.ts';
import { type MacosCheckKernel, openKernel, recogniseKernel } from './kernels.ts';

const SETTINGS = [
  { name: 'sip', summary: 'System Integrity Protection: on (the default), no-kext or off' },
  {
    name: 'owner',
    summary: 'who owns the bundle where it is installed: root (the default), developer or host',
  },
  { name: 'user', summary: 'who loads it: root (the default) or user' },
  { name: 'folder', summary: 'where it is installed: /Library/Extensions (the default) or another folder' },
  {
    name: 'approved',
    summary: 'team and bundle identifiers that a person has approved, separated by commas; or all',
  },
  { name: 'notarised', summary: 'has Apple notarised it: as the bundle tells (the default), yes or no' },
  { name: 'boot-args', summary: 'boot arguments, such as kext-dev-mode=1 or -x (safe boot)' },
  { name: 'security', summary: 'Apple silicon: full (the default), reduced or permissive' },
  {
    name: 'families',
    summary:
      "Apple's libraries that nobody has seen: unknown (the default: no verdict without them) or assume",
  },
] as const;
type Name = (typeof SETTINGS)[number]['name'];

const CHOICES: Partial<Record<Name, readonly string[]>> = {
  sip: Object.keys(SIP),
  owner: ['root', 'developer', 'host'],
  user: ['root', 'user'],
  notarised: ['', 'yes', 'no'],
  security: ['full', 'reduced', 'permissive'],
  families: ['unknown', 'assume'],
};
const DEFAULTS: Readonly<Record<Name, string>> = {
  sip: 'on',
  owner: 'root',
  user: 'root',
  folder: '/Library/Extensions',
  approved: '',
  notarised: '',
  'boot-args': '',
  security: 'full',
  families: 'unknown',
};

type Settings = (name: Name) => string;

function settingsOf(given: ReadonlyMap<string, string>): Settings {
  for (const [name, value] of given) {
    // What the command line has an option for on every system.
    const known = name === 'cmdline' ? 'boot-args' : SETTINGS.find((one) => one.name === name)?.name;
    if (known === undefined)
      throw new SettingError(
        `macOS has no setting '${name}'`,
        `settings: ${Object.keys(DEFAULTS).join(', ')}`,
      );
    const choices = CHOICES[known];
    if (choices !== undefined && !choices.includes(value))
      throw new SettingError(`${name}=${value} is unknown`, choices.join(', '));
  }
  return (name) =>
    given.get(name) ?? (name === 'boot-args' ? given.get('cmdline') : undefined) ?? DEFAULTS[name];
}

/** The tree of a machine with the kext, and others, where they would be installed. */
class Machine {
  readonly tree = new FileTree();
  readonly library: KextLibrary;
  private readonly settings: Settings;

  constructor({ kernel, root }: MacosCheckKernel, settings: Settings) {
    this.settings = settings;
    this.library = new KextLibrary(this.tree, kernel.architecture);
    for (const folder of REPOSITORIES) {
      this.tree.makeFolder(folder);
      if (root !== undefined) this.install(`${root}${folder}`, folder, 'host');
    }
  }

  /** Copies a bundle or a folder of the user's machine. */
  install(from: string, to: string, owner = this.settings('owner')): void {
    const { tree, at } = this.read(from);
    installTree(tree, at, this.tree, to, owner as OwnerChoice);
  }

  /** The bundles of an archive; gives where the first is installed. */
  unpack(path: string, bytes: Uint8Array): string | undefined {
    const owner = this.settings('owner') as OwnerChoice;
    try {
      return unpackBundles(path, bytes, this.tree, this.settings('folder'), owner);
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }

  private read(path: string): { tree: FileTree; at: string } {
    try {
      return hostBundle(path);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
        return { tree: new FileTree(), at: '/x' };
      throw error;
    }
  }

  /** Every kext that is installed, but the one at a path. */
  others(but: string): Kext[] {
    return this.library.scan([...REPOSITORIES, this.settings('folder')]).filter(({ path }) => path !== but);
  }
}

class MacosChecker implements SystemChecker {
  readonly system = 'macos';
  readonly settings = SETTINGS;
  readonly kernels =
    'builtin:macos-10.15 (10.5 to 15, with -i386 or -arm64 behind it), a kernel file or collection, the root folder of a machine';
  readonly recogniseKernel = recogniseKernel;
  readonly open = openKernel;

  async check(request: CheckRequest): Promise<Verdict> {
    const on = request.kernel as MacosCheckKernel;
    const settings = settingsOf(request.settings);
    const path = request.module.path.replace(/\/+$/, '');
    const { bytes } = request.module;
    const head = { kernel: { name: on.name, release: on.release }, system: 'macos' as const };
    const machine = new Machine(on, settings);
    const packed = bytes === undefined ? undefined : machine.unpack(path, bytes);
    const bundle = bytes === undefined ? path : bundleAround(path);
    if (packed === undefined && (bundle === undefined || !isBundle(bundle)))
      return { ...head, ...noBundle(path, bytes !== undefined) };
    for (const companion of request.companions ?? [])
      if (companion !== path && isBundle(companion))
        machine.install(companion, joinPath(settings('folder'), baseName(companion)));
    const at = packed ?? joinPath(settings('folder'), baseName(bundle ?? path));
    if (packed === undefined) machine.install(bundle ?? path, at);
    let kext: Kext;
    try {
      kext = machine.library.open(at);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return { ...head, ...unreadable(path, error) };
    }
    const others = machine.others(at);
    const notarised = hasTicket(kext) || said(settings('notarised'));
    const policy = await policyOf(kext, others, on, settings);
    const result = checkKext({
      kext,
      kernel: on.kernel,
      others,
      foldersKnown: on.root !== undefined,
      assumeFamilies: settings('families') === 'assume',
      policy,
      security: settings('security') as StartSecurity,
      notarised,
      safeBoot: /(^|\s)-x(\s|$)/.test(settings('boot-args')),
    });
    return { ...head, ...verdict(path, kext, result, policy) };
  }
}

/** A ticket that was stapled to the bundle. */
const hasTicket = ({ bundle }: Kext): boolean =>
  bundle.tree.get(`${bundle.contents}/CodeResources`) !== undefined;

const said = (word: string): boolean | undefined => (word === '' ? undefined : word === 'yes');

async function policyOf(
  kext: Kext,
  others: readonly Kext[],
  { kernel }: MacosCheckKernel,
  settings: Settings,
): Promise<PolicyView> {
  const state: SignatureState =
    kernel.release.signature === 'none' ? { kind: 'none' } : (await verifySignature(kext.bundle)).state;
  const approved = settings('approved')
    .split(',')
    .filter((one) => one !== '');
  const team = state.kind === 'developer' ? state.team : '';
  const isApproved = ({ identifier }: Kext): boolean =>
    ['all', team, identifier].some((one) => approved.includes(one));
  return {
    release: kernel.release,
    uid: settings('user') === 'root' ? 0 : 501,
    csr: SIP[settings('sip')],
    bootArgs: settings('boot-args'),
    signature: () => state,
    notarised: (one) => hasTicket(one) || settings('notarised') !== 'no',
    approved: (one) =>
      approved.includes('all') || approved.includes(team) || approved.includes(one.identifier),
    // With its approval it becomes part of the collection at the next start; the check says so.
    inCollection: (one) => isApproved(one) || (SIP[settings('sip')] & CSR_ALLOW_UNTRUSTED_KEXTS) !== 0,
    // Which devices the machine has nobody says: entries for some of them are left out.
    excluded: (one) => isExcludedBy(others, one, () => false),
  };
}

type Body = Omit<Verdict, 'kernel' | 'system'>;

const NOTHING = { missing: [], taints: [], first: [], symbols: [], causes: [], remarks: [] } as const;

const unreached = (rule: RuleFinding['rule']): RuleResult => ({
  rule,
  title: RULES[rule],
  outcome: 'not-reached',
  said: [],
  why: '',
  hint: '',
});

/** Without its bundle a program has no identifier, no version and no libraries. */
function noBundle(path: string, isFile: boolean): Body {
  const missing: MissingInput[] = [
    { what: 'the bundle around it', how: 'give the folder NAME.kext, with Contents/Info.plist in it' },
  ];
  const why = isFile ? 'this is an executable alone' : 'there is no Info.plist in this folder';
  const [first, ...rest] = RULE_IDS;
  const rules: RuleResult[] = [
    {
      ...unreached(first),
      outcome: isFile ? 'unknown' : 'refuse',
      why,
      ...(isFile ? {} : failure('NotAKext')),
    },
    ...rest.map(unreached),
  ];
  return {
    ...NOTHING,
    module: { path, name: baseName(path) },
    answer: answerOf(rules),
    rules,
    missing: isFile ? missing : [],
  };
}

function unreadable(path: string, error: FormatError): Body {
  const [first, ...rest] = RULE_IDS;
  const rules: RuleResult[] = [
    { ...unreached(first), outcome: 'refuse', why: error.message, ...failure('NotAKext') },
    ...rest.map(unreached),
  ];
  return { ...NOTHING, module: { path, name: baseName(path) }, answer: 'refused', rules };
}

const failure = (name: keyof typeof OS_RETURN): Pick<RuleResult, 'error' | 'said'> => ({
  error: { name: `kOSKextReturn${name}`, number: OS_RETURN[name] },
  said: [{ level: undefined, text: osReturnText(name) }],
});

function verdict(path: string, kext: Kext, result: KextCheck, policy: PolicyView): Body {
  const rules = result.rules.map(ruleResult);
  return {
    ...NOTHING,
    module: { path, name: kext.identifier },
    answer: answerOf(rules),
    rules,
    missing: missingInputs(result),
    first: result.first.map((one) => ({ name: one.identifier, from: one.path })),
    symbols: result.symbols.map(symbolProblem),
    remarks: remarksOf(kext, policy),
  };
}

function ruleResult({ rule, outcome, said, error, why, hint }: RuleFinding): RuleResult {
  const lines = said.map((text) => ({ level: undefined, text }));
  return {
    rule,
    title: RULES[rule],
    outcome,
    said: error === undefined ? lines : [...lines, ...failure(error).said],
    ...(error === undefined ? {} : { error: failure(error).error }),
    why,
    hint,
  };
}

function symbolProblem({ name, owner }: { name: string; owner: string | undefined }): SymbolProblem {
  if (owner === undefined) return { name, kind: 'missing', why: 'no library of this release has it' };
  return { name, kind: 'other', owner, why: `${owner} has it, and OSBundleLibraries does not name that one` };
}

function missingInputs({ unseen, rules }: KextCheck): MissingInput[] {
  const libraries = unseen.map((name) => ({
    what: name,
    how: 'give the root folder of a machine as --kernel, or --set families=assume',
  }));
  const others = rules
    .filter(
      ({ outcome, rule }) => outcome === 'unknown' && !['dependencies', 'symbols', 'vtables'].includes(rule),
    )
    .map(({ rule, why }) => ({
      what: why,
      how: rule === 'notarisation' ? 'staple its ticket, or --set notarised=yes' : 'ask the machine itself',
    }));
  return [...libraries, ...others];
}

/** What is coming, from the releases that said so. */
function remarksOf(kext: Kext, { release }: PolicyView): string[] {
  if (kext.isApple || (release.name.startsWith('10.') === true && release.name !== '10.15')) return [];
  return [
    release.name === '10.15'
      ? 'macOS 10.15 tells its user that kexts of others are legacy system extensions.'
      : 'Kexts of others are deprecated; system extensions take the place of most kinds.',
  ];
}

export const macosChecker: SystemChecker = new MacosChecker();
