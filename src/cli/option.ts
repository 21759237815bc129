/** What an option of a command is: data, read by the parser, help, manual pages and completion. */

/** What a value looks like, for shell completion: a file, a folder, or one of a few words. */
export type Completion = 'file' | 'module' | 'directory' | 'none' | readonly string[];

export interface OptionSpec {
  /** Without the dashes: `kernel` is given as `--kernel`. */
  readonly name: string;
  /** One letter: `o` is given as `-o`. */
  readonly short?: string;
  /** How help names the value, in capitals. Absent: the option takes none. */
  readonly value?: string;
  /** `integer` values are checked and arrive as numbers (0 to 2^53-1). Default `text`. */
  readonly type?: 'text' | 'integer';
  /** The largest integer that is taken. */
  readonly most?: number;
  /** May be given several times; the values arrive in order. */
  readonly repeat?: boolean;
  /** The only values there are. */
  readonly choices?: readonly string[];
  readonly complete?: Completion;
  /** The value is a file that will be written: whether it can be is asked before the work begins. */
  readonly writes?: boolean;
  /** One line, lower case, no full stop. */
  readonly summary: string;
  /** More, for the man page. */
  readonly details?: string;
}
