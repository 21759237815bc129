/** What a lookup or a declaration can end in. Bytes that are wrong throw the errors of bytes/errors.ts instead. */
export type CTypeErrorCode = 'UnknownType' | 'UnknownField' | 'Syntax' | 'Unsupported';

/** The message says what, where (path, or position in the text) and, where it helps, what to try. */
export class CTypeError extends Error {
  override readonly name = 'CTypeError';
  readonly code: CTypeErrorCode;

  constructor(code: CTypeErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
