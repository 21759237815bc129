/** The memory map as a drawing: each area a bar, wide by the logarithm of its size, with its used part filled. */
import { hexAddress } from '../memory/address.ts';
import type { MapRow } from '../systems/linux/memory-report.ts';
import { sizeText } from './memory-text.ts';

const ROW = 18;
const LEFT = 330;
const FULL = 420;
/** From one page to 64 GiB: bars of very different sizes on one drawing. */
const SMALLEST = 12;
const LARGEST = 36;

const COLOURS: Readonly<Record<string, string>> = {
  'r-x': '#4c78a8',
  'r--': '#9ecae9',
  'rw-': '#f58518',
  rwx: '#e45756',
};

export function mapSvg(rows: readonly MapRow[], title: string): string {
  const height = (rows.length + 3) * ROW;
  const bars = rows.map((row, i) => bar(row, (i + 2) * ROW)).join('\n');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + FULL + 30}" height="${height}" font-family="monospace" font-size="11">`,
    `<title>${svgText(title)}</title>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="10" y="${ROW}" font-weight="bold">${svgText(title)}</text>`,
    bars,
    `<text x="10" y="${height - 6}" fill="#666">bar: size of the area (logarithmic); dark part: pages that have a frame</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function bar({ base, bytes, permissions, what, touched }: MapRow, y: number): string {
  const width = (size: number) =>
    size <= 0 ? 0 : Math.max(3, (FULL * (Math.log2(size) - SMALLEST + 1)) / (LARGEST - SMALLEST + 1));
  const colour = COLOURS[permissions] ?? '#bab0ac';
  const label = `${hexAddress(base)} ${permissions} ${sizeText(bytes)}`;
  return [
    `<text x="10" y="${y + 12}">${svgText(label)}</text>`,
    `<rect x="${LEFT}" y="${y + 2}" width="${width(bytes).toFixed(1)}" height="${ROW - 4}" fill="${colour}" fill-opacity="0.3"/>`,
    `<rect x="${LEFT}" y="${y + 2}" width="${width(touched * 4096).toFixed(1)}" height="${ROW - 4}" fill="${colour}"/>`,
    `<text x="${LEFT + 4}" y="${y + 12}">${svgText(what)}</text>`,
  ].join('');
}

function svgText(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[^\n\x20-\x7e]/g, '?');
}
