/** A flame graph: stacks as boxes above each other, as wide as their share of the samples. */

interface Box {
  readonly name: string;
  readonly children: Map<string, Box>;
  samples: number;
}

const WIDTH = 1200;
const ROW = 18;
const HEAD = 40;
const MARGIN = 10;
/** Boxes narrower than this many pixels are left out. */
const MIN_WIDTH = 0.3;
/** Of the font, in pixels a letter. */
const LETTER = 7;
const MAX_DEPTH = 200;

/** An SVG of folded stacks, biggest share first from the left; the title stands above it. */
export function flameGraph(stacks: ReadonlyMap<string, number>, title: string): string {
  const root: Box = { name: 'all', children: new Map(), samples: 0 };
  for (const [stack, samples] of stacks) add(root, stack.split(';').slice(0, MAX_DEPTH), samples);
  const height = HEAD + (depthOf(root) + 1) * ROW + MARGIN;
  const scale = (WIDTH - 2 * MARGIN) / Math.max(1, root.samples);
  const boxes: string[] = [];
  draw(root, MARGIN, 0, { scale, height, total: root.samples, boxes });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`,
    ` font-family="monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fffdf7"/>`,
    `<text x="${WIDTH / 2}" y="24" text-anchor="middle" font-size="15">${escapeXml(title)}</text>`,
    ...boxes,
    '</svg>\n',
  ].join('\n');
}

function add(root: Box, names: readonly string[], samples: number): void {
  root.samples += samples;
  let box = root;
  for (const name of names) {
    let child = box.children.get(name);
    if (child === undefined) {
      child = { name, children: new Map(), samples: 0 };
      box.children.set(name, child);
    }
    child.samples += samples;
    box = child;
  }
}

function depthOf(box: Box): number {
  return Math.max(0, ...[...box.children.values()].map((child) => 1 + depthOf(child)));
}

interface Canvas {
  /** Pixels a sample. */
  readonly scale: number;
  readonly height: number;
  readonly total: number;
  readonly boxes: string[];
}

function draw(box: Box, x: number, depth: number, canvas: Canvas): void {
  const width = box.samples * canvas.scale;
  if (width < MIN_WIDTH) return;
  const y = canvas.height - MARGIN - (depth + 1) * ROW;
  const share = ((100 * box.samples) / Math.max(1, canvas.total)).toFixed(1);
  const tip = escapeXml(`${box.name}: ${box.samples} samples, ${share}%`);
  const letters = Math.floor((width - 6) / LETTER);
  const text =
    letters < 3 ? '' : box.name.length <= letters ? box.name : `${box.name.slice(0, letters - 1)}…`;
  canvas.boxes.push(
    `<g><title>${tip}</title><rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" ` +
      `rx="2" fill="${colour(box.name)}"/><text x="${(x + 3).toFixed(1)}" y="${y + 13}">${escapeXml(text)}</text></g>`,
  );
  let at = x;
  const children = [...box.children.values()].sort(
    (a, b) => b.samples - a.samples || (a.name < b.name ? -1 : 1),
  );
  for (const child of children) {
    draw(child, at, depth + 1, canvas);
    at += child.samples * canvas.scale;
  }
}

/** Warm for code of modules, cool for the kernel's; the same name has the same colour in every graph. */
function colour(name: string): string {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) >>> 0;
  const hue = name.includes('[') ? 10 + (hash % 45) : 190 + (hash % 40);
  return `hsl(${hue} 80% ${66 + (hash % 14)}%)`;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`).replace(/[^\x20-\x7e…]/g, '?');
}
