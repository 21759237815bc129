/** Checks of the image itself, in the kernel's order (MmCheckSystemImage, MiCreateImageFileMap). */
import { peChecksum } from '../../../formats/pe/checksum.ts';
import { FILE, MACHINE, MACHINE_NAMES } from '../../../formats/pe/layout.ts';
import type { PeFile } from '../../../formats/pe/read.ts';
import { Status } from '../status.ts';
import { type ImagePolicy, note, pass, refuse, type Verdict } from './verdict.ts';

const MACHINES = { x64: MACHINE.AMD64, x86: MACHINE.I386, arm64: MACHINE.ARM64 } as const;

export function imageRules(policy: ImagePolicy, pe: PeFile): Verdict[] {
  return [
    machine(policy, pe),
    subsystemVersion(policy, pe),
    uniprocessor(policy, pe),
    checksum(pe),
    sections(pe),
  ];
}

function machine(policy: ImagePolicy, pe: PeFile): Verdict {
  const wanted = MACHINES[policy.machine];
  if (pe.header.machine === wanted) return pass('image-machine', `built for ${policy.machine}`);
  const name = MACHINE_NAMES.get(pe.header.machine) ?? `machine 0x${pe.header.machine.toString(16)}`;
  return refuse(
    'image-machine',
    Status.INVALID_IMAGE_FORMAT,
    `The image is built for ${name}, the kernel is ${policy.machine}.`,
    'A driver must be built for the kernel it runs in; there is no emulation in kernel mode.',
  );
}

function subsystemVersion({ release }: ImagePolicy, pe: PeFile): Verdict {
  const [major, minor] = pe.header.subsystemVersion;
  const newer = major > release.major || (major === release.major && minor > release.minor);
  if (!newer) return pass('image-subsystem-version', `asks for version ${major}.${minor}`);
  return refuse(
    'image-subsystem-version',
    Status.INVALID_IMAGE_FORMAT,
    `The image asks for Windows ${major}.${minor}; this is ${release.major}.${release.minor}.`,
    'Link with a lower /SUBSYSTEM version, if the driver needs nothing newer.',
  );
}

function uniprocessor(policy: ImagePolicy, pe: PeFile): Verdict {
  if ((pe.header.characteristics & FILE.UP_SYSTEM_ONLY) === 0 || policy.processors < 2)
    return pass('image-uniprocessor', 'runs with any number of processors');
  return refuse(
    'image-uniprocessor',
    Status.IMAGE_MP_UP_MISMATCH,
    'The image is marked for machines with one processor.',
  );
}

function checksum(pe: PeFile): Verdict {
  const stored = pe.header.checksum;
  const hex = (value: number) => `0x${value.toString(16).toUpperCase().padStart(8, '0')}`;
  if (stored === 0) return note('image-checksum', 'the header has no checksum, so none is compared');
  const real = peChecksum(pe);
  if (stored === real) return pass('image-checksum', `checksum ${hex(stored)} is right`);
  return refuse(
    'image-checksum',
    Status.IMAGE_CHECKSUM_MISMATCH,
    `The header says checksum ${hex(stored)}, the file adds up to ${hex(real)}.`,
    'The file was changed after it was linked or signed.',
  );
}

/** Sections must follow each other without gaps in the address space. */
function sections(pe: PeFile): Verdict {
  const align = Math.max(1, pe.header.sectionAlignment);
  let next = Math.ceil(pe.header.sizeOfHeaders / align) * align;
  for (const section of pe.sections) {
    if (section.virtualAddress !== next)
      return refuse(
        'image-sections',
        Status.INVALID_IMAGE_FORMAT,
        `Section ${section.name} is at 0x${section.virtualAddress.toString(16)}; after the one before it must be at 0x${next.toString(16)}.`,
      );
    next = section.virtualAddress + Math.ceil(section.virtualSize / align) * align;
  }
  return pass('image-sections', `${pe.sections.length} sections, one behind the other`);
}
