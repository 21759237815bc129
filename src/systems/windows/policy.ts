/** The settings of a session that decide about images, and the driver files that it can read. */
import type { ImagePolicy, SignatureFacts, Verdict } from './rules/verdict.ts';

export interface DriverFile {
  /** NT path: \??\C:\drivers\hello.sys. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Found out beforehand: verifying may need to wait, and a load does not. */
  readonly signature: SignatureFacts;
}

export interface SessionPolicy extends ImagePolicy {
  /** Reads a driver file by its NT path. */
  readonly file: (path: string) => DriverFile | undefined;
  /** Bytes of a file outside of the volume that code of a driver opens by a path of its own. Not asked: none. */
  readonly offered?: (path: string) => Uint8Array | undefined;
  /** Is there a folder that the file would be in? Not asked: yes. */
  readonly folder?: (path: string) => boolean;
}

/** The first refusal of a list of verdicts. */
export const refusal = (verdicts: readonly Verdict[]): Verdict | undefined =>
  verdicts.find(({ verdict }) => verdict === 'refuse');
