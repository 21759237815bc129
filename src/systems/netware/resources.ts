/**
 * Resource tags: every resource of the server is taken under a tag of the module's, so that an unload can say what was
 * not given back, and give it back.
 */
import { bytesOf } from '../../kernel/text/sink.ts';
import type { Address } from '../../memory/address.ts';
import type { NetWare } from './netware.ts';

/** Signatures, as four characters that read backwards. [uncertain]: names of the kinds as the server prints them. */
const KINDS: ReadonlyMap<number, string> = new Map([
  [0x54524c41, 'Small memory allocations'],
  [0x504d4553, 'Semaphores'],
  [0x4e524353, 'Screens'],
  [0x53505250, 'Processes'],
  [0x4d4f4343, 'Console commands'],
  [0x544e5645, 'Event notifications'],
  [0x50544e49, 'Interrupts'],
  [0x524d4954, 'Interrupt time call backs'],
  [0x44494c4d, 'Link support layer MLIDs'],
]);

export interface ResourceTag {
  readonly address: Address;
  /** The module's handle. */
  readonly module: Address;
  readonly signature: number;
  readonly description: string;
  /** What was taken under it: how to give each back. */
  readonly held: Map<number, () => void>;
}

export class Resources {
  private readonly k: NetWare;
  private readonly tags = new Map<Address, ResourceTag>();

  constructor(k: NetWare) {
    this.k = k;
  }

  allocate(module: Address, description: string, signature: number): Address {
    const { k } = this;
    const address = k.pool.allocate(k.sizeof('struct lkm_resource_tag'));
    if (address === 0) return 0;
    k.memory.fill(address, k.sizeof('struct lkm_resource_tag'), 0);
    k.write('struct lkm_resource_tag.module', address, module);
    k.write('struct lkm_resource_tag.signature', address, signature);
    const text = description.slice(0, 51);
    k.memory.write(address + k.offset('struct lkm_resource_tag.description'), bytesOf(text));
    this.tags.set(address, { address, module, signature, description, held: new Map() });
    return address;
  }

  get(address: Address): ResourceTag | undefined {
    return this.tags.get(address);
  }

  /** Notes that something was taken under a tag; false when there is no such tag. */
  take(tag: Address, what: number, giveBack: () => void): boolean {
    const found = this.tags.get(tag);
    if (found === undefined) return false;
    found.held.set(what, giveBack);
    this.count(found);
    return true;
  }

  /** It was given back in the ordinary way. */
  returned(what: number, signature?: number): void {
    for (const tag of this.tags.values()) {
      if ((signature === undefined || tag.signature === signature) && tag.held.delete(what)) {
        this.count(tag);
        return;
      }
    }
  }

  private count(tag: ResourceTag): void {
    this.k.write('struct lkm_resource_tag.count', tag.address, tag.held.size);
  }

  /** Gives a tag back, and with it all that is still held under it; how much that was. */
  release(address: Address): number {
    const tag = this.tags.get(address);
    if (tag === undefined) return 0;
    const { size } = tag.held;
    for (const giveBack of [...tag.held.values()]) giveBack();
    this.tags.delete(address);
    this.k.pool.free(address);
    return size;
  }

  /** All tags of a module. */
  of(module: Address): ResourceTag[] {
    return [...this.tags.values()].filter((tag) => tag.module === module);
  }
}

/** `AllocSignature`. */
const MEMORY = 0x54524c41;

export const isMemory = ({ signature }: ResourceTag): boolean => signature === MEMORY;

export function kindOf({ signature }: ResourceTag): string {
  return KINDS.get(signature) ?? `signature 0x${signature.toString(16)}`;
}
