/** Block input and output (9F): physio, biodone and their like. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { awaitTransfer, B, fillBuf, finishTransfer, setTransferError, transferError } from '../blocks.ts';
import type { Solaris } from '../solaris.ts';
import { advance } from '../uio.ts';
import { kernelFunctions } from './define.ts';

/** maxphys of x86: what one transfer has at most. */
const MAX_PHYS = 56 * 1024;

/**
 * physio(9F): a transfer straight to or from the process's memory, in pieces that `minimum` cuts, until the driver moves
 * less than was asked for.
 */
function* physio(
  k: Solaris,
  strategy: Address,
  given: Address,
  dev: number,
  rw: number,
  minimum: Address,
  uio: Address,
): Steps<number> {
  const bp = given === 0 ? k.heap.take(k.sizeof('buf')) : given;
  let error = 0;
  while (error === 0 && k.read('uio.uio_iovcnt', uio) > 0 && k.read('uio.uio_resid', uio) > 0) {
    const vector = k.read('uio.uio_iov', uio);
    const size = k.read('iovec.iov_len', vector);
    if (size === 0) {
      k.write('uio.uio_iov', uio, vector + k.sizeof('iovec'));
      k.write('uio.uio_iovcnt', uio, k.read('uio.uio_iovcnt', uio) - 1);
      continue;
    }
    const offset = Number(BigInt.asIntN(64, k.memory.u64(uio + k.offset('uio.uio_loffset'))));
    const at = k.read('iovec.iov_base', vector);
    fillBuf(k, bp, { dev, read: (rw & B.READ) !== 0, at, bytes: size, offset }, B.PHYS);
    if (minimum !== 0) yield* k.call(minimum, bp);
    const asked = k.read('buf.b_bcount', bp);
    yield* k.callInt(strategy, bp);
    error = yield* awaitTransfer(k, bp);
    const moved = Math.max(0, asked - k.read('buf.b_resid', bp));
    advance(k, uio, vector, moved);
    if (moved < asked || moved === 0) break;
  }
  if (given === 0) k.heap.free(bp);
  return error;
}

/** disksort(9F): into a list through av_forw, by block number. */
function sortIn(k: Solaris, head: Address, bp: Address): void {
  const block = (at: Address): bigint => k.memory.u64(at + k.offset('buf.b_lblkno'));
  const next = k.offset('buf.av_forw');
  let link = head + next;
  for (let at = k.memory.ptr(link); at !== 0 && block(at) <= block(bp); at = k.memory.ptr(link))
    link = at + next;
  const behind = k.memory.ptr(link);
  k.memory.setPtr(bp + next, behind);
  k.memory.setPtr(link, bp);
  if (behind === 0) k.write('buf.av_back', head, bp);
}

const clear = (k: Solaris, bp: Address): void => k.memory.fill(bp, k.sizeof('buf'), 0);

export const blockCalls = kernelFunctions({
  'int physio(void *strategy, struct buf *bp, dev_t dev, int rw, void *minimum, uio_t *uio)': physio,
  'void minphys(struct buf *bp)': (k, bp) => {
    if (k.read('buf.b_bcount', bp) > MAX_PHYS) k.write('buf.b_bcount', bp, MAX_PHYS);
  },
  'void biodone(struct buf *bp)': finishTransfer,
  'int biowait(struct buf *bp)': awaitTransfer,
  'void bioerror(struct buf *bp, int error)': setTransferError,
  'int geterror(struct buf *bp)': transferError,
  'struct buf *getrbuf(int flags)': (k) =>
    k.heap.allocate(k.sizeof('buf'), k.convention.returnAddress(k.cpu)),
  'void freerbuf(struct buf *bp)': (k, bp) => k.heap.free(bp),
  'void bioinit(struct buf *bp)': clear,
  'void bioreset(struct buf *bp)': clear,
  'void biofini(struct buf *bp)': () => undefined,
  'size_t biosize(void)': (k) => k.sizeof('buf'),
  'void clrbuf(struct buf *bp)': (k, bp) => {
    k.memory.fill(k.read('buf.b_addr', bp), k.read('buf.b_bcount', bp), 0);
    k.write('buf.b_resid', bp, 0);
  },
  // The data are where the kernel reaches them already.
  'void bp_mapin(struct buf *bp)': () => undefined,
  'void bp_mapout(struct buf *bp)': () => undefined,
  'void disksort(struct buf *head, struct buf *bp)': sortIn,
});
