/** Where a module tool's words go: standard output and error, with the tool's own marks of how grave they are. */

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
  err(text: string): void;
  /** Standard output is a terminal: lines appear at once. */
  readonly isTTY?: boolean;
}

/** Takes messages in place of standard error. */
export interface MessageLog {
  write(level: Level, text: string): void;
}

/** So much is written together: what a pipe's buffer of the C library is to the tools, but larger. */
const TOGETHER = 1 << 16;

/** The tools print addresses of their own memory here, which tell nobody anything. */
export const NO_POINTER = '0x0';

/** Text here is a string of bytes (Latin-1); the streams get it as bytes. */
export class ToolOutput {
  /** As messages name the tool: `depmod`. */
  readonly tool: string;
  /** Messages beyond this are not written. */
  level: number = Level.WARNING;
  /** KMOD_LOG: how much the library says before the tool has taken over. */
  libraryLevel: number = Level.ERROR;
  private takenOver = false;
  /** Where messages go instead of standard error (-s). */
  log: MessageLog | undefined;
  private readonly streams: ToolStreams;
  private waiting = '';

  constructor(tool: string, streams: ToolStreams) {
    this.tool = tool;
    this.streams = streams;
  }

  /** Standard output as it is. Kept back until `flush` unless it is a terminal: what commands write may overtake it. */
  print(text: string): void {
    this.waiting += text;
    if (this.streams.isTTY === true || this.waiting.length > TOGETHER) this.flush();
  }

  flush(): void {
    if (this.waiting !== '') this.streams.out(Buffer.from(this.waiting, 'latin1'));
    this.waiting = '';
  }

  printBytes(bytes: Uint8Array): void {
    this.flush();
    this.streams.out(bytes);
  }

  /** Standard error as it is. */
  printError(text: string): void {
    this.streams.err(Buffer.from(text, 'latin1').toString());
  }

  /** `TOOL: ERROR: text` on standard error; `text` brings its own line feed. FATAL ends the tool. */
  say(level: Level, text: string): void {
    if (level > this.level) return;
    if (this.log !== undefined) this.log.write(level, `${NAMES[level]}: ${text}`);
    else this.printError(`${this.tool}: ${NAMES[level]}: ${text}`);
    if (level === Level.FATAL) throw new ToolExit(1);
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

  /**
   * An error of the tools' library, from its function `where`: in the library's own form until the tool has taken over its
   * messages.
   */
  libraryError(where: string, text: string): void {
    if (this.takenOver) {
      this.say(Level.ERROR, text);
      return;
    }
    if (this.libraryLevel < Level.ERROR) return;
    this.printError(`libkmod: ERROR: ${where}: ${text}`);
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
