/** Where a module tool's words go: standard output and error, with the tool's own marks of how grave they are. */
import { ByteText } from './byte-text.ts';
import { NO_OWN_OPTIONS, type OwnOptions } from './own-options.ts';
import { Summary } from './summary.ts';

/** syslog's numbers. */
export const Level = { FATAL: 2, ERROR: 3, WARNING: 4, NOTICE: 5, INFO: 6, DEBUG: 7 } as const;
export type Level = (typeof Level)[keyof typeof Level];

const NAMES: Readonly<Record<Level, string>> = {
  2: 'FATAL',
  3: 'ERROR',
  4: 'WARNING',
  5: 'NOTICE',
  6: 'INFO',
  7: 'DEBUG',
};

/** The tool ends here with this exit code; what it had to say is written. */
export class ToolExit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.name = 'ToolExit';
    this.code = code;
  }
}

export interface ToolStreams {
  out(text: string | Uint8Array): void;
  err(text: string | Uint8Array): void;
  /** Standard output is a terminal: lines appear at once. */
  readonly isTTY?: boolean;
}

/** Takes messages in place of standard error. */
export interface MessageLog {
  write(level: Level, text: string): void;
}

/** What a tool did, for --json: lists under stable names. */
export interface ToolFacts {
  readonly [name: string]: unknown;
  readonly messages: readonly { readonly level: string; readonly text: string }[];
}

/** So much is written together: what a pipe's buffer of the C library is to the tools, but larger. */
const TOGETHER = 1 << 16;

/** The tools print addresses of their own memory here, which tell nobody anything. */
export const NO_POINTER = '0x0';

const NOT_ASCII = /[^\x00-\x7f]/;
const decode = (text: string): string => Buffer.from(text, 'latin1').toString();

/** Text here is a string of bytes (Latin-1); the streams get it as bytes. */
export class ToolOutput {
  /** As messages name the tool: `depmod`. */
  readonly tool: string;
  /** Messages beyond this are not written. */
  level: number = Level.WARNING;
  /** KMOD_LOG: how much the library says before the tool has taken over. */
  libraryLevel: number = Level.ERROR;
  /** Where messages go instead of standard error (-s). */
  log: MessageLog | undefined;
  private takenOver = false;
  private readonly streams: ToolStreams;
  private readonly json: boolean;
  private readonly summary: Summary | undefined;
  private terminal: boolean | undefined;
  private readonly waiting = new ByteText();
  private readonly lists = new Map<string, unknown>();
  private messages: { level: string; text: string }[] = [];

  constructor(tool: string, streams: ToolStreams, own: OwnOptions = NO_OWN_OPTIONS) {
    this.tool = tool;
    this.streams = streams;
    this.json = own.json;
    this.summary = own.summary ? new Summary() : undefined;
  }

  /** Standard output as it is. Kept back until `flush` unless it is a terminal: what commands write may overtake it. */
  print(text: string): void {
    this.waiting.text(text);
    this.printed();
  }

  /** As print, for what is written piece by piece. */
  printWith(write: (text: ByteText) => void): void {
    write(this.waiting);
    this.printed();
  }

  /** Somebody reads along. Asked for once, and not before something is printed: it is a call of the system. */
  get onTerminal(): boolean {
    this.terminal ??= this.streams.isTTY === true;
    return this.terminal;
  }

  private printed(): void {
    if (!this.json && (this.onTerminal || this.waiting.length > TOGETHER)) this.flush();
  }

  flush(): void {
    if (!this.json && this.waiting.length > 0) this.streams.out(this.waiting.take());
  }

  printBytes(bytes: Uint8Array): void {
    if (this.json) return;
    this.flush();
    this.streams.out(bytes);
  }

  // -- facts for --json -------------------------------------------------------------------------------------

  /** Facts are asked for, not text. */
  get takesFacts(): boolean {
    return this.json;
  }

  /** One more of a list; what is a string of bytes is decoded. Costs nothing without --json. */
  note(list: string, value: () => unknown): void {
    if (!this.json) return;
    const known = this.lists.get(list);
    if (Array.isArray(known)) known.push(decoded(value()));
    else this.lists.set(list, [decoded(value())]);
  }

  /** A single fact. */
  record(name: string, value: () => unknown): void {
    if (this.json) this.lists.set(name, decoded(value()));
  }

  /** What was noted since the last time; text only where nothing was. */
  takeFacts(): ToolFacts {
    const facts = Object.fromEntries(this.lists);
    const waiting = this.waiting.take().toString();
    const text = this.lists.size === 0 && waiting !== '' ? { text: waiting } : {};
    const { messages } = this;
    this.lists.clear();
    this.messages = [];
    return { ...facts, ...text, messages };
  }

  // -- messages ---------------------------------------------------------------------------------------------

  /** Standard error as it is. */
  printError(text: string): void {
    if (this.json) this.messages.push({ level: 'error', text: decode(text).trimEnd() });
    // Names are bytes, whatever they are.
    else this.streams.err(NOT_ASCII.test(text) ? Buffer.from(text, 'latin1') : text);
  }

  /** `TOOL: ERROR: text` on standard error; `text` brings its own line feed. FATAL ends the tool. */
  say(level: Level, text: string): void {
    if (level > this.level) return;
    if (this.summary?.swallows(level, text) !== true) this.write(level, text);
    if (level === Level.FATAL) throw new ToolExit(1);
  }

  private write(level: Level, text: string): void {
    if (this.json) this.messages.push({ level: NAMES[level].toLowerCase(), text: decode(text).trimEnd() });
    else if (this.log !== undefined) this.log.write(level, `${NAMES[level]}: ${text}`);
    else this.printError(`${this.tool}: ${NAMES[level]}: ${text}`);
  }

  /** --summary: how many messages were swallowed. */
  finish(): void {
    for (const { level, text } of this.summary?.lines() ?? []) this.write(level, text);
    this.flush();
  }

  /**
   * An error of the tools' library, from its function `where`: in the library's own form until the tool has taken over its
   * messages.
   */
  libraryError(where: string, text: string): void {
    if (this.takenOver) this.say(Level.ERROR, text);
    else if (this.libraryLevel < Level.ERROR) return;
    else if (this.json) this.write(Level.ERROR, text);
    else if (this.summary?.swallows(Level.ERROR, text) !== true)
      this.printError(`libkmod: ERROR: ${where}: ${text}`);
  }

  /** From here on the library speaks with the tool's voice, up to this level. */
  takeOver(level: number): void {
    this.level = level;
    this.takenOver = true;
    this.say(Level.INFO, `custom logging function ${NO_POINTER} registered\n`);
  }

  /** The tool has done its work. */
  release(): void {
    if (this.takenOver) this.say(Level.INFO, `context ${NO_POINTER} released\n`);
  }

  error(text: string): void {
    this.say(Level.ERROR, text);
  }

  warn(text: string): void {
    this.say(Level.WARNING, text);
  }

  /** @throws ToolExit */
  fatal(text: string): never {
    this.say(Level.FATAL, text);
    throw new ToolExit(1);
  }
}

/** Strings of bytes inside facts, as text. */
function decoded(value: unknown): unknown {
  if (typeof value === 'string') return decode(value);
  if (Array.isArray(value)) return value.map(decoded);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [decode(key), decoded(one)]));
}
