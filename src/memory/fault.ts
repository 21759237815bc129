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

function describe(va: Address): string {
  return Number.isSafeInteger(va) ? hexAddress(va) : String(va);
}
