/** The one screen of `lkm inspect`. */

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
}: ModuleFacts): Row[] {
  const order = littleEndian ? 'little-endian' : 'big-endian';
  const what = modinfo === undefined ? 'no kernel module (it has no .modinfo)' : 'Linux kernel module';
  const packed = compression === undefined ? '' : `, ${fileBytes} bytes as ${compression}`;
  return [
    ['is', what],
    ['format', `ELF, ${bits} bit, ${order}, ${kind}, for ${machine}; ${bytes} bytes${packed}`],
  ];
}

function infoRows({ modinfo, parameters }: ModuleFacts): Row[] {
  if (modinfo === undefined) return [];
  const rows: Row[] = [];
  const add = (label: string, text: string | undefined) => {
    if (text !== undefined && text !== '') rows.push([label, text]);
  };
  add('name', modinfo.get('name'));
  add('description', modinfo.all('description').join('; '));
  add('author', modinfo.all('author').join('; '));
  add('version', modinfo.get('version'));
  rows.push(['licence', licenceText(modinfo.get('license'), modinfo.strays)]);
  rows.push(['built for', modinfo.get('vermagic')?.trim() ?? 'it does not say (no vermagic)']);
  rows.push(['origin', originText(modinfo)]);
  rows.push(['depends on', modinfo.depends.join(', ') || 'no other module']);
  add('softdep', modinfo.all('softdep').join('; '));
  add('namespaces', modinfo.all('import_ns').join(', '));
  add('firmware', few(modinfo.all('firmware'), 'files'));
  add('matches', few(modinfo.all('alias'), 'device patterns'));
  parameters.forEach(({ name, type, description }, i) => {
    const about = description ? `: ${description}` : '';
    rows.push([i === 0 ? 'parameters' : '', `${name}${type ? ` (${type})` : ''}${about}`]);
  });
  return rows;
}

function licenceText(licence: string | undefined, strays: readonly string[]): string {
  const hidden = strays.length > 0 ? `  BEWARE: text hidden behind a NUL byte: "${strays[0]}"` : '';
  return `${licence ?? 'it does not say, which counts as proprietary'}${hidden}`;
}

function originText(modinfo: NonNullable<ModuleFacts['modinfo']>): string {
  const parts = [modinfo.get('intree') === 'Y' ? "the kernel's own source tree" : 'out of tree'];
  if (modinfo.get('staging') === 'Y') parts.push('staging: of unknown quality');
  if (modinfo.get('livepatch') === 'Y') parts.push('a live patch');
  if (modinfo.get('retpoline') === undefined) parts.push('built without retpolines');
  return parts.join(', ');
}

function few(values: readonly string[], what: string): string {
  if (values.length === 0) return '';
  return values.length <= FEW ? values.join(', ') : `${values.length} ${what}, such as ${values[0]}`;
}

function linkRows({ imports, exports, stripped, modinfo }: ModuleFacts, options: ScreenOptions): Row[] {
  if (stripped)
    return [['symbols', modinfo === undefined ? 'none' : 'none: it was stripped, no kernel can link it']];
  const rows: Row[] = [];
  const versioned = imports.filter(({ crc }) => crc !== undefined).length;
  const without = imports.length - versioned;
  const versions =
    versioned === 0 ? ', without versions' : without > 0 ? `, ${without} of them without version` : '';
  const names = imports.map(({ name }) => name);
  const listed = imports.length <= FEW || options.imports ? '' : '  (--imports lists them)';
  rows.push(['needs', imports.length === 0 ? 'nothing' : `${count(names)}${versions}${listed}`]);
  if (modinfo === undefined && exports.length === 0) return rows;
  const gpl = exports.filter(({ gplOnly }) => gplOnly).length;
  const more = exports.length <= FEW || options.exports ? '' : '  (--exports lists them)';
  const offered = exports.map(({ name }) => name);
  rows.push([
    'offers',
    exports.length === 0 ? 'nothing' : `${count(offered)}, ${gpl} for GPL modules only${more}`,
  ]);
  return rows;
}

function count(names: readonly string[]): string {
  const list = names.length <= FEW ? `: ${names.join(', ')}` : '';
  return `${names.length} ${names.length === 1 ? 'symbol' : 'symbols'}${list}`;
}

function sizeRows({ sizes, signatureBytes, modinfo, sections }: ModuleFacts): Row[] {
  if (modinfo === undefined) return [];
  const { code, readOnly, data, init } = sizes;
  const total = code + readOnly + data + init;
  const back = init > 0 ? `, ${init} given back once it has started` : '';
  const debug = ['.BTF', '.debug_info'].filter((name) => sections.some((section) => section.name === name));
  return [
    ['memory', `${total} bytes: code ${code}, read-only ${readOnly}, data ${data}${back}`],
    ['debug data', debug.join(', ') || 'none'],
    ['signature', signatureBytes === 0 ? 'none' : `${signatureBytes} bytes, appended (not checked here)`],
  ];
}

const hexCrc = (crc: number | undefined) =>
  crc === undefined ? '-'.padEnd(10) : `0x${crc.toString(16).padStart(8, '0')}`;

function importLines({ imports }: ModuleFacts): string[] {
  const lines = imports.map(
    ({ name, crc, weak }) => `  ${hexCrc(crc)}  ${printable(name)}${weak ? '  (weak)' : ''}`,
  );
  return [`Needs (version, name): ${imports.length}`, ...lines];
}

function exportLines({ exports }: ModuleFacts): string[] {
  const lines = exports.map(({ name, crc, gplOnly, namespace }) => {
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
