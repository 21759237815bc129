/**
 * Would this file load? The rules of a load over a view of a kernel: its width, its symbols, and files for the
 * dependencies. Nothing is loaded, and nothing of the module runs, so what its _init decides stays open.
 */
import { FormatError } from '../../../bytes/errors.ts';
import { elfObject } from '../../../formats/elf/object.ts';
import type { ElfFile } from '../../../formats/elf/read.ts';
import { relocationMachine } from '../../../link/machines.ts';
import { MAX_NAME, readDependencies } from '../depends.ts';
import { describeSolaris, type LinkageDescription } from '../describe.ts';
import { checkFile, type FileView } from './file.ts';
import { checkSignature, type SignatureGate } from './signature.ts';
import { unresolved } from './symbols.ts';

export interface CheckView extends FileView {
  /** Is it a symbol of unix, genunix or another module that is there from the start? */
  primary(name: string): boolean;
  /** The file of a dependency (`misc/foo`), found along the module path. */
  module(name: string): ElfFile | undefined;
  /** Functions of a module of the system for which the base kernel stands, where there is no file of it. */
  part?(name: string): RegExp | undefined;
  /** `exclude:` of /etc/system. */
  readonly excluded: readonly string[];
  /** The major number of a driver in /etc/name_to_major; `null` when that table is not at hand. */
  major(driver: string): number | null | undefined;
  /** The number of a system call in /etc/name_to_sysnum; `null` when that table is not at hand. */
  systemCall(name: string): number | null | undefined;
  readonly signatures: SignatureGate;
}

export interface CheckResult {
  readonly rule: string;
  readonly verdict: 'pass' | 'refuse' | 'note';
  /** In our words. */
  readonly why: string;
  /** What the kernel would print. */
  readonly said: readonly string[];
}

/** The rules in the order of a load, up to the first that refuses. `path` ends in the module's name. */
export function checkModule(view: CheckView, bytes: Uint8Array, path: string): CheckResult[] {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (view.excluded.some((one) => one === path || one.slice(one.lastIndexOf('/') + 1) === name))
    return [refuse('excluded', `/etc/system excludes ${name}.`)];
  const verdict = checkFile(view, bytes, path);
  if ('refused' in verdict) {
    const { rule, why, said } = verdict.refused;
    return [
      refuse(
        rule,
        why,
        said.map(([, text]) => text),
      ),
    ];
  }
  try {
    return checkContents(view, verdict.elf, { name, path });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return [refuse('damaged', `The file is damaged: ${error.message}.`)];
  }
}

const pass = (rule: string, why: string): CheckResult => ({ rule, verdict: 'pass', why, said: [] });
const note = (rule: string, why: string): CheckResult => ({ rule, verdict: 'note', why, said: [] });
const refuse = (rule: string, why: string, said: readonly string[] = []): CheckResult => ({
  rule,
  verdict: 'refuse',
  why,
  said,
});

function checkContents(view: CheckView, elf: ElfFile, file: { name: string; path: string }): CheckResult[] {
  const results = [pass('file', 'krtld takes the file.')];
  const signed = checkSignature(view.signatures, elf, file.path);
  if (signed !== undefined) {
    const said = signed.said.map(([, text]) => text);
    if (signed.errno !== 0) return [...results, refuse(signed.rule, signed.why, said)];
    results.push({ ...note(signed.rule, signed.why), said });
  }
  results.push(...checkSymbols(view, elf, file), ...checkRelocations(elf, file.path));
  if (results.some(({ verdict }) => verdict === 'refuse')) return results;
  const { linkages, init, fini } = describeSolaris(elf);
  if (!init) return [...results, refuse('no-init', 'It has no _init of its own.')];
  if (!fini) results.push(note('no-fini', 'It has no _fini: once loaded, it stays.'));
  return [...results, ...linkages.flatMap((linkage) => checkLinkage(view, file.name, linkage))];
}

function checkSymbols(view: CheckView, elf: ElfFile, { path }: { path: string }): CheckResult[] {
  const { names } = readDependencies(elf);
  const long = names.find((one) => one.length > MAX_NAME);
  if (long !== undefined) {
    const text = `${path}: dependency '${long}' too long (max ${MAX_NAME} chars)`;
    return [refuse('dependency-name', text, [text])];
  }
  const files = names.map((one) => view.module(one));
  const parts = names.map((one) => view.part?.(one));
  const results = names.flatMap((one, i) =>
    files[i] === undefined && parts[i] === undefined
      ? [note('dependency', `There is no file for its dependency ${one}.`)]
      : [],
  );
  const exported = files.map((file) => new Set(file === undefined ? [] : definitions(file)));
  const left = unresolved<true>(
    {
      dependencies: exported.length,
      dependency: (index, name) => (exported[index].has(name) || parts[index]?.test(name) ? true : undefined),
      primary: (name) => (view.primary(name) ? true : undefined),
    },
    elfObject(elf),
  );
  if (left.length === 0) return [...results, pass('symbols', 'Every symbol it needs is to be had.')];
  const module = path.slice(path.lastIndexOf('/') + 1);
  const said = [
    ...left.flatMap(({ name }) => [`${path}: undefined symbol`, ` '${name}'`]),
    `WARNING: mod_load: cannot load module '${module}'`,
  ];
  const list = left.map(({ name }) => name).join(', ');
  return [
    ...results,
    refuse('symbols', `${left.length} of the symbols it needs cannot be had: ${list}.`, said),
  ];
}

const definitions = (elf: ElfFile): string[] =>
  elfObject(elf)
    .symbols.filter(({ binding, place }) => binding !== 'local' && place !== 'undefined')
    .map(({ name }) => name);

/** Types that krtld has no form for; whether values fit is seen when there are addresses. */
function checkRelocations(elf: ElfFile, path: string): CheckResult[] {
  const object = elfObject(elf);
  const machine = relocationMachine(object.machine);
  if (machine === undefined) return [];
  for (const section of object.sections) {
    if (!section.allocated) continue;
    const bad = object.relocations(section.index).find(({ type }) => !machine.forms.has(type));
    if (bad === undefined) continue;
    const said = [
      `krtld: invalid relocation type ${bad.type} at 0x${bad.offset.toString(16)}: file=${path}`,
      `do_relocations: ${path} do_relocate failed`,
      `${path} error doing relocations`,
    ];
    return [refuse('relocation', `krtld does not know relocation type ${bad.type}.`, said)];
  }
  return [pass('relocation', 'krtld knows the types of its relocations.')];
}

/** What mod_install would say of the linkage. */
function checkLinkage(view: CheckView, name: string, { kind }: LinkageDescription): CheckResult[] {
  if (kind === 'driver' && view.major(name) === null)
    return [note('no-major', `It must be bound to a major number first: add_drv ${name}.`)];
  if (kind === 'driver' && view.major(name) === undefined)
    return [
      refuse('no-major', `No major number is bound to ${name} in /etc/name_to_major: add_drv ${name}.`),
    ];
  if (kind === 'system call' && view.systemCall(name) === null)
    return [note('no-number', `It must have a number in /etc/name_to_sysnum: ${name}.`)];
  if (kind === 'system call' && view.systemCall(name) === undefined)
    return [
      refuse('no-number', `No number is bound to ${name} in /etc/name_to_sysnum.`, [
        'WARNING: system call missing from bind file',
      ]),
    ];
  return [];
}
