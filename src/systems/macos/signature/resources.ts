/**
 * The seal over what else is in a bundle (`_CodeSignature/CodeResources`): hashes of its files, and the rules that say which
 * files must have one. `files2` with `rules2` count where they are (10.9.5 and later), else `files` with `rules`.
 */
import { hexOf } from '../../../bytes/hex.ts';
import { digest } from '../../../formats/macho/codesign/verify.ts';
import type { KextBundle } from '../bundle.ts';
import { isDict, type PlistDict, type PlistValue, readPlist } from '../plist.ts';
import { joinPath } from '../tree.ts';

export interface SealReport {
  /** 1 or 2; undefined when the bundle has no seal. */
  readonly version: 1 | 2 | undefined;
  readonly rules: number;
  readonly files: number;
  readonly faults: readonly string[];
}

const SHA1_TYPE = 1;
const SHA256_TYPE = 2;
/** What is never sealed: the seal itself, and the ticket that is stapled to the bundle afterwards. */
const UNSEALED = /^(_CodeSignature(\/|$)|CodeResources$|_MASReceipt(\/|$))/;
const NO_SEAL: SealReport = { version: undefined, rules: 0, files: 0, faults: [] };

/** @throws FormatError when the list is no property list */
export function checkSeal(bundle: KextBundle): SealReport {
  const bytes = bundle.tree.read(joinPath(bundle.contents, '_CodeSignature/CodeResources'));
  if (bytes === undefined) return NO_SEAL;
  const list = readPlist(bytes, 'CodeResources');
  const version = isDict(list.files2) ? 2 : 1;
  const entries = version === 2 ? list.files2 : list.files;
  const rules = version === 2 ? list.rules2 : list.rules;
  const files: PlistDict = isDict(entries) ? entries : {};
  const ruleset = isDict(rules) ? readRules(rules) : [];
  const faults = Object.entries(files).flatMap(([name, entry]) => checkFile(bundle, name, entry));
  faults.push(...added(bundle, files, ruleset));
  return { version, rules: ruleset.length, files: Object.keys(files).length, faults };
}

function checkFile(bundle: KextBundle, name: string, entry: PlistValue): string[] {
  const path = joinPath(bundle.contents, name);
  const node = bundle.tree.lookUp(path);
  const optional = isDict(entry) && entry.optional === true;
  if (node === undefined) return optional ? [] : [`${name} is missing`];
  const changed = [`${name} has changed since it was signed`];
  if (isDict(entry) && typeof entry.symlink === 'string')
    return node.kind === 'link' && node.target === entry.symlink ? [] : changed;
  const wanted = hashOf(entry);
  // Code that is signed itself answers for itself.
  if (wanted === undefined) return [];
  const file = bundle.tree.read(path);
  const own = file === undefined ? undefined : digest(wanted.type, file);
  return own !== undefined && hexOf(own) === hexOf(wanted.hash) ? [] : changed;
}

function hashOf(entry: PlistValue): { type: number; hash: Uint8Array } | undefined {
  if (entry instanceof Uint8Array) return { type: SHA1_TYPE, hash: entry };
  if (!isDict(entry)) return undefined;
  if (entry.hash2 instanceof Uint8Array) return { type: SHA256_TYPE, hash: entry.hash2 };
  return entry.hash instanceof Uint8Array ? { type: SHA1_TYPE, hash: entry.hash } : undefined;
}

interface Rule {
  readonly pattern: RegExp;
  readonly weight: number;
  readonly omit: boolean;
  readonly nested: boolean;
}

/** Repeated groups could make a search run for ever; no rule of Apple's tools has one. */
const REPEATED_GROUP = /\)[*+{]/;
const MAX_PATTERN = 200;

function readRules(rules: PlistDict): Rule[] {
  return Object.entries(rules).flatMap(([text, value]) => {
    const pattern = patternOf(text);
    if (pattern === undefined || value === false) return [];
    const flags = isDict(value) ? value : {};
    const weight = typeof flags.weight === 'number' ? flags.weight : Number(flags.weight ?? 1);
    return [{ pattern, weight, omit: flags.omit === true, nested: flags.nested === true }];
  });
}

function patternOf(text: string): RegExp | undefined {
  if (text.length > MAX_PATTERN || REPEATED_GROUP.test(text)) return undefined;
  try {
    return new RegExp(text);
  } catch {
    return undefined;
  }
}

/** Files that a rule wants sealed and that are not. */
function added(bundle: KextBundle, files: PlistDict, rules: readonly Rule[]): string[] {
  const faults: string[] = [];
  const executable = bundle.executablePath();
  let inside: string | undefined;
  for (const path of bundle.tree.walk(bundle.contents)) {
    const name = path.slice(bundle.contents.length + 1);
    const kind = bundle.tree.lookUp(path)?.kind;
    if (name === '' || path === executable || UNSEALED.test(name)) continue;
    if (inside !== undefined && path.startsWith(inside)) continue;
    const rule = rules
      .filter(({ pattern }) => pattern.test(name))
      .reduce<Rule | undefined>(
        (best, one) => (best === undefined || one.weight > best.weight ? one : best),
        undefined,
      );
    if (kind === 'folder') {
      // A bundle inside has a seal of its own.
      if (rule?.nested === true && /\.[a-z]+$/i.test(name)) inside = `${path}/`;
      continue;
    }
    if (rule === undefined || rule.omit || Object.hasOwn(files, name)) continue;
    faults.push(`${name} was added after it was signed`);
  }
  return faults;
}
