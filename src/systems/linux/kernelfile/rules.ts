/**
 * Which loader rules a kernel has, judged by what its own image contains. Vendors carry rules backwards and take
 * others out, so a release number proves nothing; a message string that only one rule prints does.
 */
export interface RuleEvidence {
  readonly rule: LoaderRule;
  readonly present: boolean;
  /** The text that was found, or looked for in vain, in our words where it is a configuration. */
  readonly because: string;
  /** Nothing that is known tells: `present` is then false. */
  readonly unknown?: true;
}

/** Rule ids, in the order in which a load meets them. */
export const LOADER_RULES = [
  /** Modules carry signatures that are looked at (CONFIG_MODULE_SIG). */
  'module-signatures',
  /** An unsigned module is refused, not just noted (CONFIG_MODULE_SIG_FORCE). */
  'signature-required',
  /** The kernel decompresses modules itself (CONFIG_MODULE_DECOMPRESS). */
  'decompress',
  /** It unpacks this format and no other. */
  'decompress-xz',
  'decompress-gzip',
  /** `.gnu.linkonce.this_module` must have the kernel's own size. */
  'this-module-size',
  /** Exactly one `.modinfo` section. */
  'single-modinfo',
  /** The file is judged part by part before it is used, the names of all sections among it (6.12 and later). */
  'cached-elf-checks',
  /** The string table of symbols is looked at, too. */
  'symbol-string-checks',
  /** A symbol in a section that the file does not have is refused. */
  'symbol-section-index',
  /** Exports have flags in a table beside them, instead of a table of their own for the GPL. */
  'export-flags',
  /** How a relocation that has no empty place is spoken of, and by which numbers. */
  'relocation-words-invalid',
  'relocation-words-numbered',
  /** Stacks are unwound by tables that a module brings along (CONFIG_UNWINDER_ORC). */
  'unwind-tables',
  /** Static calls are made direct ones, and their keys are looked up (CONFIG_HAVE_STATIC_CALL_INLINE). */
  'static-calls',
  /** Modules bring sections through which far branches are led (CONFIG_ARM64_MODULE_PLTS, CONFIG_ARM_MODULE_PLTS). */
  'branch-tables',
  /** And, on arm64, one for the tracer's. */
  'tracer-table',
  /** Memory for modules has an allocator that complains (6.10 and later). */
  'execmem-words',
  /** The command line can set sysctls before anything is started (5.8 and later). */
  'sysctl-arguments',
  /** Files can be asked for signatures of their own (CONFIG_IMA_APPRAISE). */
  'appraisal',
  /** `module_blacklist=` on the command line. */
  'blacklist',
  /** Symbol versions are compared (CONFIG_MODVERSIONS). */
  'symbol-versions',
  /** An import without a version entry is refused; elsewhere it is said once and let pass. */
  'version-entry-required',
  /** A module without vermagic, or without versions, can be forced (CONFIG_MODULE_FORCE_LOAD). */
  'force-load',
  /** `rmmod -f` works (CONFIG_MODULE_FORCE_UNLOAD). */
  'force-unload',
  /** `rmmod` works at all (CONFIG_MODULE_UNLOAD). */
  'unload',
  /** A module not built with return trampolines taints (CONFIG_RETPOLINE). */
  'retpoline-check',
  /** A section both writable and executable is refused (CONFIG_STRICT_MODULE_RWX). */
  'write-xor-execute',
  /** Symbol namespaces: an import from one must be declared. */
  'namespaces',
  /** A namespace that is not declared is only warned about (CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS). */
  'namespaces-lenient',
  /** Importing from a proprietary module makes the importer proprietary. */
  'inherit-taint',
  /** `.ctors` run (CONFIG_CONSTRUCTORS). */
  'constructors',
  /** `Loading test modules taints` (6.0 and later). */
  'test-taint',
  /** Livepatch modules are known (CONFIG_LIVEPATCH). */
  'livepatch',
  /** The duplicate check comes before allocation (`early_mod_check`, 6.4 and later). */
  'early-duplicate-check',
  /** Loads of the same file at the same time share a result (6.5 and later). */
  'idempotent-load',
  /** A start function that returns -EEXIST is taken to say -EBUSY, and a positive answer is spoken of in one line (7.0). */
  'start-answers',
  /** Type information that a module brings is looked at (CONFIG_DEBUG_INFO_BTF_MODULES). */
  'module-types',
  /** What is wrong with it is said for every module. */
  'module-types-words',
  /** A module whose type information is wrong is refused (no CONFIG_MODULE_ALLOW_BTF_MISMATCH). */
  'module-types-required',
  /** Versions of long names, in two sections of their own. */
  'extended-versions',
  /** Exports for named modules only. */
  'module-namespaces',
  /** Lockdown can refuse unsigned modules. */
  'lockdown',
  /** Signatures made with elliptic curves can be verified (CONFIG_CRYPTO_ECDSA built in). */
  'elliptic-curve-signatures',
  /** SHA-384 and SHA-512 are built in, so that signatures with them can be verified. */
  'sha512-signatures',
] as const;

export type LoaderRule = (typeof LOADER_RULES)[number];

/** Message fragments that only the named rule prints. */
const MESSAGES: readonly (readonly [LoaderRule, string])[] = [
  ['module-signatures', '~Module signature appended~'],
  ['this-module-size', "section size must match the kernel's built struct module size at run time"],
  ['single-modinfo', 'Only one .modinfo section must exist'],
  ['decompress-xz', 'not an xz compressed module'],
  ['decompress-gzip', 'not a gzip compressed module'],
  ['cached-elf-checks', 'Invalid ELF symbol string table type'],
  ['symbol-string-checks', "symbol string table isn't NUL terminated"],
  ['symbol-section-index', 'has an invalid section index'],
  ['export-flags', 'no flags for exported symbols'],
  ['relocation-words-invalid', 'x86/modules: Invalid relocation target'],
  ['relocation-words-numbered', 'existing value is nonzero for sec %u'],
  ['execmem-words', 'execmem: unable to allocate memory'],
  ['unwind-tables', 'Bad or missing .orc_unwind table'],
  ['static-calls', 'Failed to fixup __raw_static_call() usage at'],
  ['branch-tables', '%s: module PLT section(s) missing'],
  ['tracer-table', '.text.ftrace_trampoline'],
  ['sysctl-arguments', "Failed to set sysctl parameter '%s=%s'"],
  ['appraisal', 'impossible to appraise a module without a file descriptor'],
  ['blacklist', 'Module %s is blacklisted'],
  ['symbol-versions', 'disagrees about version of symbol'],
  ['retpoline-check', 'loading module not compiled with retpoline compiler'],
  ['write-xor-execute', 'has invalid WRITE|EXEC flags'],
  ['namespaces', 'from namespace %s, but does not import it'],
  ['inherit-taint', 'inheriting taint'],
  ['constructors', 'has both .ctors and .init_array'],
  ['start-answers', '%s: init suspiciously returned %d'],
  ['test-taint', 'loading test module taints kernel'],
  ['livepatch', 'tainting kernel with TAINT_LIVEPATCH'],
  ['extended-versions', '__version_ext_crcs'],
  ['lockdown', 'unsigned module loading'],
  // The level of a message stands in front of it: a warning is 4, an error 3.
  ['namespaces-lenient', '\x014%s: module uses symbol (%s) from namespace'],
  ['elliptic-curve-signatures', 'ecdsa-nist-p384-generic'],
];

/** Configuration options that decide a rule when the configuration is known. */
const OPTIONS: readonly (readonly [LoaderRule, string])[] = [
  ['module-signatures', 'CONFIG_MODULE_SIG'],
  ['signature-required', 'CONFIG_MODULE_SIG_FORCE'],
  ['decompress', 'CONFIG_MODULE_DECOMPRESS'],
  ['force-load', 'CONFIG_MODULE_FORCE_LOAD'],
  ['force-unload', 'CONFIG_MODULE_FORCE_UNLOAD'],
  ['unload', 'CONFIG_MODULE_UNLOAD'],
  ['namespaces-lenient', 'CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS'],
  ['constructors', 'CONFIG_CONSTRUCTORS'],
];

/** Options that decide where there is no image to look into. */
const OPTIONS_ALONE: readonly (readonly [LoaderRule, string])[] = [
  ['symbol-versions', 'CONFIG_MODVERSIONS'],
  ['write-xor-execute', 'CONFIG_STRICT_MODULE_RWX'],
  ['livepatch', 'CONFIG_LIVEPATCH'],
  ['lockdown', 'CONFIG_SECURITY_LOCKDOWN_LSM'],
  ['extended-versions', 'CONFIG_EXTENDED_MODVERSIONS'],
];

/** Judges by the configuration alone: what only an image tells is not known. */
export function rulesOfConfig(
  config: ReadonlyMap<string, string> | undefined,
  known: ReadonlyMap<string, readonly [present: boolean, because: string]>,
): RuleEvidence[] {
  return LOADER_RULES.map((rule): RuleEvidence => {
    const told = known.get(rule);
    if (told !== undefined) return { rule, present: told[0], because: told[1] };
    const option = [...OPTIONS, ...OPTIONS_ALONE].find(([id]) => id === rule)?.[1];
    if (option === undefined || config === undefined) {
      return { rule, present: false, unknown: true, because: 'there is no image to look into' };
    }
    const value = config.get(option);
    return { rule, present: value === 'y', because: `${option}=${value ?? 'n'} in the configuration` };
  });
}

export interface RuleMaterial {
  /** Does the image contain these characters? */
  contains(text: string): boolean;
  /** Does the kernel's type information name this function? False where there is none. */
  hasFunction(name: string): boolean;
  readonly banner: string;
  readonly vermagic: string;
  readonly config: ReadonlyMap<string, string> | undefined;
  /** What the variable behind module.sig_enforce holds from the start; undefined where it cannot be read. */
  readonly enforces?: boolean | undefined;
}

/** Judges every rule; a rule about which nothing is known counts as absent and says so. */
export function readRules(material: RuleMaterial): RuleEvidence[] {
  return LOADER_RULES.map((rule) => judge(rule, material));
}

function judge(rule: LoaderRule, material: RuleMaterial): RuleEvidence {
  const option = OPTIONS.find(([id]) => id === rule)?.[1];
  if (option !== undefined && material.config !== undefined) {
    const value = material.config.get(option);
    return { rule, present: value === 'y', because: `${option}=${value ?? 'n'} in the configuration` };
  }
  const message = MESSAGES.find(([id]) => id === rule)?.[1];
  if (message !== undefined) {
    const present = material.contains(message);
    return { rule, present, because: `the image ${present ? 'contains' : 'does not contain'} "${message}"` };
  }
  return special(rule, material);
}

/** Rules that no message of their own betrays. */
function special(rule: LoaderRule, material: RuleMaterial): RuleEvidence {
  const { contains, hasFunction, banner, vermagic, config } = material;
  const found = (present: boolean, because: string): RuleEvidence => ({ rule, present, because });
  const byFunction = (name: string) =>
    found(hasFunction(name), `a function ${name} in its types: ${hasFunction(name) ? 'yes' : 'no'}`);
  const by = (text: string) =>
    found(contains(text), `"${text.replaceAll('\0', '')}" in the image: ${contains(text) ? 'yes' : 'no'}`);
  switch (rule) {
    case 'version-entry-required': {
      // Same words as in mainline, which prints them once and goes on; Debian's kernel team made it an error.
      const debian = /\bDebian\b.*\bDebian\b|SMP.*Debian/.test(banner);
      return found(
        debian && contains('no symbol version for'),
        `built by Debian, by its banner: ${debian ? 'yes' : 'no'}`,
      );
    }
    case 'sha512-signatures': {
      const present = contains('sha512-generic') || contains('sha512-lib');
      return found(present, `"sha512-generic" or "sha512-lib" in the image: ${present ? 'yes' : 'no'}`);
    }
    case 'unload':
      return found(/\bmod_unload\b/.test(vermagic), `mod_unload in vermagic '${vermagic}'`);
    case 'signature-required':
      if (material.enforces !== undefined) {
        const value = material.enforces ? 'y' : 'n';
        return found(material.enforces, `module.sig_enforce is ${value} in the image`);
      }
      return {
        ...found(
          false,
          'no configuration given: the image alone does not tell; module.sig_enforce=1 switches it on',
        ),
        unknown: true,
      };
    case 'module-types': {
      const present = contains(TYPES_REFUSED) || contains(TYPES_TOLERATED);
      return found(
        present,
        `words about a module's type information in the image: ${present ? 'yes' : 'no'}`,
      );
    }
    case 'module-types-words':
      return by(TYPES_REFUSED);
    case 'module-types-required':
      return typesRequired(contains(TYPES_REFUSED), config, hasFunction);
    case 'force-load':
      return by('bad vermagic');
    case 'decompress':
      return byFunction('module_decompress');
    case 'early-duplicate-check':
      // The check was made a function of its own when it came to be called from two places; where the compiler inlined
      // it, the function that came one release later tells.
      return byFunction(
        hasFunction('module_patient_check_exists') ? 'module_patient_check_exists' : 'idempotent_init_module',
      );
    case 'idempotent-load':
      return byFunction('idempotent_init_module');
    case 'module-namespaces':
      return by('\0module:\0');
    default:
      return { ...found(false, 'no configuration given, and no message of the image tells'), unknown: true };
  }
}

const TYPES_REFUSED = 'failed to validate module [%s] BTF';
const TYPES_TOLERATED = 'Kernel module BTF mismatch detected';

/** Older kernels say the same words whether they refuse or not; from 6.5 on those that do not refuse have others. */
function typesRequired(
  said: boolean,
  config: RuleMaterial['config'],
  hasFunction: RuleMaterial['hasFunction'],
): RuleEvidence {
  const rule = 'module-types-required';
  if (!said) return { rule, present: false, because: `"${TYPES_REFUSED}" in the image: no` };
  const option = 'CONFIG_MODULE_ALLOW_BTF_MISMATCH';
  if (config !== undefined) {
    const value = config.get(option);
    return { rule, present: value !== 'y', because: `${option}=${value ?? 'n'} in the configuration` };
  }
  const newer = hasFunction('idempotent_init_module');
  const because = `"${TYPES_REFUSED}" in an image of 6.5 or later: ${newer ? 'yes' : 'no'}`;
  return newer ? { rule, present: true, because } : { rule, present: false, because, unknown: true };
}

/** Rules of which nobody knows, of all the evidence. */
export const undecidedOf = (evidence: readonly RuleEvidence[]): ReadonlySet<string> =>
  new Set(evidence.filter(({ unknown }) => unknown === true).map(({ rule }) => rule));
