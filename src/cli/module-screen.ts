/** The one screen of `lkm inspect`. */

import type { Machine } from '../formats/object.ts';
import type { ImportsBySource } from '../systems/linux/describe.ts';
import type { ModInfo } from '../systems/linux/module-file.ts';
import { wrap } from './help.ts';
import type { ModuleFacts } from './module-facts.ts';
import { printable } from './printable.ts';
import type { Style } from './style.ts';

export interface ScreenOptions {
  readonly imports: boolean;
  readonly exports: boolean;
  readonly sections: boolean;
  readonly columns: number;
  readonly style: Style;
}

const LABEL = 13;
/** Longer lists are counted on the screen and listed on request. */
const FEW = 6;

export function moduleScreen(path: string, facts: ModuleFacts, options: ScreenOptions): string {
  const rows = [...fileRows(facts), ...infoRows(facts), ...linkRows(facts, options), ...sizeRows(facts)];
  const lines = [options.style.bold(printable(path))];
  for (const [label, text] of rows) {
    const [first, ...rest] = wrap(
      printable(text).replace(/\s+/g, ' '),
      Math.max(30, options.columns - LABEL - 2),
    );
    lines.push(`  ${options.style.dim(label.padEnd(LABEL - 1))} ${first}`);
    for (const more of rest) lines.push(' '.repeat(LABEL + 2) + more);
  }
  if (options.imports) lines.push('', ...importLines(facts));
  if (options.exports) lines.push('', ...exportLines(facts));
  if (options.sections) lines.push('', ...sectionLines(facts));
  return lines.join('\n') + '\n';
}

type Row = readonly [label: string, text: string];

function fileRows({
  compression,
  fileBytes,
  bytes,
  bits,
  littleEndian,
  machine,
  kind,
  modinfo,
  description,
}: ModuleFacts): Row[] {
  const order = littleEndian ? 'little-endian' : 'big-endian';
  const isModule = modinfo !== undefined || description.before26 !== undefined;
  const what = isModule ? 'Linux kernel module' : 'no kernel module (it has no .modinfo)';
  const packed = compression === undefined ? '' : `, ${fileBytes} bytes as ${compression}`;
  return [
    ['is', what],
    ['format', `ELF, ${bits} bit, ${order}, ${kind}, for ${machine}; ${bytes} bytes${packed}`],
  ];
}

function infoRows({ modinfo, description, machine }: ModuleFacts): Row[] {
  if (modinfo === undefined && description.before26 === undefined) return [];
  const rows: Row[] = [];
  const add = (label: string, text: string) => {
    if (text !== '') rows.push([label, text]);
  };
  add('name', description.name);
  add('description', description.descriptions.join('; '));
  add('author', description.authors.join('; '));
  add('version', description.version);
  rows.push(['licence', licenceText(description)]);
  for (const { text } of description.findings) rows.push(['BEWARE', text]);
  rows.push(['built for', builtFor(description)]);
  if (modinfo !== undefined && description.before26 === undefined)
    rows.push(['origin', originText(description, modinfo, machine)]);
  if (description.before26 === undefined)
    rows.push(['depends on', description.depends.join(', ') || 'no other module']);
  add('softdep', description.softDepends.join('; '));
  add('namespaces', description.importNamespaces.join(', '));
  add('firmware', few(description.firmware, 'files'));
  add('matches', few(description.aliases, 'device patterns'));
  description.parameters.forEach(({ name, type, description: about }, i) => {
    const text = `${name}${type ? ` (${type})` : ''}${about ? `: ${about}` : ''}`;
    rows.push([i === 0 ? 'parameters' : '', text]);
  });
  return rows;
}

function builtFor({ vermagic, before26 }: ModuleFacts['description']): string {
  if (before26 === undefined) return vermagic.trim() || 'it does not say (no vermagic)';
  const release = before26.release === '' ? 'a release it does not say' : before26.release;
  const versions = before26.versioned ? ', with versions in the names of symbols' : '';
  return `Linux ${release}, before 2.6: its insmod links the file itself${versions}; later kernels refuse it`;
}

function licenceText({ licence, gplCompatible }: ModuleFacts['description']): string {
  if (licence === '') return 'it does not say, which counts as proprietary';
  return gplCompatible ? licence : `${licence} (proprietary to the kernel: it will be tainted)`;
}

function originText(
  { inTree, staging }: ModuleFacts['description'],
  modinfo: ModInfo,
  machine: Machine,
): string {
  const parts = [inTree ? "the kernel's own source tree" : 'out of tree'];
  if (staging) parts.push('staging: of unknown quality');
  if (modinfo.get('livepatch') !== undefined) parts.push('a live patch');
  const x86 = machine === 'x86-64' || machine === 'i386';
  if (x86 && modinfo.get('retpoline') === undefined) parts.push('built without retpolines');
  return parts.join(', ');
}

function few(values: readonly string[], what: string): string {
  if (values.length === 0) return '';
  return values.length <= FEW ? values.join(', ') : `${values.length} ${what}, such as ${values[0]}`;
}

function linkRows({ description, stripped, modinfo }: ModuleFacts, options: ScreenOptions): Row[] {
  if (stripped)
    return [['symbols', modinfo === undefined ? 'none' : 'none: it was stripped, no kernel can link it']];
  const { imports, exports, importsBySource } = description;
  const versioned = imports.filter(({ crc }) => crc !== undefined).length;
  const without = imports.length - versioned;
  const versions =
    versioned === 0 ? ', without versions' : without > 0 ? `, ${without} of them without version` : '';
  const listed = imports.length <= FEW || options.imports ? '' : '  (--imports lists them)';
  const rows: Row[] = [['needs', imports.length === 0 ? 'nothing' : `${count(imports)}${versions}${listed}`]];
  if (importsBySource !== undefined && imports.length > 0)
    rows.push(['of these', sourceText(importsBySource)]);
  if (modinfo === undefined && exports.length === 0) return rows;
  const gpl = exports.filter(({ gplOnly }) => gplOnly).length;
  const more = exports.length <= FEW || options.exports ? '' : '  (--exports lists them)';
  rows.push([
    'offers',
    exports.length === 0 ? 'nothing' : `${count(exports)}; ${gpl} for GPL modules only${more}`,
  ]);
  return rows;
}

/** What a run in the sandbox would find. */
function sourceText({ ours, standIns, missing, fromModules }: ImportsBySource): string {
  const part = (names: readonly string[], what: string) => {
    if (names.length === 0) return [];
    const list = names.length <= FEW ? ` (${names.join(', ')})` : '';
    return [`${names.length} ${what}${list}`];
  };
  return [
    `${ours.length} are written in lkm's base kernel`,
    ...part(standIns, 'could be stood in for'),
    ...part(missing, 'are missing in it'),
    ...part(fromModules, 'must come from other modules'),
  ].join(', ');
}

function count(symbols: readonly { readonly name: string }[]): string {
  const names = symbols.map(({ name }) => name).sort();
  const list = names.length <= FEW ? `: ${names.join(', ')}` : '';
  return `${names.length} ${names.length === 1 ? 'symbol' : 'symbols'}${list}`;
}

function sizeRows({ description, modinfo, sections }: ModuleFacts): Row[] {
  if (modinfo === undefined) return [];
  const { text, rodata, data, init } = description.memory;
  const back = init > 0 ? `, and ${init} given back once it has started` : '';
  const debug = ['.BTF', '.debug_info'].filter((name) => sections.some((section) => section.name === name));
  return [
    [
      'memory',
      `${text + rodata + data + init} bytes: code ${text}, read-only ${rodata}, data ${data}${back}`,
    ],
    ['debug data', debug.join(', ') || 'none'],
    ['signature', signatureText(description.signature)],
  ];
}

function signatureText({ present, signer, key, hash }: ModuleFacts['description']['signature']): string {
  if (!present) return 'none';
  return signer === ''
    ? 'there is one, which cannot be read'
    : `by ${signer} (key ${key}, ${hash}); not checked here`;
}

const byName = <T extends { readonly name: string }>(list: readonly T[]): T[] =>
  [...list].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));

const hexCrc = (crc: number | undefined) =>
  crc === undefined ? '-'.padEnd(10) : `0x${crc.toString(16).padStart(8, '0')}`;

function importLines({ description: { imports } }: ModuleFacts): string[] {
  const lines = byName(imports).map(
    ({ name, crc, weak }) => `  ${hexCrc(crc)}  ${printable(name)}${weak ? '  (weak)' : ''}`,
  );
  return [`Needs (version, name): ${imports.length}`, ...lines];
}

function exportLines({ description: { exports } }: ModuleFacts): string[] {
  const lines = byName(exports).map(({ name, crc, gplOnly, namespace }) => {
    const notes = [gplOnly ? 'GPL only' : '', namespace ? `namespace ${namespace}` : ''].filter(
      (one) => one !== '',
    );
    return `  ${hexCrc(crc)}  ${printable(name + (notes.length > 0 ? `  (${notes.join(', ')})` : ''))}`;
  });
  return [`Offers (version, name): ${exports.length}`, ...lines];
}

function sectionLines({ sections }: ModuleFacts): string[] {
  const lines = sections.map(({ name, size, permissions, init }) => {
    const where = permissions === '' ? 'file only' : permissions + (init ? ', until started' : '');
    return `  ${String(size).padStart(10)}  ${printable(name).padEnd(32)}  ${where}`;
  });
  return [`Sections (bytes, name, in memory): ${sections.length}`, ...lines];
}
