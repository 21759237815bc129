import { LP64 } from '../../../ctypes/model.ts';
import type { TypeSource } from '../../../ctypes/table.ts';

/** The types of a kernel that was built without any (CONFIG_DEBUG_INFO_BTF off): every look-up says so by name. */
export const noTypes: TypeSource = {
  model: LP64,
  find: () => undefined,
  names: () => [],
  enumerator: () => undefined,
};
