/** --summary: of messages that differ in names alone the first few are shown, the others counted. */
import type { Level } from './output.ts';

/** Shown of each kind. */
const SHOWN = 3;
/** More kinds than this are no flood of one kind, and are all shown. */
const MOST_KINDS = 10_000;
const FATAL = 2;

export class Summary {
  private readonly kinds = new Map<string, { readonly level: Level; count: number }>();

  /** Is this one more of a kind that was shown often enough? */
  swallows(level: Level, text: string): boolean {
    if (level <= FATAL) return false;
    const kind = kindOf(text);
    let known = this.kinds.get(kind);
    if (known === undefined) {
      if (this.kinds.size >= MOST_KINDS) return false;
      known = { level, count: 0 };
      this.kinds.set(kind, known);
    }
    return ++known.count > SHOWN;
  }

  /** One line for each kind of which something was swallowed. */
  lines(): { readonly level: Level; readonly text: string }[] {
    return [...this.kinds].flatMap(([kind, { level, count }]) =>
      count > SHOWN ? [{ level, text: `${count - SHOWN} more like: ${kind}\n` }] : [],
    );
  }
}

/** The message with paths, quoted words, numbers and names of symbols left out. */
function kindOf(text: string): string {
  return text
    .trimEnd()
    .replace(/'[^']*'|"[^"]*"/g, '...')
    .replace(/\S*\/\S*|\b(0x)?[0-9a-f]*\d[0-9a-f]*\b/g, '...')
    .replace(/\b(symbol|[Mm]odule) \S+/g, '$1 ...');
}
