/** How long a kernel is kept that nobody asks for anything: a process that was forgotten does not stay for ever. */
export const IDLE_MINUTES = 60;
