/** A Solaris kernel comes up: /etc/system, the name tables, the module path, and what is to be loaded by force. */
import type { Engine } from '../../cpu/engines.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { applyKernelAssignments } from './assign.ts';
import { configuration, DEFAULT_MODULE_PATH, type RootFiles, textOf } from './configuration.ts';
import { addCard, loadDriverConf } from './devices.ts';
import { parseAliases, parseNumbers } from './etc/name-files.ts';
import { repeatedCommands } from './etc/repeated.ts';
import { parseModulePath, parseSystemFile, type SystemFile } from './etc/system-file.ts';
import { modLoadAndInstall } from './load.ts';
import { LOAD_FLAG } from './modctl.ts';
import { modctls } from './modules.ts';
import { Refusal } from './refusal.ts';
import { solarisData, solarisFunctions } from './registry.ts';
import { POLICIES, type SignaturePolicy, type SignatureVerdict } from './rules/signature.ts';
import { Solaris } from './solaris.ts';
import { CE } from './syslog.ts';
import { moduleGate } from './trust.ts';
import { startDaemon } from './unload.ts';

export interface BootOptions {
  readonly files: RootFiles;
  readonly bits?: 32 | 64;
  readonly debug?: boolean;
  readonly variant?: 'solaris' | 'illumos';
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  readonly missing?: MissingPolicy;
  readonly ramMiB?: number;
  /** Where the system file is: /etc/system, or what was given to `boot -a`. */
  readonly systemFile?: string;
  /** The boot property module-path, which goes before what the system file says. */
  readonly modulePath?: string;
  /** Over what the system file says. */
  readonly policy?: SignaturePolicy;
  readonly immutable?: boolean;
  /** Cards that are in the machine: `pci10ec,8169`. */
  readonly cards?: readonly string[];
  /** Judges signatures, by certificates that are held where the kernel cannot reach. */
  readonly verifier?: (bytes: Uint8Array) => SignatureVerdict;
}

export function bootSolaris(options: BootOptions): Solaris {
  const { bits, debug, variant, seed, engine, missing, ramMiB } = options;
  const k = new Solaris({
    bits,
    debug,
    variant,
    seed,
    engine,
    missing,
    ramMiB,
    functions: solarisFunctions,
    data: solarisData,
  });
  const state = k.state(configuration);
  state.files = options.files;
  k.state(modctls);
  const system = readSystemFile(k, options);
  state.modulePath =
    options.modulePath !== undefined
      ? parseModulePath(options.modulePath)
      : (system.moddir ?? DEFAULT_MODULE_PATH);
  state.excluded = system.exclude;
  state.assignments = system.assignments.filter(({ only, symbol, module }) => {
    return (only === undefined || only === k.bits) && !(module === '' && POLICY_NAMES.has(symbol));
  });
  for (const [name, number] of parseNumbers(textOf(options.files.read('/etc/name_to_major'))))
    state.majors.set(name, number);
  for (const [name, number] of parseNumbers(textOf(options.files.read('/etc/name_to_sysnum'))))
    state.sysnums.set(name, number);
  for (const { driver, alias } of parseAliases(textOf(options.files.read('/etc/driver_aliases'))))
    state.aliases.set(alias, driver);
  applyKernelAssignments(k);
  setTrust(k, system, options);
  for (const driver of state.majors.keys()) loadDriverConf(k, driver);
  for (const card of options.cards ?? []) addCard(k, card);
  for (const name of system.forceload) forceload(k, name);
  startDaemon(k);
  return k;
}

/** Settings of verified boot on x86 machines stand in /etc/system as well. */
const POLICY_NAMES = new Set(['boot_policy', 'module_policy']);

function readSystemFile(k: Solaris, { files, systemFile = '/etc/system' }: BootOptions): SystemFile {
  const bytes = files.read(systemFile);
  if (bytes === undefined)
    k.syslog.say('cannot open system file: %s', `cannot open system file: ${systemFile}`, CE.WARN);
  const system = parseSystemFile(textOf(bytes), systemFile);
  for (const { format, text } of system.errors) k.syslog.say(format, text, CE.WARN);
  // The kernel of illumos puts a slash before a name that has one.
  const shown = k.variant === 'illumos' ? `/${systemFile}` : systemFile;
  for (const { format, text } of repeatedCommands(system, shown, k.bits)) k.syslog.say(format, text, CE.WARN);
  return system;
}

function setTrust(k: Solaris, { assignments }: SystemFile, options: BootOptions): void {
  const gate = k.state(moduleGate);
  for (const { module, symbol, value } of assignments) {
    const policy = POLICIES.find((one) => one === value) ?? POLICIES[Number(value) - 1];
    if (module === '' && POLICY_NAMES.has(symbol) && policy !== undefined) gate.policy = policy;
  }
  gate.policy = options.policy ?? gate.policy;
  gate.immutable = options.immutable ?? false;
  gate.verifier = options.verifier;
}

function forceload(k: Solaris, name: string): void {
  try {
    k.runProcess(
      'sched',
      (function* () {
        const modctl = yield* modLoadAndInstall(k, { name, usePath: true });
        modctl.set('loadflags', modctl.get('loadflags') | LOAD_FLAG.NOAUTOUNLOAD);
      })(),
    );
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    k.syslog.say('forceload of %s failed', `forceload of ${name} failed`, CE.WARN);
  }
}
