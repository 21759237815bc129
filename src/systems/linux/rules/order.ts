/**
 * The rules of load_module in the order in which a kernel comes to them, with what each asks. A rule says its id with
 * `judge.enter` before it speaks; the live load and a check of files run the same functions.
 */

export interface RuleTitle {
  readonly rule: string;
  readonly title: string;
}

const row = (rule: string, title: string): RuleTitle => ({ rule, title });

const FILE: readonly RuleTitle[] = [
  row('privilege', 'the caller has CAP_SYS_MODULE'),
  row('modules-disabled', 'loading was not switched off until the next boot'),
  row('flags', 'the flags of the system call are known'),
  row('decompress', 'the kernel takes the file as it is packed'),
  row('empty', 'the file is not empty'),
  row('appraisal', 'the policy about signed files is kept'),
  row('signature', 'the signature, if there is one, is well-formed and right'),
  row('signature-required', 'a missing or unknown signature is tolerated'),
  row('lockdown', 'the kernel is not locked down against modules without a trusted signature'),
  row('elf-size', 'the file is long enough for an ELF header'),
  row('elf-magic', 'the file is an ELF file'),
  row('elf-type', 'the file is relocatable'),
  row('elf-machine', "the file is for the kernel's machine"),
  row('elf-shentsize', 'section headers have the right size'),
  row('elf-section-table', 'the section table lies in the file'),
  row('elf-names', 'the section names lie in the file'),
  row('elf-first-section', 'section 0 is empty'),
  row('elf-section', 'every section lies in the file'),
  row('elf-damaged', 'tables that are read later do not contradict themselves'),
  row('single-modinfo', 'there is one .modinfo section'),
  row('this-module-size', "struct module has the kernel's size"),
  row('no-symbols', 'the symbol table is there'),
  row('symbol-strings', 'the names of symbols are a string table'),
  row('version-sections', 'the two tables of extended versions fit together'),
  row('no-module', 'there is a struct module in the file'),
  row('blacklist', 'the command line does not forbid the module'),
  row('module-layout', 'struct module is the one it was built against'),
];

const TAINTS: readonly RuleTitle[] = [
  row('out-of-tree', "the module comes from the kernel's own source tree"),
  row('retpoline', 'the module was built with return trampolines'),
  row('staging', 'the module is not from the staging directory'),
  row('livepatch', 'the module is no live patch, or the kernel takes them'),
  row('licence', 'the licence is compatible with the GPL'),
  row('test', 'the module is no test'),
];

const VERMAGIC = row('vermagic', 'the vermagic fits');
const DUPLICATE = row('duplicate-name', 'no module of that name is loaded');
const PLACE: readonly RuleTitle[] = [
  row('branch-tables', 'the sections for far branches are there'),
  row('write-execute', 'no section is both writable and executable'),
  row('too-large', 'the sections fit into memory'),
  row('this-module', 'struct module lies where the kernel can use it'),
];

const LINK: readonly RuleTitle[] = [
  row('unsigned', 'the module is signed with a key that the kernel trusts'),
  row('per-cpu', 'its per-CPU variables have room'),
  row('obsolete-parameters', 'there are no parameters in the form of old kernels'),
  row('licence-names', 'the name is none that always taints'),
  row('export-flags', 'what it exports is listed as the kernel wants it'),
  row('export-versions', 'what it exports has versions'),
  row('namespace-import', 'it imports no namespace that is meant for named modules'),
  row('symbols', 'every symbol it needs is there, allowed and of the right version'),
  row('relocation', 'every relocation is one that the kernel knows, and fits'),
  row('tracer-table', 'the section for calls of the tracer is there'),
  row('unwind-tables', 'the tables for unwinding stacks fit each other'),
  row('duplicate-symbol', 'nothing it exports is exported already'),
  row('static-calls', 'its static calls are of keys that the kernel has'),
  row('type-information', 'the type information it brings can be read'),
  row('parameters', 'the parameters are valid'),
  row('name-in-sysfs', 'the name is free in /sys/module'),
];

/** The section names are judged before the sections, or (6.12 and later) behind them. */
function fileRules(namesLast: boolean): readonly RuleTitle[] {
  if (!namesLast) return FILE;
  const names = FILE.filter(({ rule }) => rule === 'elf-names');
  const others = FILE.filter(({ rule }) => rule !== 'elf-names');
  const at = others.findIndex(({ rule }) => rule === 'elf-damaged');
  return [...others.slice(0, at), ...names, ...others.slice(at)];
}

/** Up to 6.3 modinfo taints first and the name is taken after memory is; from 6.4 on the file is judged whole before. */
export function rulesInOrder(earlyDuplicateCheck: boolean, cachedElfChecks = false): readonly RuleTitle[] {
  const file = fileRules(cachedElfChecks);
  if (!earlyDuplicateCheck) return [...file, VERMAGIC, ...TAINTS, ...PLACE, DUPLICATE, ...LINK];
  const livepatch = TAINTS.filter(({ rule }) => rule === 'livepatch');
  const others = TAINTS.filter(({ rule }) => rule !== 'livepatch');
  const names = LINK.filter(({ rule }) => rule === 'unsigned' || rule === 'licence-names');
  const rest = LINK.filter((one) => !names.includes(one));
  return [...file, VERMAGIC, ...livepatch, DUPLICATE, ...PLACE, ...others, ...names, ...rest];
}
