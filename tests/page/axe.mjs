// axe-core in a page whose policy allows no script of others: evaluated by the debugger.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const source = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function runAxe(page) {
  await page.evaluate(await source);
  return page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
}
