/**
 * Will this kext load on that kernel? The rules of kextload and kernelmanagerd, of the kernel and of kxld, over files alone:
 * nothing is placed anywhere and nothing of the kext runs.
 */
import { FormatError } from '../../../bytes/errors.ts';
import { readChainedFixups } from '../../../formats/macho/fixups.ts';
import { LC, MH } from '../../../formats/macho/layout.ts';
import { type MachoFile, readMachO } from '../../../formats/macho/read.ts';
import { KPI_PREFIX } from '../kpi.ts';
import { checkShape, LinkFailure } from '../kxld/image.ts';
import { hasClasses } from '../kxld/vtables.ts';
import type { Kext } from '../library.ts';
import { resolveDependencies } from '../rules/dependencies.ts';
import { type Finding, findingText } from '../rules/diagnostics.ts';
import { judge, type PolicyView } from '../rules/policy.ts';
import type { CheckedKernel } from './kernel.ts';
import { Findings, type RuleFinding, type RuleId } from './rules.ts';
import {
  exportsOf,
  planLink,
  type SymbolNeeds,
  symbolNeeds,
  type TrialLink,
  TrialLinker,
} from './symbols.ts';

/** How an Apple silicon machine starts (Startup Security Utility). */
export type StartSecurity = 'full' | 'reduced' | 'permissive';

export interface CheckSubject {
  readonly kext: Kext;
  readonly kernel: CheckedKernel;
  /** Other kexts that would be there: companions, plug-ins, those of a root folder. */
  readonly others: readonly Kext[];
  /** Were the kext folders of the machine given? Then a library that is in neither is not there. */
  readonly foldersKnown: boolean;
  /** Take Apple's own libraries to be there when nobody has seen them. */
  readonly assumeFamilies: boolean;
  readonly policy: PolicyView;
  readonly security: StartSecurity;
  readonly safeBoot: boolean;
  /** Whether Apple has notarised it, where nothing in the bundle tells; undefined: nobody knows. */
  readonly notarised: boolean | undefined;
}

export interface MissingSymbol {
  readonly name: string;
  /** Who has it: a KPI, or a kext that was there to be looked at. */
  readonly owner: string | undefined;
}

export interface KextCheck {
  readonly rules: readonly RuleFinding[];
  /** What it needs first, in order; the kernel's own are not among them. */
  readonly first: readonly Kext[];
  readonly symbols: readonly MissingSymbol[];
  /** Libraries that nobody has seen. */
  readonly unseen: readonly string[];
}

const APPLE = /^com\.apple\./;

export function checkKext(subject: CheckSubject): KextCheck {
  return new Check(subject).run();
}

class Check {
  private readonly subject: CheckSubject;
  private readonly found = new Findings();
  private first: readonly Kext[] = [];
  private symbols: MissingSymbol[] = [];
  private readonly unseen = new Set<string>();

  constructor(subject: CheckSubject) {
    this.subject = subject;
  }

  run(): KextCheck {
    const steps = [this.bundle, this.dependencies, this.policy, this.kernelSide, this.link];
    for (const step of steps) {
      step.call(this);
      if (this.found.refused) break;
    }
    return { rules: this.found.all, first: this.first, symbols: this.symbols, unseen: [...this.unseen] };
  }

  private refuse(
    rule: RuleId,
    error: RuleFinding['error'],
    why: string,
    hint = '',
    said: string[] = [],
  ): void {
    this.found.set(rule, 'refuse', { error, why, hint, said });
  }

  // -- what user space looks at ---------------------------------------------------------------------------------------

  private bundle(): void {
    const { kext, kernel } = this.subject;
    this.found.pass('bundle');
    const failures = kext.validation.of('validation');
    const code = failures.filter(({ rule }) => /\.(executable|file)-/.test(rule));
    const plist = failures.filter((one) => !code.includes(one));
    const said = (list: readonly Finding[]): string[] => list.map(findingText);
    if (plist.length > 0) {
      const hint = 'kextutil -n -t prints all of it';
      this.refuse('info-dictionary', 'Validation', findingText(plist[0]), hint, said(plist));
      return;
    }
    const warnings = kext.validation.of('warnings').filter(({ rule }) => rule !== 'macos.architecture');
    if (warnings.length === 0) this.found.pass('info-dictionary');
    else this.found.set('info-dictionary', 'note', { why: findingText(warnings[0]), said: said(warnings) });
    if (code.length > 0) {
      this.refuse('executable', 'Validation', findingText(code[0]), '', said(code));
      return;
    }
    this.found.pass('executable');
    const { executable } = kext.info;
    if (executable !== undefined && !kext.info.isInterface && kext.executable === undefined) {
      const why = `the executable has no code for ${kernel.architecture}`;
      this.refuse('architecture', 'ArchNotFound', why, `build it for ${kernel.architecture} as well`);
    } else this.found.pass('architecture');
  }

  private dependencies(): void {
    const { kext, kernel, others, foldersKnown, assumeFamilies } = this.subject;
    const inKernel = new Set(kernel.kexts);
    const { found, order } = resolveDependencies(kext, {
      kexts: [...others, kext],
      loaded: [],
      darwin: kernel.darwin,
      is64Bit: kernel.architecture !== 'i386',
      assumed: (identifier) => {
        if (inKernel.has(identifier)) return true;
        if (foldersKnown || !APPLE.test(identifier)) return false;
        if (!assumeFamilies) this.unseen.add(identifier);
        return true;
      },
    });
    this.first = order;
    const failures = found.of('dependencies');
    if (failures.length > 0) {
      const said = [...failures.map(findingText), ...missingLibraries(kext, failures)];
      const hint = hintFor(failures[0]);
      this.refuse('dependencies', 'Dependencies', findingText(failures[0]), hint, said);
    } else if (this.unseen.size > 0) {
      const why = `nobody has seen ${[...this.unseen].join(', ')}`;
      this.found.set('dependencies', 'unknown', { why });
    } else {
      const [warning] = found.of('warnings');
      if (warning === undefined) this.found.pass('dependencies');
      else
        this.found.set('dependencies', 'note', { why: findingText(warning), said: [findingText(warning)] });
    }
  }

  /** The verdicts of authenticateKext's rules, and the start policy of Apple silicon between them. */
  private policy(): void {
    const { kext, policy, kernel, security } = this.subject;
    const order: RuleId[] = ['privilege', 'excluded', 'owner', 'signature', 'notarisation', 'security'];
    const verdicts = judge(kext, policy);
    this.notarisation();
    for (const { rule, result, text, code, note } of verdicts) {
      const id = rule.slice('macos.'.length) as RuleId;
      if (id === 'approval' || id === 'collection') this.startPolicy(kext, kernel, security);
      if (this.found.refused) return;
      const said = text === '' ? [] : [text];
      if (result === 'refuse') {
        const [why, ...hints] = note.split('; ');
        for (const before of order.slice(0, order.indexOf(id))) this.found.pass(before);
        this.refuse(id, code === 'Success' ? undefined : code, why, hints.join('; '), said);
        return;
      }
      this.found.set(id, 'note', { why: note, said });
    }
    this.startPolicy(kext, kernel, security);
    if (this.found.refused) return;
    this.found.pass(...order, 'approval');
    if (policy.release.collections && !kext.isApple)
      this.found.set('collection', 'note', { why: 'it takes part from the next start of the machine on' });
    else this.found.pass('collection');
  }

  /** Without a ticket in the bundle a machine asks Apple, and no file can tell what the answer is. */
  private notarisation(): void {
    const { policy, kext, notarised } = this.subject;
    const asked = judge(kext, { ...policy, notarised: () => false }).some(
      ({ rule, result }) => rule === 'macos.notarisation' && result === 'refuse',
    );
    if (!asked || policy.notarised(kext) !== true || notarised !== undefined) return;
    this.found.set('notarisation', 'unknown', {
      why: 'no ticket is stapled to it; the machine would ask Apple',
    });
  }

  private startPolicy(kext: Kext, { architecture }: CheckedKernel, security: StartSecurity): void {
    if (!architecture.startsWith('arm64') || kext.isApple || security !== 'full') return;
    for (const rule of ['privilege', 'excluded', 'owner', 'signature', 'notarisation'] as const)
      this.found.pass(rule);
    const hint =
      'Startup Security Utility in recovery: Reduced Security, allow user management of kernel extensions';
    this.refuse('security', 'SystemPolicy', 'Apple silicon in Full Security loads no kexts of others', hint);
  }

  // -- the kernel ---------------------------------------------------------------------------------------------------

  private kernelSide(): void {
    const { kext, kernel, safeBoot } = this.subject;
    if (kernel.kexts.includes(kext.identifier))
      this.found.set('loaded-copy', 'unknown', {
        why: `the collection has a kext ${kext.identifier} of its own`,
      });
    else this.found.pass('loaded-copy');
    if (safeBoot && kext.info.required === undefined) {
      const text = "Kext isn't loadable during safe boot.";
      this.refuse(
        'boot-level',
        'BootLevel',
        'it has no OSBundleRequired, and the machine is in safe boot',
        '',
        [text],
      );
    } else this.found.pass('boot-level');
  }

  private link(): void {
    const { kext } = this.subject;
    const bytes = kext.executable;
    if (bytes === undefined) {
      this.found.pass('format', 'common-symbols', 'duplicate-symbols', 'weak-references', 'symbols');
      this.found.pass('kmod-info', 'relocations', 'vtables');
      return;
    }
    try {
      this.linkCode(readMachO(bytes));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.refuse('format', 'LinkError', `the executable is damaged: ${error.message}`);
    }
  }

  private linkCode(file: MachoFile): void {
    const needs = symbolNeeds(file);
    if (!this.format(file)) return;
    if (needs === undefined) {
      this.linkRefused('symbols', 'The Mach-O file is malformed: No symbol table found.', '');
      return;
    }
    const linker = new TrialLinker(this.subject.kernel, (kext) => this.plan(kext));
    const plan = this.plan(this.subject.kext);
    if (needs.common.length > 0) {
      const text = `Common symbols are not supported in kernel extensions. Use -fno-common to build your kext. The following are common symbols:\n${needs.common.map((name) => `\t${name}`).join('\n')}`;
      this.linkRefused('common-symbols', text, `it has ${needs.common.length} common symbols`);
      return;
    }
    this.found.pass('common-symbols');
    if (!this.needed(needs, plan, linker)) return;
    this.trial(file, plan, linker);
  }

  /** kxld's own shape for what kxld links; the linker of collections takes chained fixups as well. */
  private format(file: MachoFile): boolean {
    const { architecture } = this.subject.kernel;
    try {
      if (LINKED.has(architecture)) checkShape(file);
      const wrong = file.header.filetype !== MH.KEXT_BUNDLE && file.header.filetype !== MH.OBJECT;
      const program = file.command(LC.MAIN) ?? (wrong ? file.command(LC.UNIXTHREAD) : undefined);
      if (wrong || program !== undefined)
        throw new LinkFailure(
          'The Mach-O file is malformed: Invalid file type or file type/architecture combination.',
        );
      this.found.pass('format');
      return true;
    } catch (error) {
      if (!(error instanceof LinkFailure)) throw error;
      this.linkRefused('format', error.message, error.note ?? '');
      return false;
    }
  }

  private needed(needs: SymbolNeeds, plan: TrialLink, linker: TrialLinker): boolean {
    const { kernel } = this.subject;
    const absent = (names: readonly string[]): string[] =>
      names.filter((name) => linker.offeredBy(plan, name) === undefined && !PADDING.test(name));
    const weak = absent(needs.weak);
    if (weak.length > 0 && !needs.tests && !plan.incomplete) {
      const text =
        'This kext has weak references but does not test for them. Test for weak references with OSKextSymbolIsResolved(). (found in <libkern/OSKextLib.h>)';
      this.linkRefused(
        'weak-references',
        text,
        `${weak[0]} is weak, nobody defines it, and nothing asks for that`,
      );
      return false;
    }
    this.found.pass('weak-references');
    const left = linker.needed(plan, absent(needs.strong));
    this.symbols = left.map((name) => ({ name, owner: this.ownerOf(name) }));
    const declared = this.symbols.filter(({ owner }) => owner !== undefined);
    const certain = plan.incomplete ? declared : this.symbols;
    if (!kernel.exportsKnown && left.length > 0) {
      this.found.set('symbols', 'unknown', { why: `what ${kernel.release.product} exports is not recorded` });
      return true;
    }
    if (certain.length > 0) {
      const text = `The following symbols are unresolved for this kext:\n${certain.map(({ name }) => `\t${name}`).join('\n')}`;
      const [first] = certain;
      const hint = first.owner === undefined ? '' : `add ${first.owner} to OSBundleLibraries`;
      this.linkRefused(
        'symbols',
        text,
        `${certain.length} symbols are defined by no library that it names`,
        hint,
      );
      return false;
    }
    this.symbols = certain;
    if (left.length === 0) this.found.pass('symbols');
    else {
      const from = [...this.unseen].join(', ') || 'libraries that are taken to be there';
      this.found.set('symbols', this.unsure, { why: `${left.length} symbols must come from ${from}` });
    }
    if (needs.hasKmodInfo) this.found.pass('kmod-info');
    else this.linkRefused('kmod-info', 'The kext is missing its kmod_info structure.', '');
    return needs.hasKmodInfo;
  }

  /** What kxld does after every symbol has an address. */
  private trial(file: MachoFile, plan: TrialLink, linker: TrialLinker): void {
    const table = file.symbols();
    const classes = table !== undefined && hasClasses(table);
    const { architecture, release } = this.subject.kernel;
    if (!LINKED.has(architecture)) {
      this.otherMachine(file, classes);
      return;
    }
    try {
      linker.link(plan);
    } catch (error) {
      if (!(error instanceof LinkFailure)) throw error;
      const rule = ruleOfFailure(error.message);
      this.linkRefused(rule, error.message, error.note ?? error.message.split('\n')[0]);
      return;
    }
    this.found.pass('duplicate-symbols', 'relocations');
    if (!classes) this.found.pass('vtables');
    else if (!linker.classes.known)
      this.found.set('vtables', 'unknown', {
        why: `the order of virtual functions in ${release.product} is not recorded`,
      });
    else if (plan.incomplete)
      this.found.set('vtables', this.unsure, {
        why: 'it may inherit from classes of libraries that nobody has seen',
      });
    else this.found.pass('vtables');
  }

  /** What a library that nobody has seen makes of an answer: worth a note where it is taken to be there. */
  private get unsure(): 'note' | 'unknown' {
    return this.unseen.size === 0 ? 'note' : 'unknown';
  }

  /** arm64: collections are linked by user space, from chained fixups. */
  private otherMachine(file: MachoFile, classes: boolean): void {
    const why = `how it is linked on ${this.subject.kernel.architecture} is not followed here`;
    this.found.pass('duplicate-symbols');
    if (readChainedFixups(file) === undefined) this.found.set('relocations', 'unknown', { why });
    else this.found.pass('relocations');
    if (classes) this.found.set('vtables', 'unknown', { why });
    else this.found.pass('vtables');
  }

  private linkRefused(rule: RuleId, text: string, why: string, hint = ''): void {
    const { identifier } = this.subject.kext;
    const said = [
      ...text.split('\n').map((line) => `kxld[${identifier}]: ${line}`),
      `Can't load kext ${identifier} - link failed.`,
      `Failed to load executable for kext ${identifier}.`,
      `Kext ${identifier} failed to load (0xdc008016).`,
      `Failed to load kext ${identifier} (error 0xdc008016).`,
    ];
    this.refuse(rule, 'LinkError', why === '' ? text : why, hint, said);
  }

  private plan(kext: Kext): TrialLink {
    return planLink(kext, [...this.first, ...this.subject.others]);
  }

  private ownerOf(name: string): string | undefined {
    const { kernel, others } = this.subject;
    const [kpi] = kernel.owners(name);
    if (kpi !== undefined) return kpi.owner;
    return others.find((one) => one.info.isLibrary && exportsOf(one).has(name))?.identifier;
  }
}

/** Machines for which kxld's own steps are followed. */
const LINKED: ReadonlySet<string> = new Set(['x86_64', 'i386']);

const PADDING = /^__ZNK?\d+\w+?\d+_RESERVED\w+?\d+Ev$/;

function ruleOfFailure(text: string): RuleId {
  if (text.startsWith('The following symbols were defined more than once')) return 'duplicate-symbols';
  if (/vtable|final class/.test(text)) return 'vtables';
  if (text.startsWith('The kext is missing')) return 'kmod-info';
  return 'relocations';
}

function hintFor({ rule, values }: Finding): string {
  const name = values[0] ?? '';
  if (rule === 'macos.dependency-missing') return `install ${name}, or give it beside the kext`;
  if (rule === 'macos.dependency-version')
    return name.startsWith(KPI_PREFIX)
      ? 'ask for the Darwin version of the oldest release that it is to load on'
      : `ask for a version that ${name} is compatible with`;
  return '';
}

/** The kernel's own words for the same. */
function missingLibraries(kext: Kext, failures: readonly Finding[]): string[] {
  return failures.flatMap(({ rule, values }) =>
    values.flatMap((name) => {
      const asked = kext.info.libraries.get(name);
      if (asked === undefined) return [];
      if (rule === 'macos.dependency-missing')
        return [`Can't load kext ${kext.identifier} - library kext ${name} not found.`];
      if (rule !== 'macos.dependency-version') return [];
      return [
        `Can't load kext ${kext.identifier} - library kext ${name} not compatible with requested version ${asked}.`,
      ];
    }),
  );
}
