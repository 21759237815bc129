/** Exit codes of sysexits(3) that several tools end with. */
export const EX_USAGE = 64;
export const EX_NOPERM = 77;
