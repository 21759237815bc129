/** A check of a file says what a load of it says: the rules are the same, and so must be what becomes of them. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type CheckView, checkModule, type KernelState } from '../../../../src/systems/linux/check/check.ts';
import { Subject } from '../../../../src/systems/linux/check/subject.ts';
import { changedKernel } from '../../../../src/systems/linux/kernelfile/changed.ts';
import type { KernelFile } from '../../../../src/systems/linux/kernelfile/kernelfile.ts';
import { insmod } from '../../../../src/systems/linux/loader.ts';
import { rulesInOrder } from '../../../../src/systems/linux/rules/order.ts';
import { buildModule } from '../../../real/verdict/module-builder.ts';
import { boot, fixture } from '../kernel.ts';

const STATE: KernelState = {
  commandLine: '',
  taints: 0,
  privileged: true,
  modulesDisabled: false,
  flags: {},
  args: '',
  certificates: [],
  loaded: new Set(),
};

const nobody = { find: () => undefined, absent: () => undefined, complete: true };

function viewOf(kernel: KernelFile, state: Partial<KernelState> = {}): CheckView {
  return { kernel, others: nobody, state: { ...STATE, ...state } };
}

function checkFixture(kernel: KernelFile, name: string, state: Partial<KernelState> = {}) {
  return checkModule(viewOf(kernel, state), new Subject(`${name}.ko`, fixture(name)));
}

const names = readdirSync(new URL('../../../../fixtures/linux/built', import.meta.url))
  .filter((name) => name.endsWith('.ko'))
  .map((name) => name.replace(/\.ko$/, ''));

/** What a check does not judge: init functions, and the memory of a running kernel. */
const BEYOND = new Set(['init', 'out-of-memory', 'missing-functions']);

/** Hashed addresses are the running kernel's secret, and values depend on where a module lies. */
const withoutHashes = (text: string): string => text.replace(/loc [0-9a-f?]{16}, val .*/, 'loc HASH');

describe('every fixture', () => {
  it.each(names)('%s is judged as the loader judges it', (name) => {
    const k = boot();
    const live = insmod(k, fixture(name));
    const result = checkFixture(k.file, name);
    const refused = result.rules.find(({ outcome }) => outcome === 'refuse');
    if (live.outcome === 'refused' && !BEYOND.has(live.refusal.rule)) {
      expect([refused?.rule, refused?.errno]).toEqual([live.refusal.rule, live.refusal.errno]);
      const said = result.rules.flatMap((rule) => rule.said.map(({ text }) => withoutHashes(text)));
      const expected = live.refusal.said.map(withoutHashes);
      expect(said.filter((text) => expected.includes(text))).toEqual(expected);
      expect(refused?.why).toBe(live.refusal.why);
    } else {
      expect(result.answer, refused?.why).toBe('loads');
      if (live.outcome === 'loaded') expect(result.taints & ~k.taint).toBe(0);
    }
  });
});

describe('the rules', () => {
  it('come in the order that the list says', () => {
    const k = boot();
    const order = rulesInOrder(false).map(({ rule }) => rule);
    const { rules } = checkFixture(k.file, 'hello');
    expect(rules.map(({ rule }) => rule)).toEqual(order);
    expect(new Set(order).size).toBe(order.length);
    expect(new Set(rulesInOrder(true).map(({ rule }) => rule)).size).toBe(rulesInOrder(true).length);
  });

  it('are not reached behind the one that refuses', () => {
    const { rules } = checkFixture(boot().file, 'wrong_vermagic');
    const at = rules.findIndex(({ outcome }) => outcome === 'refuse');
    expect(rules[at].rule).toBe('vermagic');
    expect(rules.slice(at + 1).every(({ outcome }) => outcome === 'not-reached')).toBe(true);
    expect(rules.slice(0, at).every(({ outcome }) => outcome === 'pass')).toBe(true);
  });

  it.each([
    ['privilege', { privileged: false }, 1],
    ['modules-disabled', { modulesDisabled: true }, 1],
    ['blacklist', { commandLine: 'quiet module_blacklist=other,hello' }, 1],
    ['signature-required', { commandLine: 'module.sig_enforce=1' }, 129],
    ['duplicate-name', { loaded: new Set(['hello']) }, 17],
    ['decompress', { flags: { compressed: true } }, 95],
  ] as const)('%s depends on the state of the kernel', (rule, state, errno) => {
    const { answer, rules } = checkFixture(boot().file, 'hello', state);
    const refused = rules.find(({ outcome }) => outcome === 'refuse');
    expect([answer, refused?.rule, refused?.errno]).toEqual(['refused', rule, errno]);
  });
});

describe('what is not known', () => {
  const known = boot().file;
  const without = (changes: Partial<KernelFile>): KernelFile => changedKernel(known, changes);

  it('leaves the answer open when it would decide', () => {
    const kernel = without({ gaps: new Set(['vermagic']), vermagic: '' });
    const { answer, missing, rules } = checkFixture(kernel, 'hello');
    expect(answer).toBe('cannot-tell');
    expect(missing).toMatchObject([{ what: expect.stringContaining('vermagic') }]);
    expect(rules.find(({ rule }) => rule === 'vermagic')?.outcome).toBe('unknown');
  });

  it('does not matter when the module is refused all the same', () => {
    const kernel = without({ gaps: new Set(['vermagic']), vermagic: '' });
    expect(checkFixture(kernel, 'wrong_layout').answer).toBe('refused');
  });

  it('matters only if the answers differ with and without a rule', () => {
    const kernel = without({ undecided: new Set(['force-load']) });
    expect(checkFixture(kernel, 'hello').answer).toBe('loads');
    const forced = checkFixture(kernel, 'no_vermagic');
    expect(forced.answer).toBe('cannot-tell');
    expect(forced.missing[0].what).toContain("the rule 'vermagic'");
  });

  it('includes modules that would have to be there', () => {
    const others = { ...nobody, complete: false };
    const subject = new Subject('importer_plain.ko', fixture('importer_plain'));
    const { answer, missing } = checkModule({ ...viewOf(known), others }, subject);
    expect(answer).toBe('cannot-tell');
    expect(missing[0].what).toContain('exporter');
  });
});

describe('namespaces for named modules', () => {
  const known = boot().file;
  const kernel = changedKernel(known, { rules: new Set([...known.rules, 'module-namespaces']) });
  const exported = (namespace: string) => ({
    name: 'exporter_plain',
    address: 0,
    crc: undefined,
    gplOnly: false,
    namespace,
    owner: { name: 'exporter', taints: 0 },
  });
  const answer = (namespace: string) => {
    const others = { ...nobody, find: () => exported(namespace) };
    const subject = new Subject('importer_plain.ko', fixture('importer_plain'));
    return checkModule({ ...viewOf(kernel), others }, subject).answer;
  };

  it.each([
    ['module:importer_plain', 'loads'],
    ['module:importer-plain', 'loads'],
    ['module:other,import*', 'loads'],
    ['module:importer', 'refused'],
    ['module:other', 'refused'],
    ['SOMETHING', 'refused'],
  ])('%s: %s', (namespace, expected) => expect(answer(namespace)).toBe(expected));
});

describe('tables that other parts of the kernel read', () => {
  it.each(['_printk', 'own'])('a static call of %s, which is code and no trampoline, is refused', (key) => {
    const k = boot();
    const { bytes } = buildModule(k.file, {
      imports: ['_printk'],
      symbols: [{ name: 'own', section: '.text', value: 16 }],
      sections: [{ name: '.static_call_sites', flags: 3, bytes: new Uint8Array(8), align: 4 }],
      relocations: [
        { section: '.static_call_sites', offset: 0, type: 2, symbol: 'own' },
        { section: '.static_call_sites', offset: 4, type: 2, symbol: key },
      ],
    });
    const result = checkModule(viewOf(k.file), new Subject('probe.ko', bytes));
    const refused = result.rules.find(({ outcome }) => outcome === 'refuse');
    expect([refused?.rule, refused?.errno]).toEqual(['static-calls', 22]);
    expect(refused?.said.map(({ text }) => text)).toEqual([
      'Failed to fixup __raw_static_call() usage at: own [verdict_probe]',
      'Failed to allocate memory for static calls',
    ]);
    const live = insmod(k, bytes);
    expect(live.outcome === 'refused' && live.refusal.rule).toBe('static-calls');
  });

  it.each(['tpm_crb', 'xz_dec', 'kernel'])('%s is a name that a part of the kernel has', (name) => {
    const k = boot();
    const { bytes } = buildModule(k.file, { name, structName: name, imports: ['_printk'] });
    const result = checkModule(viewOf(k.file), new Subject('probe.ko', bytes));
    expect(result.rules.find(({ outcome }) => outcome === 'refuse')?.rule).toBe('name-in-sysfs');
  });
});

describe('the command line of the kernel', () => {
  const plain = () => {
    const k = boot();
    return { k, bytes: buildModule(k.file, { imports: ['_printk'] }).bytes };
  };
  const verdict = (commandLine: string, flags: KernelState['flags'] = {}) => {
    const { k, bytes } = plain();
    const { answer, rules } = checkModule(viewOf(k.file, { commandLine, flags }), new Subject('p.ko', bytes));
    const refused = rules.find(({ outcome }) => outcome === 'refuse');
    return refused === undefined ? answer : `${refused.rule} ${refused.errno}`;
  };
  // As the kernel of Debian 12 answers them under QEMU (test/real/verdict/command-lines.ts).
  it.each([
    ['nomodule', 'modules-disabled 1'],
    ['nomodule=0', 'loads'],
    ['sysctl.kernel.modules_disabled=1', 'modules-disabled 1'],
    ['sysctl.kernel/modules_disabled=1', 'modules-disabled 1'],
    ['sysctl.kernel.modules_disabled=0', 'loads'],
    ['module.sig_enforce', 'signature-required 129'],
    ['module.sig_enforce=1 module.sig_enforce=0', 'signature-required 129'],
    ['module.sig_enforce=x', 'loads'],
    ['-- module.sig_enforce=1 module_blacklist=verdict_probe', 'loads'],
    ['lockdown=integrity lockdown=none', 'lockdown 1'],
    ['lockdown=INTEGRITY', 'loads'],
    ['module_blacklist=verdict_probe module_blacklist=x', 'loads'],
    ['ima_policy=tcb|secure_boot', 'cannot-tell'],
    ['ima_policy=secure_boot ima_appraise=log', 'loads'],
  ])('%s: %s', (commandLine, expected) => {
    expect(verdict(commandLine)).toBe(expected);
  });

  it('wants a file where a policy wants signed files', () => {
    expect(verdict('ima_policy=secure_boot', { inMemory: true })).toBe('appraisal 13');
  });
});
