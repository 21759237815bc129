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
}

/** Text here is a string of bytes (Latin-1); the streams get it as bytes. */
export class ToolOutput {
  /** As messages name the tool: `depmod`. */
  readonly tool: string;
  /** Messages beyond this are not written. */
  level: number = Level.WARNING;
  private readonly streams: ToolStreams;

  constructor(tool: string, streams: ToolStreams) {
    this.tool = tool;
    this.streams = streams;
  }

  /** Standard output as it is. */
  print(text: string): void {
    this.streams.out(Buffer.from(text, 'latin1'));
  }

  /** Standard error as it is. */
  printError(text: string): void {
    this.streams.err(Buffer.from(text, 'latin1').toString());
  }

  /** `TOOL: ERROR: text` on standard error; `text` brings its own line feed. FATAL ends the tool. */
  say(level: Level, text: string): void {
    if (level > this.level) return;
    this.printError(`${this.tool}: ${NAMES[level]}: ${text}`);
    if (level === Level.FATAL) throw new ToolExit(1);
  }

  error(text: string): void {
    this.say(Level.ERROR, text);
  }

  /** An error of the tools' library before the tool has taken over its messages; `where` is the library's function. */
  libraryError(where: string, text: string): void {
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
