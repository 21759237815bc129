/** A story of a start while it is told: what every system's has in common. */
import type { BootOutcome, BootStep } from './boot.ts';

export abstract class Story {
  readonly steps: BootStep[] = [];

  protected add(stage: string, subject: string, outcome: BootOutcome, more: Partial<BootStep> = {}): void {
    this.steps.push({ stage, subject, outcome, ...more });
  }
}
