/** A verdict of `lkm check` in the light of what the real kernel did with the same file. */
import type { Verdict } from '../../../src/tools/check.ts';
import type { LoadAnswer } from './qemu.ts';

/** The module's start function was reached; the kernel says so when it is booted with `initcall_debug`. */
export const hasStarted = ({ log }: LoadAnswer): boolean => log.some((line) => line.startsWith('calling '));

/** What is wrong with the verdict; undefined when it is right. */
export function mistake(verdict: Verdict, answer: LoadAnswer): string | undefined {
  const { errno, log } = answer;
  const started = hasStarted(answer);
  if (verdict.answer === 'loads')
    return errno === 0 || started
      ? undefined
      : `loads, but the kernel refuses it: ${errno} ${log.join(' | ')}`;
  const rule = verdict.rules.find(({ outcome }) => outcome === 'refuse');
  if (started || errno === 0) return `${rule?.rule}, but the kernel takes it`;
  if (errno !== rule?.error?.number) return `${rule?.rule} with ${rule?.error?.number}, really ${errno}`;
  const unsaid = rule.said.filter(({ text }) => !log.includes(text));
  return unsaid.length === 0 ? undefined : `${rule.rule} says '${unsaid[0].text}', really ${log.join(' | ')}`;
}
