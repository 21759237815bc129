/** The error number that a tool's message ends in, or undefined. */
export function errnoOf(output: string): number | undefined;
/** One line of the kernel's log or of a tool's output, with addresses, process numbers and registers replaced. */
export function normalise(line: string): string;
