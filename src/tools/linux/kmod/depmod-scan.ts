/**
 * Reads the modules of a depmod run, on two threads where that pays. Files are announced as the tree is searched; both
 * threads take the next one from a shared counter, so the work divides itself whatever the files are like, and a second
 * thread that starts late, or never, costs nothing.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { ElfFacts, NotAModule } from '../../../systems/linux/tree/elf-facts.ts';
import { type Facts, FactTable } from '../../../systems/linux/tree/facts.ts';
import { NameTable } from '../../../systems/linux/tree/name-table.ts';
import { scanModule } from '../../../systems/linux/tree/scan-module.ts';
import type { Archives } from '../../files.ts';
import { type AliasInput, type MadeFile, makeAliasIndexes } from './alias-index.ts';
import { reason } from './bytes-path.ts';
import { ModuleReader, SourceError } from './module-source.ts';

/** Fewer modules than this are read before a second thread has started (measured). */
export const ENOUGH = 500;
/** Milliseconds without any progress of the second thread after which its work is done here. */
const PATIENCE = 20_000;
/** Files and bytes of paths that can be announced; the memory is there when it is used. */
const MOST_FILES = 1 << 16;
const MOST_TEXT = 1 << 24;

/** Words of the control block. */
const CONTROL = { ANNOUNCED: 0, ALL: 1, NEXT: 2, STATE: 3, PROGRESS: 4, JOB: 5, WORDS: 6 } as const;
/** What STATE says of the second thread. */
const STATE = { STARTING: 0, SCANNING: 1, SCANNED: 2, MADE: 3 } as const;

/** Reads one module file into the table; what is wrong with it becomes messages of its row. */
export function readInto(
  table: FactTable,
  reader: ModuleReader,
  file: number,
  path: string,
  withVersions: boolean,
  scan: typeof scanModule = scanModule,
): void {
  let errors: readonly string[] = [];
  try {
    const failed = reader.with(path, (source) => scan(new ElfFacts(source), table, withVersions));
    if (failed !== undefined) errors = [cannotLoad(path, failed)];
  } catch (error) {
    table.dropSymbols();
    table.dropInfo();
    errors = openErrors(path, error);
  }
  table.end(file, errors);
}

const cannotLoad = (path: string, code: string): string =>
  `failed to load symbols from ${path}: ${reason({ code })}\n`;

/** A file that cannot be opened is tried for its symbols, its .modinfo and its needs: the library complains each time. */
function openErrors(path: string, error: unknown): string[] {
  if (!(error instanceof SourceError) && !(error instanceof NotAModule)) throw error;
  const code = error instanceof SourceError ? error.code : error.errno;
  const said = error instanceof SourceError && error.said !== undefined ? [`${error.said}\n`] : [];
  const later = error instanceof SourceError ? error.later.map((text) => `${text}\n`) : [];
  return [...said, cannotLoad(path, code), ...later];
}

/** Memory of both threads: the list of files, and who takes which. */
export interface Board {
  readonly control: Int32Array;
  /** Paths, one after the other, and where each ends. */
  readonly text: Uint8Array;
  readonly ends: Int32Array;
  /** By file: 1 when the second thread took it. */
  readonly second: Uint8Array;
  readonly withVersions: boolean;
}

function makeBoard(withVersions: boolean): Board {
  return {
    control: new Int32Array(new SharedArrayBuffer(4 * CONTROL.WORDS)),
    text: new Uint8Array(new SharedArrayBuffer(MOST_TEXT)),
    ends: new Int32Array(new SharedArrayBuffer(4 * MOST_FILES)),
    second: new Uint8Array(new SharedArrayBuffer(MOST_FILES)),
    withVersions,
  };
}

/** The next file that nobody has taken; -1 = none is announced. */
function take(control: Int32Array): number {
  for (;;) {
    const next = Atomics.load(control, CONTROL.NEXT);
    if (next >= Atomics.load(control, CONTROL.ANNOUNCED)) return -1;
    if (Atomics.compareExchange(control, CONTROL.NEXT, next, next + 1) === next) return next;
  }
}

/** What was read, and the thread that still has its part of it. */
export interface Scanned {
  readonly parts: readonly Facts[];
  readonly helper: Helper | undefined;
}

/** The second thread, seen from the first. */
export class Helper {
  private readonly port: MessagePort;
  private readonly worker: Worker;
  private readonly board: Board;
  private announced = 0;
  private textEnd = 0;

  constructor(program: string, withVersions: boolean) {
    this.board = makeBoard(withVersions);
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    port1.unref();
    this.worker = new Worker(program, {
      workerData: { port: port2, board: this.board },
      transferList: [port2],
    });
    this.worker.unref();
    // A thread that cannot start leaves its work to this one.
    this.worker.on('error', () => {});
  }

  /** A second thread, where there is the program for it and a processor. */
  static start(program: string | undefined, withVersions: boolean): Helper | undefined {
    if (program === undefined || availableParallelism() < 2 || !existsSync(program)) return undefined;
    return new Helper(program, withVersions);
  }

  /** Offers a file to both threads. Files are numbered in the order of these calls. */
  announce(path: string): void {
    const { text, ends, control } = this.board;
    if (this.announced >= MOST_FILES || this.textEnd + path.length > MOST_TEXT) return;
    for (let i = 0; i < path.length; i++) text[this.textEnd++] = path.charCodeAt(i);
    ends[this.announced++] = this.textEnd;
    Atomics.store(control, CONTROL.ANNOUNCED, this.announced);
    if ((this.announced & 15) === 0) Atomics.notify(control, CONTROL.ANNOUNCED);
  }

  /** Reads the rest on both threads. `paths` are all files that were found, of which the first were announced. */
  scan(paths: readonly string[], names: NameTable): Scanned {
    const { control, second, withVersions } = this.board;
    Atomics.store(control, CONTROL.ALL, 1);
    Atomics.notify(control, CONTROL.ANNOUNCED);
    const table = new FactTable(names);
    const reader = new ModuleReader(undefined, true, table.names);
    const read = (file: number) => readInto(table, reader, file, paths[file], withVersions);
    for (let file = take(control); file >= 0; file = take(control)) read(file);
    for (let file = this.announced; file < paths.length; file++) read(file);
    const theirs = this.theirFacts();
    if (theirs !== undefined) return { parts: [table.facts(), theirs], helper: this };
    this.leave();
    for (let file = 0; file < this.announced; file++) if (second[file] === 1) read(file);
    return { parts: [table.facts()], helper: undefined };
  }

  private theirFacts(): Facts | undefined {
    if (Atomics.load(this.board.control, CONTROL.STATE) === STATE.STARTING) return undefined;
    return this.wait(STATE.SCANNING) ? (receiveMessageOnPort(this.port)?.message as Facts) : undefined;
  }

  /** Has the alias indexes made by the other thread; the function returned gives them. */
  makeAliases(input: AliasInput): () => readonly MadeFile[] {
    this.port.postMessage(input);
    this.go();
    return () => {
      const made = this.wait(STATE.SCANNED) ? receiveMessageOnPort(this.port)?.message : undefined;
      this.leave();
      return (made as readonly MadeFile[] | undefined) ?? makeAliasIndexes(input);
    };
  }

  private go(): void {
    Atomics.store(this.board.control, CONTROL.JOB, 1);
    Atomics.notify(this.board.control, CONTROL.JOB);
  }

  /** Waits until the thread's state is another; false when it makes no progress. */
  private wait(state: number): boolean {
    const { control } = this.board;
    let progress = -1;
    while (Atomics.load(control, CONTROL.STATE) === state) {
      const now = Atomics.load(control, CONTROL.PROGRESS);
      if (now === progress) return false;
      progress = now;
      Atomics.wait(control, CONTROL.STATE, state, PATIENCE);
    }
    return true;
  }

  /** Ends the thread. */
  leave(): void {
    this.port.close();
    Atomics.store(this.board.control, CONTROL.ALL, 1);
    this.go();
    void this.worker.terminate();
  }
}

/** What the second thread does. */
export function help(board: Board, port: MessagePort): void {
  const { control } = board;
  const state = (value: number): void => {
    Atomics.store(control, CONTROL.STATE, value);
    Atomics.notify(control, CONTROL.STATE);
  };
  state(STATE.SCANNING);
  port.postMessage(secondShare(board));
  state(STATE.SCANNED);
  Atomics.wait(control, CONTROL.JOB, 0);
  const input = receiveMessageOnPort(port)?.message as AliasInput | undefined;
  if (input === undefined) return;
  port.postMessage(makeAliasIndexes(input));
  state(STATE.MADE);
}

function secondShare({ control, text, ends, second, withVersions }: Board): Facts {
  const table = new FactTable(new NameTable());
  const reader = new ModuleReader(undefined, true, table.names);
  const paths = Buffer.from(text.buffer);
  for (;;) {
    const announced = Atomics.load(control, CONTROL.ANNOUNCED);
    const file = take(control);
    if (file >= 0) {
      second[file] = 1;
      const path = paths.toString('latin1', file === 0 ? 0 : ends[file - 1], ends[file]);
      readInto(table, reader, file, path, withVersions);
      Atomics.add(control, CONTROL.PROGRESS, 1);
    } else if (Atomics.load(control, CONTROL.ALL) === 1) return table.facts();
    else Atomics.wait(control, CONTROL.ANNOUNCED, announced, 50);
  }
}

/** Scans on this thread alone. */
export function scanAlone(
  paths: readonly string[],
  withVersions: boolean,
  names: NameTable,
  archives?: Archives,
  scan?: typeof scanModule,
): Scanned {
  const table = new FactTable(names);
  const reader = new ModuleReader(archives, false, table.names);
  paths.forEach((path, file) => {
    readInto(table, reader, file, path, withVersions, scan);
  });
  return { parts: [table.facts()], helper: undefined };
}
