/** check_module_license_and_versions, verify_exported_symbols and mod_sysfs_init (kernel/module/main.c, sysfs.c). */
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import { TAINT } from '../taint-bits.ts';
import { type Judge, Level } from './judge.ts';
import { forceLoad } from './modinfo.ts';

/** Parameters as they were before 2.6 are in a section of their own, which nobody reads any more. */
export function checkObsolete(judge: Judge, file: ModuleFile): void {
  judge.enter('obsolete-parameters');
  if (file.section('__obsparm') === undefined) return;
  judge.say(Level.WARNING, `${file.name}: Ignoring obsolete parameters`);
}

/**
 * Names that are tainted whatever they say of themselves; ndiswrapper taints the kernel, not itself. `before`: the kernel
 * was tainted before the module's own licence was looked at, or (up to 6.3) behind that.
 */
export function checkLicenceNames(
  judge: Judge,
  file: ModuleFile,
  before: boolean,
  taintKernelAlone: () => void,
): void {
  judge.enter('licence-names');
  if (file.name === 'ndiswrapper') taintKernelAlone();
  if (file.name === 'driverloader' || file.name === 'lve') judge.taint(TAINT.PROPRIETARY, true);
  if (!before && judge.tainted(TAINT.PROPRIETARY)) {
    judge.say(Level.WARNING, `${file.name}: module license taints kernel.`);
  }
}

/** An entry of an export table has twelve bytes or more (include/linux/export.h); less is no entry (section_objs). */
const SMALLEST_ENTRY = 12;
const exportsAny = (file: ModuleFile, table: string): boolean =>
  (file.section(table)?.size ?? 0) >= SMALLEST_ENTRY;

/** Kernels that keep flags of exports in a table of their own want it, and have no other table for the GPL. */
export function checkExportFlags(judge: Judge, file: ModuleFile): void {
  judge.enter('export-flags');
  if (!judge.has('export-flags')) return;
  for (const name of ['__ksymtab_gpl', '__kcrctab_gpl']) {
    if (file.section(name) === undefined) continue;
    judge.say(Level.WARNING, `${file.name}: ignoring obsolete section ${name}`);
  }
  if (!exportsAny(file, '__ksymtab') || file.section('__kflagstab') !== undefined) return;
  const why = 'The module exports symbols without the flags that this kernel keeps beside them.';
  judge.reject(
    'export-flags',
    Errno.ENOEXEC,
    `${file.name}: no flags for exported symbols`,
    why,
    'Build it against headers of this kernel.',
  );
}

/** Exports without versions, in a kernel that compares them. */
export function checkExportVersions(judge: Judge, file: ModuleFile): void {
  judge.enter('export-versions');
  if (!judge.has('symbol-versions')) return;
  const lacks = (table: string, crcs: string) => exportsAny(file, table) && file.section(crcs) === undefined;
  if (!lacks('__ksymtab', '__kcrctab') && !lacks('__ksymtab_gpl', '__kcrctab_gpl')) return;
  if (forceLoad(judge, file.name, 'no versions for exported symbols')) return;
  const why = 'The module exports symbols without versions, and this kernel compares versions.';
  judge.refuse(
    'export-versions',
    Errno.ENOEXEC,
    why,
    'Build it against headers of this kernel (Module.symvers).',
  );
}

/** setup_modinfo: namespaces that name the modules they are for cannot be imported. */
export function checkNamespaceImports(judge: Judge, { name, modinfo }: ModuleFile): void {
  judge.enter('namespace-import');
  if (!judge.has('module-namespaces')) return;
  const wrong = modinfo.all('import_ns').find((namespace) => namespace.startsWith('module:'));
  if (wrong === undefined) return;
  const message = `${name}: module tries to import module namespace: ${wrong}`;
  const why = `It imports the namespace ${wrong}: such a namespace is open to the modules it names, to no others.`;
  judge.reject('namespace-import', Errno.EPERM, message, why, 'Take the MODULE_IMPORT_NS out.');
}

/** No name twice. `ownerOf` gives `kernel`, a module's name, or undefined. */
export function checkDuplicateSymbols(
  judge: Judge,
  file: ModuleFile,
  names: Iterable<string>,
  ownerOf: (symbol: string) => string | undefined,
): void {
  judge.enter('duplicate-symbol');
  for (const name of names) {
    const owner = ownerOf(name);
    if (owner === undefined) continue;
    const message = `${file.name}: exports duplicate symbol ${name} (owned by ${owner})`;
    const why = `It exports ${name}, which ${owner === 'kernel' ? 'the kernel itself' : `the module ${owner}`} exports.`;
    const hint =
      owner === 'kernel'
        ? 'The kernel has this code built in, or the symbol must be renamed.'
        : `Unload ${owner} first, or rename the symbol.`;
    judge.reject('duplicate-symbol', Errno.ENOEXEC, message, why, hint);
  }
}

/** /sys/module/NAME must be free. */
export function checkSysfsName(
  judge: Judge,
  name: string,
  taken: boolean,
  warned: () => void = () => {},
): void {
  judge.enter('name-in-sysfs');
  if (name === '') {
    judge.say(Level.WARNING, '------------[ cut here ]------------');
    judge.say(Level.WARNING, 'kobject: (____ptrval____): attempted to be registered with empty name!');
    warned();
    const why = 'The module has no name, and everything in /sys has one.';
    judge.refuse('name-in-sysfs', Errno.EINVAL, why, 'Build the module with kbuild, which names it.');
  }
  if (!taken) return;
  const message = `${name}: module is already loaded`;
  const why = `A part of the kernel has the name ${name}: /sys/module/${name} is there already.`;
  judge.reject('name-in-sysfs', Errno.EINVAL, message, why, 'Give the module another name.');
}

/**
 * Every section that is loaded has a file in /sys/module/NAME/sections. Where two have one name the kernel says so, with a
 * trace (`trace`), and goes on; newer ones give up. 6.1 goes on and 6.12 does not; in between, what came with 6.10 stands
 * for the change, which leaves no trace in an image.
 */
export function checkSectionNames(
  judge: Judge,
  name: string,
  sections: readonly string[],
  trace: () => void,
): void {
  const twice = sections.find((one, index) => sections.indexOf(one) < index);
  if (twice === undefined) return;
  judge.say(Level.WARNING, `sysfs: cannot create duplicate filename '/module/${name}/sections/${twice}'`);
  trace();
  if (!judge.has('execmem-words')) return;
  const why = `Two sections are called ${twice}, and each wants a file of its name in /sys/module/${name}/sections.`;
  judge.refuse('name-in-sysfs', Errno.EEXIST, why, 'Give the sections different names.');
}
