import { type Address, hexAddress } from './address.ts';

export type Access = 'read' | 'write' | 'execute';

/** An access the page tables do not allow. The kernel turns it into the guest's own kind of report. */
export class GuestFault extends Error {
  override readonly name = 'GuestFault';

  constructor(
    /** First byte that could not be accessed. */
    readonly va: Address,
    readonly access: Access,
    readonly size: number,
    readonly reason: 'unmapped' | 'protection',
  ) {
    super(
      reason === 'unmapped'
        ? `${access} of ${size} bytes at ${describe(va)}: nothing is mapped there`
        : `${access} of ${size} bytes at ${describe(va)}: the page does not permit it`,
    );
  }
}

/**
 * One piece of work touched guest memory more often than any sane one does: a list that the guest closed into a
 * circle, a string without an end. The kernel treats it like an endless loop of the guest.
 */
export class EndlessAccess extends Error {
  override readonly name = 'EndlessAccess';

  constructor() {
    super('guest memory was accessed without end: a list in a circle, or lengths beyond reason');
  }
}

function describe(va: Address): string {
  return Number.isSafeInteger(va) ? hexAddress(va) : String(va);
}

export class MappingError extends Error {
  override readonly name = 'MappingError';
}
