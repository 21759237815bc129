/** Export drivers: counted by those who import from them, unloaded with the last if they allow it. */
import type { Steps } from '../../kernel/steps.ts';
import type { DriverImage } from './images.ts';
import type { Windows } from './windows.ts';

/** MiDereferenceImports. */
export function* dereferenceImports(k: Windows, image: DriverImage): Steps<void> {
  for (const library of image.imports.splice(0)) {
    if (k.drivers.addLoadCount(library, -1) === 0) yield* unloadLibrary(k, library, true);
  }
}

/** Without DllUnload, or when it fails, an export driver stays for ever. */
export function* unloadLibrary(k: Windows, image: DriverImage, ask: boolean): Steps<void> {
  if (!image.library) return;
  if (ask) {
    const found = image.exports?.entries.find(({ name }) => name === 'DllUnload');
    const status = found === undefined ? -1 : yield* k.callInt(image.base + found.address);
    if (status < 0) {
      k.drivers.addLoadCount(image, 1);
      return;
    }
  }
  yield* dereferenceImports(k, image);
  k.drivers.remove(image);
}
