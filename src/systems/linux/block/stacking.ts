/** Limits of a disk made of others: what all of them can take (blk_stack_limits, block/blk-settings.c). */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { FEATURE, hasFeatures, limit, setLimit } from './limits.ts';

const SECTOR = 512;
/** BLK_FEAT_INHERIT_MASK: what a disk has as soon as one below has it. */
const INHERITED = FEATURE.WRITE_CACHE | FEATURE.FUA | FEATURE.ROTATIONAL | FEATURE.STABLE_WRITES;
/** BLK_FLAG_MISALIGNED of the word of flags. */
const MISALIGNED = 2;

/** The smaller one; zero says nothing. */
const leastOf = (a: number, b: number): number => (a === 0 ? b : b === 0 ? a : Math.min(a, b));
const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
const multiple = (a: number, b: number): number => (a === 0 || b === 0 ? a || b : (a / divisor(a, b)) * b);

/** Limits where the smaller one counts and zero is none; where the smaller one counts; where the larger one does. */
const LEAST =
  'max_sectors max_user_sectors max_hw_sectors max_dev_sectors seg_boundary_mask virt_boundary_mask max_segments ' +
  'max_discard_segments max_integrity_segments max_segment_size max_secure_erase_sectors';
const SMALLER = 'max_write_zeroes_sectors max_zone_append_sectors max_hw_zone_append_sectors';
const LARGER =
  'bounce dma_alignment logical_block_size physical_block_size io_min raid_partial_stripes_expensive ' +
  'zone_write_granularity zoned';

class Stack {
  private readonly k: Linux;
  private readonly top: Address;
  private readonly bottom: Address;
  private misaligned: boolean;
  private failed = false;

  constructor(k: Linux, top: Address, bottom: Address) {
    this.k = k;
    this.top = top;
    this.bottom = bottom;
    this.misaligned = this.isMisaligned(top) || this.isMisaligned(bottom);
  }

  private isMisaligned(at: Address): boolean {
    const { k } = this;
    return k.types.has('queue_limits.misaligned')
      ? limit(k, at, 'misaligned') !== 0
      : (limit(k, at, 'flags') & MISALIGNED) !== 0;
  }

  private own = (name: string): number => limit(this.k, this.top, name);
  private other = (name: string): number => limit(this.k, this.bottom, name);
  private set(name: string, value: number): void {
    setLimit(this.k, this.top, name, value);
  }

  private wrong(): void {
    this.misaligned = true;
    this.failed = true;
  }

  run(start: number): number {
    const { own, other } = this;
    const alignment = offsetAt(this.k, this.bottom, start);
    if (own('alignment_offset') !== alignment) this.compareAlignment(alignment);
    for (const name of LEAST.split(' ')) this.set(name, leastOf(own(name), other(name)));
    for (const name of SMALLER.split(' ')) this.set(name, Math.min(own(name), other(name)));
    for (const name of LARGER.split(' ')) this.set(name, Math.max(own(name), other(name)));
    this.set('io_opt', multiple(own('io_opt'), other('io_opt')));
    if (other('chunk_sectors') !== 0)
      this.set('chunk_sectors', divisor(own('chunk_sectors'), other('chunk_sectors')));
    this.fitSizes();
    const unit = Math.max(own('physical_block_size'), own('io_min'));
    this.set('alignment_offset', multiple(own('alignment_offset'), alignment) % Math.max(unit, 1));
    if (own('alignment_offset') % own('logical_block_size') !== 0) this.wrong();
    for (const name of ['max_sectors', 'max_hw_sectors', 'max_dev_sectors']) this.roundDown(name);
    this.discards(start);
    this.features();
    if (this.k.types.has('queue_limits.misaligned')) this.set('misaligned', Number(this.misaligned));
    else if (this.misaligned) this.set('flags', own('flags') | MISALIGNED);
    return this.failed ? -1 : 0;
  }

  /** Two disks whose blocks do not begin together. */
  private compareAlignment(alignment: number): void {
    const { own, other } = this;
    const above = Math.max(own('physical_block_size'), own('io_min')) + own('alignment_offset');
    const below = Math.max(other('physical_block_size'), other('io_min')) + alignment;
    if (Math.max(above, below) % Math.max(1, Math.min(above, below)) !== 0) this.wrong();
  }

  /** Each size is a multiple of the one below it. */
  private fitSizes(): void {
    const { own } = this;
    if (own('physical_block_size') % own('logical_block_size') !== 0) {
      this.set('physical_block_size', own('logical_block_size'));
      this.wrong();
    }
    if (own('io_min') % own('physical_block_size') !== 0) {
      this.set('io_min', own('physical_block_size'));
      this.wrong();
    }
    if (own('io_opt') % own('physical_block_size') !== 0) {
      this.set('io_opt', 0);
      this.wrong();
    }
    if ((own('chunk_sectors') * SECTOR) % own('physical_block_size') !== 0) {
      this.set('chunk_sectors', 0);
      this.wrong();
    }
  }

  /** To whole blocks, and not below a page. */
  private roundDown(name: string): void {
    const blocks = this.own('logical_block_size') / SECTOR;
    const rounded = this.own(name) - (this.own(name) % blocks);
    this.set(name, Math.max(rounded, 4096 / SECTOR));
  }

  private discards(start: number): void {
    const { k, own, other } = this;
    const granularity = other('discard_granularity');
    if (granularity === 0 && !hasFeatures(k)) return;
    const at = granularity === 0 ? 0 : discardOffsetAt(k, this.bottom, start);
    for (const name of ['max_discard_sectors', 'max_hw_discard_sectors'])
      this.set(name, leastOf(own(name), other(name)));
    this.set('discard_granularity', Math.max(own('discard_granularity'), granularity));
    const unit = Math.max(own('discard_granularity'), 1);
    this.set('discard_alignment', multiple(own('discard_alignment'), at) % unit);
  }

  private features(): void {
    const { k, own, other } = this;
    if (!hasFeatures(k)) return;
    let features = own('features') | (other('features') & INHERITED);
    for (const all of [FEATURE.NOWAIT, FEATURE.POLL]) if ((other('features') & all) === 0) features &= ~all;
    this.set('features', features);
  }
}

/** queue_limit_alignment_offset: how far into a block a place is, counted from the first block that is whole. */
function offsetAt(k: Linux, limits: Address, start: number): number {
  const unit = Math.max(limit(k, limits, 'physical_block_size'), limit(k, limits, 'io_min'));
  const into = (start * SECTOR) % unit;
  return (unit + limit(k, limits, 'alignment_offset') - into) % unit;
}

/** queue_limit_discard_alignment. */
function discardOffsetAt(k: Linux, limits: Address, start: number): number {
  if (limit(k, limits, 'max_discard_sectors') === 0) return 0;
  const alignment = Math.floor(limit(k, limits, 'discard_alignment') / SECTOR);
  const granularity = Math.floor(limit(k, limits, 'discard_granularity') / SECTOR);
  if (granularity === 0) return 0;
  return ((granularity + alignment - (start % granularity)) % granularity) * SECTOR;
}

/** Lets the limits of a disk take in those of one below it, from a sector of that on; -1 when their blocks do not fit. */
export const stack = (k: Linux, top: Address, bottom: Address, start: number): number =>
  new Stack(k, top, bottom).run(start);
