/** A system call that failed; `code` as Node names errors. */
export class CallFailed extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.name = 'CallFailed';
    this.code = code;
  }
}
