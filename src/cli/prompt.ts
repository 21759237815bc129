/** The shell at a terminal: line editing, history kept between sessions, completion, ^C and ^D. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeFolder } from '../targets/make-folder.ts';
import type { Shell } from './shell.ts';

/** Lines of history that are kept: more than a person searches through. */
const HISTORY_LINES = 1000;

export interface PromptStreams {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Reads and runs lines until ^D or `exit`; resolves to the code of the last command. `name` names the history. */
export async function runPrompt(shell: Shell, name: string, streams: PromptStreams): Promise<number> {
  const history = new History(historyPath(name, streams.environment));
  const lines = createInterface({
    input: streams.input,
    output: streams.output,
    history: history.load(),
    historySize: HISTORY_LINES,
    removeHistoryDuplicates: true,
    completer: (line: string) => shell.complete(line),
  });
  // ^C drops the line that is being typed, as in any shell.
  lines.on('SIGINT', () => {
    streams.output.write('^C\n');
    lines.write(null, { ctrl: true, name: 'e' });
    lines.write(null, { ctrl: true, name: 'u' });
    lines.prompt();
  });
  lines.setPrompt(shell.prompt());
  lines.prompt();
  for await (const line of lines) {
    lines.pause();
    history.add(line);
    await shell.line(line);
    if (shell.finished) break;
    lines.setPrompt(shell.prompt());
    lines.prompt();
  }
  lines.close();
  if (!shell.finished) streams.output.write('\n');
  return shell.lastCode;
}

/** XDG base directories: history is state. */
function historyPath(name: string, environment: Readonly<Record<string, string | undefined>>): string {
  const state = environment.XDG_STATE_HOME || join(homedir(), '.local', 'state');
  return join(state, 'lkm', `${name}.history`);
}

/** A file of lines, oldest first. History is a comfort: a home that cannot be written is no reason to stop. */
class History {
  readonly #path: string;
  #last = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** Newest first, as readline wants it. */
  load(): string[] {
    let lines: string[];
    try {
      lines = readFileSync(this.#path, 'utf8')
        .split('\n')
        .filter((line) => line !== '');
    } catch {
      return [];
    }
    if (lines.length > 2 * HISTORY_LINES) {
      lines = lines.slice(-HISTORY_LINES);
      this.#try(() => writeFileSync(this.#path, `${lines.join('\n')}\n`, { mode: 0o600 }));
    }
    this.#last = lines.at(-1) ?? '';
    return lines.reverse();
  }

  add(line: string): void {
    if (line.trim() === '' || line === this.#last) return;
    this.#last = line;
    this.#try(() => {
      makeFolder(dirname(this.#path));
      appendFileSync(this.#path, `${line}\n`, { mode: 0o600 });
    });
  }

  #try(write: () => void): void {
    try {
      write();
    } catch {
      // Said above: no history then.
    }
  }
}
