/**
 * How loud a message is, and what the kernel says of a request (xnu libkern/OSKextLibPrivate.h, kOSKextLog...). The kernel's
 * own log takes what is no louder than its filter; a tool that asks the kernel itself hears what passes the tool's filter.
 */
import type { Macos } from './macos.ts';

export const LOUDNESS = {
  error: 1,
  warning: 2,
  basic: 3,
  progress: 4,
  step: 5,
  detail: 6,
  debug: 7,
} as const;

const LEVEL_MASK = 7;
/** Words of single kexts beyond the basic ones are heard only by those who ask for everything (`-v 6`). */
const ALL_KEXTS = 8;

export interface KernelLine {
  readonly text: string;
  readonly loudness: number;
}

/** Whether a filter (a level, and 8 for all kexts) lets a message about a kext through. */
export const passes = (filter: number, loudness: number): boolean =>
  loudness <= (filter & LEVEL_MASK) && (loudness <= LOUDNESS.basic || (filter & ALL_KEXTS) !== 0);

/** What the kernel says of a request, beside its log: user-space tools repeat it with the prefix `(kernel)`. */
export class KernelWords {
  private readonly all: KernelLine[] = [];
  private readonly k: Macos;
  /** The boot argument `kextlog`, or the basic level. */
  private readonly filter: number;

  constructor(k: Macos) {
    this.k = k;
    const set = /\bkextlog=(0x[0-9a-f]+|\d+)/i.exec(k.bootArgs)?.[1];
    this.filter = set === undefined ? LOUDNESS.basic : Number(set);
  }

  say(text: string, loudness: number = LOUDNESS.error): void {
    for (const line of text.split('\n')) {
      this.all.push({ text: line, loudness });
      if (passes(this.filter, loudness)) this.k.print(`${line}\n`);
    }
  }

  /** What passes a tool's filter. */
  heard(filter: number): readonly string[] {
    return this.all.filter(({ loudness }) => passes(filter, loudness)).map(({ text }) => text);
  }
}
