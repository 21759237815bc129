/** module_enforce_rwx_sections (kernel/module/strict_rwx.c). */
import { SHF } from '../../../formats/elf/layout.ts';
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import type { Judge } from './judge.ts';

export function checkWriteExecute(judge: Judge, file: ModuleFile): void {
  judge.enter('write-execute');
  if (!judge.has('write-xor-execute')) return;
  for (const { index, name, flags } of file.elf.sections) {
    if ((flags & SHF.WRITE) === 0 || (flags & SHF.EXECINSTR) === 0) continue;
    const message = `${file.name}: section ${name} (index ${index}) has invalid WRITE|EXEC flags`;
    const why = `Section ${name} is both writable and executable; this kernel keeps code and data apart.`;
    judge.reject(
      'write-execute',
      Errno.ENOEXEC,
      message,
      why,
      'Put the code and the data into sections of their own.',
    );
  }
}
