/** Copies of a signed bundle with one byte changed, region by region, and whether the signature still counts as valid. */
import { KextBundle } from '../../../src/systems/macos/bundle.ts';
import { verifySignature } from '../../../src/systems/macos/signature/verify.ts';
import { FileTree, type TreeNode } from '../../../src/systems/macos/tree.ts';

/** The tree with one file replaced; the others are shared. */
function withFile(tree: FileTree, path: string, bytes: Uint8Array): FileTree {
  const copy = new FileTree();
  for (const at of tree.walk('/')) {
    const node = tree.lookUp(at);
    if (node !== undefined && at !== '/') copy.put(at, at === path ? ({ ...node, bytes } as TreeNode) : node);
  }
  return copy;
}

export interface Tampered {
  readonly path: string;
  readonly offset: number;
}

/** A byte of a file of the bundle, changed: is it noticed? */
export async function noticed(bundle: KextBundle, { path, offset }: Tampered): Promise<boolean> {
  const bytes = Uint8Array.from(bundle.tree.read(path) ?? []);
  bytes[offset] ^= 0x41;
  try {
    const changed = new KextBundle(withFile(bundle.tree, path, bytes), bundle.path);
    const { state } = await verifySignature(changed);
    return state.kind === 'invalid' || state.kind === 'none';
  } catch {
    // A bundle that cannot be read any more is no valid one.
    return true;
  }
}

/** Files of the bundle with their sizes, plug-ins left out. */
export function signedFiles(bundle: KextBundle): { path: string; bytes: number }[] {
  return [...bundle.tree.walk(bundle.path)]
    .filter((path) => !path.includes('/PlugIns/'))
    .map((path) => ({ path, bytes: bundle.tree.lookUp(path)?.bytes?.length ?? 0 }))
    .filter(({ bytes }) => bytes > 0);
}
