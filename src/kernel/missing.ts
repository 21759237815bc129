/** What happens when machine code calls a kernel function that nobody wrote. */

/** What to do with an import that nobody wrote. */
export type MissingPolicy = 'refuse' | 'stop' | 'stand-in';

/** A kernel function that was imported but that the base kernel does not have. */
export interface MissingFunction {
  readonly name: string;
  /** Calls that reached it, by caller (symbol+offset). */
  readonly callers: Map<string, number>;
}

/** The run reached a kernel function that nobody wrote, and the policy is to stop there. */
export class MissingFunctionReached extends Error {
  readonly symbol: string;
  readonly caller: string;

  constructor(thread: string, symbol: string, caller: string) {
    super(`${thread} called ${symbol} from ${caller}, which the base kernel does not have`);
    this.name = 'MissingFunctionReached';
    this.symbol = symbol;
    this.caller = caller;
  }

  /** Tells also what was done about the thread, which goes no further. */
  followedBy(what: string): void {
    this.message += `; ${what}`;
  }
}
