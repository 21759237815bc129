/** check_modinfo (kernel/module/main.c): vermagic, where the module comes from, and its licence. */
import { Errno } from '../errno.ts';
import type { ModInfo, ModuleFile } from '../module-file.ts';
import { TAINT } from '../taint-bits.ts';
import type { Finding } from '../verdict.ts';
import { commandLineOption, type Judge, Level } from './judge.ts';

export interface LoadFlags {
  /** MODULE_INIT_IGNORE_MODVERSIONS, what `insmod -f` and `modprobe --force-modversion` ask for. */
  readonly ignoreModversions?: boolean;
  /** MODULE_INIT_IGNORE_VERMAGIC */
  readonly ignoreVermagic?: boolean;
  /** MODULE_INIT_COMPRESSED_FILE */
  readonly compressed?: boolean;
  /** Flags of finit_module without a meaning. */
  readonly unknown?: boolean;
  /** init_module: the bytes come out of memory, not from a file. */
  readonly inMemory?: boolean;
}

/** license_is_gpl_compatible (include/linux/license.h): these words exactly. */
const COMPATIBLE = new Set([
  'GPL',
  'GPL v2',
  'GPL and additional rights',
  'Dual BSD/GPL',
  'Dual MIT/GPL',
  'Dual MPL/GPL',
]);

export function isGplCompatible(licence: string): boolean {
  return COMPATIBLE.has(licence);
}

/** `module_blacklist=a,b` on the kernel's command line. */
export function checkBlacklist(judge: Judge, name: string): void {
  judge.enter('blacklist');
  const list = commandLineOption(judge.commandLine, 'module_blacklist');
  if (list === undefined || !list.split(',').includes(name)) return;
  const why = `The kernel was started with module_blacklist=${list}, which names this module.`;
  const hint =
    'Take the name off the kernel command line. (modprobe.blacklist= is another thing: only kmod reads it.)';
  judge.reject('blacklist', Errno.EPERM, `Module ${name} is blacklisted`, why, hint);
}

/** try_to_force_load: what the module lacks is let pass, at the price of a taint, if the kernel was built so. */
export function forceLoad(judge: Judge, name: string, reason: string): boolean {
  if (!judge.has('force-load')) return false;
  if (!judge.tainted(TAINT.FORCED_MODULE)) judge.say(Level.WARNING, `${name}: ${reason}: kernel tainted.`);
  judge.taint(TAINT.FORCED_MODULE, true);
  return true;
}

/** With symbol versions the release need not match, only the words behind it (same_magic). */
export function sameMagic(module: string, kernel: string, hasVersions: boolean): boolean {
  if (!hasVersions) return module === kernel;
  const tail = (magic: string) => (magic.includes(' ') ? magic.slice(magic.indexOf(' ')) : '');
  return tail(module) === tail(kernel);
}

/** What can refuse the module; newer kernels do the tainting only once the module has its name. */
export function checkModinfo(judge: Judge, file: ModuleFile, flags: LoadFlags): void {
  checkVermagic(judge, file, flags);
  if (judge.has('early-duplicate-check')) checkLivepatch(judge, file);
  else taintByModinfo(judge, file);
}

/** The taints that .modinfo gives rise to (module_augment_kernel_taints from 6.4 on). */
export function taintByModinfo(judge: Judge, file: ModuleFile): void {
  const { name, modinfo } = file;
  judge.enter('out-of-tree');
  if (modinfo.get('intree') === undefined) {
    if (!judge.tainted(TAINT.OOT_MODULE)) {
      judge.say(Level.WARNING, `${name}: loading out-of-tree module taints kernel.`);
    }
    judge.taint(TAINT.OOT_MODULE);
  }
  checkRetpoline(judge, file);
  judge.enter('staging');
  if (modinfo.get('staging') !== undefined) {
    judge.taint(TAINT.CRAP);
    const text = 'module is from the staging directory, the quality is unknown, you have been warned.';
    judge.say(Level.WARNING, `${name}: ${text}`);
  }
  checkLivepatch(judge, file);
  taintByLivepatch(judge, file);
  checkLicence(judge, name, modinfo.get('license') ?? 'unspecified');
  judge.enter('test');
  if (judge.has('test-taint') && modinfo.get('test') !== undefined) {
    if (!judge.tainted(TAINT.TEST)) judge.say(Level.WARNING, `${name}: loading test module taints kernel.`);
    judge.taint(TAINT.TEST);
  }
}

function checkVermagic(judge: Judge, file: ModuleFile, flags: LoadFlags): void {
  judge.enter('vermagic');
  const given = flags.ignoreVermagic ? undefined : file.modinfo.get('vermagic');
  if (given === undefined) {
    if (forceLoad(judge, file.name, 'bad vermagic')) return;
    const why =
      'The module does not say which kernel it was built for, and this kernel does not load such modules.';
    judge.refuse('vermagic', Errno.ENOEXEC, why, 'Build it with kbuild, which writes the vermagic.');
  }
  const { vermagic, gaps } = judge.kernel;
  const versioned = judge.has('symbol-versions') && file.versions !== undefined && !flags.ignoreModversions;
  if (gaps?.has('vermagic') || (gaps?.has('release') && !versioned)) {
    const how = 'give the kernel image, or the headers package (its configuration and utsrelease.h)';
    judge.unknown({ what: `the kernel's vermagic, to compare with '${given}'`, how });
    return;
  }
  if (sameMagic(given, vermagic, versioned)) return;
  const message = `${file.statedName}: version magic '${given}' should be '${vermagic}'`;
  judge.reject(
    'vermagic',
    Errno.ENOEXEC,
    message,
    whyMagic(given, vermagic),
    'Build or fetch the module for this kernel.',
  );
}

function whyMagic(module: string, kernel: string): string {
  const words = (magic: string) => magic.trim().split(/\s+/);
  const [release, ...options] = words(module);
  const [own, ...wanted] = words(kernel);
  const more = options.filter((word) => !wanted.includes(word));
  const fewer = wanted.filter((word) => !options.includes(word));
  const parts: string[] = [];
  if (release !== own) parts.push(`it was built for ${release}, this is ${own}`);
  if (more.length > 0) parts.push(`it was built with ${more.join(', ')}, this kernel was not`);
  if (fewer.length > 0) parts.push(`this kernel was built with ${fewer.join(', ')}, the module was not`);
  if (parts.length === 0) parts.push('the two strings differ in order or blanks');
  return `The module does not fit: ${parts.join('; ')}.`;
}

/** retpoline_module_ok: only a machine that needs return trampolines asks for them. */
function checkRetpoline(judge: Judge, { name, modinfo }: ModuleFile): void {
  judge.enter('retpoline');
  if (!judge.has('retpoline-check') || modinfo.get('retpoline') !== undefined) return;
  judge.say(Level.ERR, 'Spectre V2 : System may be vulnerable to spectre v2');
  judge.say(Level.WARNING, `${name}: loading module not compiled with retpoline compiler.`);
}

function checkLivepatch(judge: Judge, { name, modinfo }: ModuleFile): void {
  judge.enter('livepatch');
  if (modinfo.get('livepatch') === undefined || judge.has('livepatch')) return;
  const message = `${name}: module is marked as livepatch module, but livepatch support is disabled`;
  const why = 'This kernel was built without live patching.';
  judge.reject('livepatch', Errno.ENOEXEC, message, why, 'Use a kernel with CONFIG_LIVEPATCH.');
}

function taintByLivepatch(judge: Judge, { name, modinfo }: ModuleFile): void {
  if (modinfo.get('livepatch') === undefined) return;
  judge.taint(TAINT.LIVEPATCH);
  if (judge.firstTime('livepatch')) judge.say(Level.NOTICE, `${name}: tainting kernel with TAINT_LIVEPATCH`);
}

function checkLicence(judge: Judge, name: string, licence: string): void {
  judge.enter('licence');
  if (isGplCompatible(licence)) return;
  if (!judge.tainted(TAINT.PROPRIETARY)) {
    judge.say(Level.WARNING, `${name}: module license '${licence}' taints kernel.`);
  }
  judge.taint(TAINT.PROPRIETARY, true);
}

/**
 * A string of .modinfo without a tag, right behind the licence, is how modules have passed as GPL: the kernel stops reading
 * at the NUL (`MODULE_LICENSE("GPL\0for nothing but the header")`).
 */
export function nulFindings(modinfo: ModInfo): Finding[] {
  const { strays } = modinfo;
  if (strays.length === 0) return [];
  const licence = modinfo.get('license') ?? '';
  const quoted = strays.map((text) => JSON.stringify(text)).join(', ');
  const text =
    `.modinfo holds text that no tag introduces: ${quoted}. The kernel reads the licence as '${licence}' because it stops ` +
    'at a NUL byte; what the author wrote goes on after it.';
  return [{ id: 'embedded-nul', text }];
}

/** For callers that want what the kernel does not do: a licence with a NUL in it is refused. */
export function checkStrictLicence(judge: Judge, file: ModuleFile): void {
  const [finding] = nulFindings(file.modinfo);
  if (finding === undefined) return;
  judge.refuse(
    'embedded-nul',
    Errno.ENOEXEC,
    finding.text,
    'The kernel itself would load it: switch strict licences off.',
  );
}
