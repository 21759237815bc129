/** Starting a base kernel with all that it has. */
import { DATA } from './data.ts';
import { FUNCTIONS } from './functions/all.ts';
import { Windows, type WindowsOptions } from './windows.ts';

export function bootWindows(options: Omit<WindowsOptions, 'functions' | 'data'>): Windows {
  return new Windows({ ...options, functions: FUNCTIONS, data: DATA });
}
