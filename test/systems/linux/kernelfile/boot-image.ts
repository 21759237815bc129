/** Boot images for tests. */

/** A boot image of boot protocol 2.15 around a packed kernel, as arch/x86/boot lays it out. */
export function bootImage(
  payload: Uint8Array,
  { protocol = 0x20f, sectors = 3, length = payload.length } = {},
): Uint8Array {
  const offset = (sectors + 1) * 512 + 100;
  const image = new Uint8Array(offset + payload.length + 50);
  const view = new DataView(image.buffer);
  image[0x1f1] = sectors;
  view.setUint16(0x1fe, 0xaa55, true);
  image.set(new TextEncoder().encode('HdrS'), 0x202);
  view.setUint16(0x206, protocol, true);
  view.setUint16(0x20e, 0x300, true);
  image.set(new TextEncoder().encode('6.1.0-small (someone)\0'), 0x500);
  view.setUint32(0x248, 100, true);
  view.setUint32(0x24c, length, true);
  image.set(payload, offset);
  return image;
}

/** With the size that the build writes behind what it packed. */
export const withSize = (packed: Uint8Array, size: number): Uint8Array => {
  const bytes = new Uint8Array(packed.length + 4);
  bytes.set(packed);
  new DataView(bytes.buffer).setUint32(packed.length, size, true);
  return bytes;
};
