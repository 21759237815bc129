import { notYet } from './not-yet.ts';
export const { command } = await notYet('inspect')();
