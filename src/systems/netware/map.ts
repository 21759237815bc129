/** The server's address map: flat, one address space, no protection between modules. The addresses are ours. */
const MiB = 1 << 20;

export const MAP = {
  /** Memory of the display adapter, text and graphics, which NLMs write to as they like; nobody looks at it. */
  video: { base: 0x000a0000, bytes: 128 * 1024 },
  /** Entry points of the server's own functions. */
  gates: { base: 0x00200000, bytes: MiB },
  /** Everything that is allocated: images, tags, screens. */
  pool: { base: 0x01000000, bytes: 32 * MiB },
  stacks: { base: 0x08000000, bytes: 64 * MiB },
} as const;
