/**
 * A load in progress. Every step that changes the kernel records how to undo it; a refusal or a failure at any
 * step unwinds in reverse and leaves memory, symbols, log position and lists as they were.
 */
import { isSteps, type Steps } from './steps.ts';

export type UndoStep = () => Steps<void> | void;

export interface Undo {
  readonly what: string;
  readonly step: UndoStep;
}

/** Raised by the failure injector; tests fail a load at each step in turn. */
export class InjectedFailure extends Error {
  constructor(step: string) {
    super(`failure injected before '${step}'`);
    this.name = 'InjectedFailure';
  }
}

export class Transaction {
  private readonly undos: Undo[] = [];
  private finished = false;
  private readonly inject: ((step: string) => void) | undefined;

  /** `inject` is called with the name of each step before it runs; it may throw to make that step fail. */
  constructor(inject?: (step: string) => void) {
    this.inject = inject;
  }

  /** Names the step that follows. */
  step(what: string): void {
    this.inject?.(what);
  }

  /** Records how to undo what was just done. */
  undo(what: string, step: UndoStep): void {
    if (this.finished) throw new Error(`undo '${what}' recorded after the transaction ended`);
    this.undos.push({ what, step });
  }

  /** Does and records in one go: `acquire` runs now, `release` when the transaction is unwound. */
  acquire<T>(what: string, acquire: () => T, release: (value: T) => ReturnType<UndoStep>): T {
    this.step(what);
    const value = acquire();
    this.undo(what, () => release(value));
    return value;
  }

  /** Forgets the recorded undo steps named `what`: their work now belongs to someone else. */
  keep(what: string): void {
    for (let i = this.undos.length - 1; i >= 0; i--) {
      if (this.undos[i].what === what) this.undos.splice(i, 1);
    }
  }

  /** The load succeeded: nothing is undone any more. Returns the undo steps, last first, for an unload to use. */
  commit(): readonly Undo[] {
    this.finished = true;
    return this.undos.splice(0).reverse();
  }

  /** Undoes everything, last step first. */
  *unwind(): Steps<void> {
    for (let undo = this.undos.pop(); undo !== undefined; undo = this.undos.pop()) {
      const result = undo.step();
      if (isSteps(result)) yield* result;
    }
    this.finished = true;
  }
}
