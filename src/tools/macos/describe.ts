/** The screen of `lkm inspect` for kexts. */
import { readSlices } from '../../formats/macho/fat.ts';
import { KextBundle } from '../../systems/macos/bundle.ts';
import {
  architectureOf,
  type CodeDescription,
  describeBundleCode,
  describeCode,
  type ImportedSymbol,
  importsOf,
  releaseFor,
} from '../../systems/macos/describe.ts';
import type { KextInfo } from '../../systems/macos/info.ts';
import { badComment, type PlistDict } from '../../systems/macos/plist.ts';
import { findingText } from '../../systems/macos/rules/diagnostics.ts';
import { validate } from '../../systems/macos/rules/validate.ts';
import { verifySignature } from '../../systems/macos/signature/verify.ts';
import { baseName, type FileTree } from '../../systems/macos/tree.ts';
import { formatVersion } from '../../systems/macos/version.ts';
import type { DescribedList, Description, ModuleFile } from '../system.ts';
import { type ArchivedBundles, bundlesInArchive, mayHoldBundles } from './archive.ts';
import { signatureFactsOf, signatureLists, signatureRows } from './describe-signature.ts';
import { bundleAround, hostBundle } from './host-bundle.ts';

/** A bundle, or a Mach-O file alone. @throws FormatError */
export async function describeKext({ path, bytes }: ModuleFile): Promise<Description> {
  // A property list speaks for the bundle that it is in.
  const bundle = /(^|\/)Info\.plist$/.test(path) ? bundleAround(path) : undefined;
  if (bytes === undefined || bundle !== undefined) {
    const { tree, at } = hostBundle(bundle ?? path);
    return await describeBundle(tree, at);
  }
  const archived = mayHoldBundles(path, bytes) ? bundlesInArchive(bytes) : undefined;
  return archived === undefined ? describeFile(bytes) : await describeArchive(archived);
}

/** The first bundle on the screen, the names of the others; all of them in the facts. */
async function describeArchive({ tree, bundles }: ArchivedBundles): Promise<Description> {
  const all: Description[] = [];
  for (const at of bundles) all.push(await describeBundle(tree, at));
  const [first, ...others] = all;
  const rows = others.map(
    ({ facts }) => `${String(facts.name)} ${String(facts.identifier)} ${String(facts.version)}`,
  );
  const more: DescribedList[] =
    rows.length === 0 ? [] : [{ name: 'bundles', title: 'further bundles', rows }];
  return {
    ...first,
    lists: [...first.lists, ...more],
    facts: { ...first.facts, bundles: all.map(({ facts }) => facts) },
  };
}

function describeFile(bytes: Uint8Array): Description {
  const codes = readSlices(bytes).map(describeCode);
  const [first] = codes;
  const rows: [string, string][] = [['format', formatText(codes)], ...codeRows(codes)];
  const imports = first === undefined ? [] : importsOf(first, undefined, releaseFor(first.architecture));
  return { system: 'macos', rows, lists: codeLists(first, imports), facts: { code: codes, imports } };
}

async function describeBundle(tree: FileTree, at: string): Promise<Description> {
  const bundle = new KextBundle(tree, at);
  const codes = describeBundleCode(bundle);
  const [first] = codes;
  const architecture = architectureOf(first?.architecture ?? 'x86_64');
  const info = bundle.info(architecture);
  const imports = first === undefined ? [] : importsOf(first, info, releaseFor(first.architecture));
  const found = validate(bundle, architecture);
  const signature = await verifySignature(bundle);
  const plugIns = bundle.plugIns.map(baseName);
  const rows: [string, string][] = [
    [
      'format',
      codes.length > 0
        ? `kernel extension, ${formatText(codes)}`
        : bundle.executable === undefined
          ? 'kernel extension without code'
          : 'kernel extension, its executable is no Mach-O file',
    ],
    ...infoRows(info),
    ...codeRows(codes),
    ...(codes.length === 0 && signature.state.kind === 'none' ? [] : signatureRows(signature)),
    ['plug-ins', plugIns.join(', ')],
    ['personality', [...info.personalities].map(([name, one]) => personalityText(name, one)).join('; ')],
    ['unowned', unowned(imports)],
    [
      'problems',
      found.findings
        .filter(({ group }) => group !== 'warnings')
        .map(findingText)
        .join('; '),
    ],
    ['warnings', found.of('warnings').map(findingText).join('; ')],
    [
      'warning',
      badComment(bundle.infoBytes)
        ? 'Info.plist has a comment with two hyphens: the kernel will not read it'
        : '',
    ],
  ];
  return {
    system: 'macos',
    rows,
    lists: [...codeLists(first, imports), ...signatureLists(bundle, signature)],
    facts: {
      name: bundle.name,
      identifier: info.identifier,
      version: info.versionText,
      versionNumber: info.version,
      compatibleVersion: info.text('OSBundleCompatibleVersion'),
      libraries: Object.fromEntries(info.libraries),
      allowUserLoad: info.flag('OSBundleAllowUserLoad'),
      required: info.required,
      personalities: Object.fromEntries(info.personalities),
      plugIns,
      code: codes.map((code) => ({ ...code, imports: importsOf(code, info, releaseFor(code.architecture)) })),
      imports,
      signature: signatureFactsOf(signature),
      findings: found.findings,
      properties: bundle.properties,
    },
  };
}

function formatText(codes: readonly CodeDescription[]): string {
  if (codes.length === 0) return 'no code';
  const kinds = codes.map(({ architecture, fileType }) => `${architecture} ${fileType}`);
  return `Mach-O ${codes.length > 1 ? `universal, ` : ''}${kinds.join(', ')}`;
}

function infoRows(info: KextInfo): [string, string][] {
  const compatible = info.text('OSBundleCompatibleVersion');
  const libraries = [...info.libraries].map(([name, version]) => `${name} ${version}`);
  const flags = ['OSBundleAllowUserLoad', 'OSBundleIsInterface', 'OSKernelResource'].filter((key) =>
    info.flag(key),
  );
  return [
    ['identifier', info.identifier ?? ''],
    ['version', versionText(info)],
    ['library', compatible === undefined ? '' : `yes, compatible back to ${compatible}`],
    ['needs', libraries.join(', ')],
    ['at start', info.required ?? ''],
    ['marks', flags.join(', ')],
  ];
}

function versionText(info: KextInfo): string {
  if (info.versionText === undefined) return '';
  const formatted = formatVersion(info.version);
  return info.version > 0n && formatted !== info.versionText
    ? `${info.versionText} (${formatted})`
    : info.versionText;
}

function codeRows(codes: readonly CodeDescription[]): [string, string][] {
  const [first] = codes;
  if (first === undefined) return [];
  const minimum =
    first.minimum === undefined
      ? ''
      : `${first.platform} ${first.minimum}${first.sdk === undefined ? '' : `, SDK ${first.sdk}`}`;
  return [
    [
      'UUID',
      codes
        .map(({ architecture, uuid }) =>
          uuid === undefined ? '' : codes.length > 1 ? `${architecture} ${uuid}` : uuid,
        )
        .filter(Boolean)
        .join(', '),
    ],
    ['built for', minimum],
    [
      'memory',
      first.segments
        .filter(({ bytes }) => bytes > 0)
        .map(({ name, bytes }) => `${name} ${bytes}`)
        .join(', '),
    ],
  ];
}

function personalityText(name: string, one: PlistDict): string {
  const text = (key: string): string => (typeof one[key] === 'string' ? String(one[key]) : '?');
  return `${name}: ${text('IOClass')} on ${text('IOProviderClass')}`;
}

function unowned(imports: readonly ImportedSymbol[]): string {
  const names = imports.filter(({ owner }) => owner === undefined);
  if (names.length === 0) return '';
  return `${names.length} of ${imports.length} imports are in no kernel interface: other kexts must offer them`;
}

function codeLists(code: CodeDescription | undefined, imports: readonly ImportedSymbol[]): DescribedList[] {
  if (code === undefined) return [];
  const width = Math.min(48, Math.max(...imports.map(({ name }) => name.length), 8));
  return [
    {
      name: 'imports',
      title: 'imports',
      rows: imports.map((one) => `${one.name.padEnd(width)} ${ownerText(one)}`),
    },
    { name: 'exports', title: 'exports', rows: code.exports },
    {
      name: 'sections',
      title: 'sections',
      rows: code.sections.map(
        ({ name, address, bytes }) =>
          `${name.padEnd(28)} ${bytes.toString().padStart(9)} at 0x${address.toString(16)}`,
      ),
    },
  ];
}

function ownerText({ owner, release, declared, weak }: ImportedSymbol): string {
  const where = release === undefined ? '' : ` of ${release}`;
  const text =
    owner === undefined ? '(another kext)' : `${owner}${where}${declared ? '' : ' (not declared)'}`;
  return weak ? `${text}, weak` : text;
}
