/** Dependencies as a drawing: users to the left of what they need, a column for each step. */
import type { ModuleNode } from '../catalog/module-graph.ts';

const [ROW, COLUMN, WIDTH, HEIGHT, MARGIN] = [34, 220, 170, 22, 20];

export function depsSvg(nodes: readonly ModuleNode[], title: string): string {
  const places = layOut(nodes);
  const columns = Math.max(0, ...[...places.values()].map(({ column }) => column)) + 1;
  const rows = Math.max(0, ...[...places.values()].map(({ row }) => row)) + 1;
  const at = ({ column, row }: Place) => [MARGIN + column * COLUMN, 2 * MARGIN + row * ROW] as const;
  const arrows: string[] = [];
  const boxes: string[] = [];
  for (const [node, place] of places) {
    const [x, y] = at(place);
    boxes.push(
      `<rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="4" fill="#9ecae9" stroke="#4c78a8"/>` +
        `<text x="${x + WIDTH / 2}" y="${y + 15}" text-anchor="middle">${escaped(node.entry.name)}</text>`,
    );
    for (const used of node.needs) {
      const other = places.get(used);
      if (other === undefined) continue;
      const [toX, toY] = at(other);
      const [fromX, fromY, endY] = [x + WIDTH, y + HEIGHT / 2, toY + HEIGHT / 2];
      const bend = (fromX + toX) / 2;
      arrows.push(
        `<path d="M${fromX},${fromY} C${bend},${fromY} ${bend},${endY} ${toX},${endY}" marker-end="url(#to)"/>`,
      );
    }
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${2 * MARGIN + columns * COLUMN}" height="${3 * MARGIN + rows * ROW}" font-family="monospace" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    '<defs><marker id="to" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#666"/></marker></defs>',
    '<rect width="100%" height="100%" fill="#fff"/>',
    `<g fill="none" stroke="#666">${arrows.join('\n')}</g>`,
    ...boxes,
    '</svg>',
    '',
  ].join('\n');
}

interface Place {
  readonly column: number;
  readonly row: number;
}

/** The column of a node is the longest way to it from one that nobody needs; rounds are bounded, as there may be cycles. */
function layOut(nodes: readonly ModuleNode[]): Map<ModuleNode, Place> {
  const columns = new Map<ModuleNode, number>(nodes.map((node) => [node, 0]));
  for (let round = 0, changed = true; changed && round < nodes.length; round++) {
    changed = false;
    for (const node of nodes)
      for (const used of node.needs) {
        const column = (columns.get(node) ?? 0) + 1;
        const known = columns.get(used);
        if (known === undefined || known >= column || column >= nodes.length) continue;
        columns.set(used, column);
        changed = true;
      }
  }
  const rows = new Map<number, number>();
  return new Map(
    nodes.map((node) => {
      const column = columns.get(node) ?? 0;
      const row = rows.get(column) ?? 0;
      rows.set(column, row + 1);
      return [node, { column, row }];
    }),
  );
}

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`).replace(/[^\n\x20-\x7e]/g, '?');
