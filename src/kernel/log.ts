/** The kernel's log: records in order, with a listener for those who watch it as it grows. */

export interface LogRecord {
  /** Virtual ns since boot. */
  readonly time: number;
  /** 0 emergency .. 7 debug, as syslog counts them. */
  readonly level: number;
  readonly text: string;
}

/** More records than any sane module writes; older ones are dropped, and counted, so that a flood stays bounded. */
const MAX_RECORDS = 50_000;

export class KernelLog {
  readonly records: LogRecord[] = [];
  dropped = 0;
  private readonly listeners = new Set<(record: LogRecord) => void>();
  private readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  write(level: number, text: string): void {
    const record = { time: this.now(), level, text };
    this.records.push(record);
    if (this.records.length > MAX_RECORDS) this.dropped += this.records.splice(0, MAX_RECORDS / 10).length;
    for (const listener of this.listeners) listener(record);
  }

  /** Calls `listener` for every record from now on; returns the function that stops it. */
  watch(listener: (record: LogRecord) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Runs something; who began to watch meanwhile stops at its end. */
  async watchedDuring<T>(run: () => Promise<T>): Promise<T> {
    const before = new Set(this.listeners);
    try {
      return await run();
    } finally {
      for (const listener of this.listeners) if (!before.has(listener)) this.listeners.delete(listener);
    }
  }

  clear(): void {
    this.records.length = 0;
  }
}
