//! Covers: how the views look: accessible and as the reference pictures show them, light and dark,
//! wide and narrow.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { settled, violations } from './browser.mjs';
import { References, TOLERATED } from './references.mjs';
import { OUT } from './server.mjs';
import { firstObject, stage } from './stage.mjs';

test('dialogs, results and refusals are accessible', async () => {
  const object = await firstObject(stage.face);
  const page = await stage.browser.open('', { login: false, theme: 'dark' });
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  assert.deepEqual(await violations(page), [], 'log-in');

  const inside = await stage.browser.open('#/videos', { theme: 'dark' });
  await inside.getByRole('button', { name: 'Add videos' }).click();
  await inside.getByRole('dialog').locator('summary').click();
  assert.deepEqual(await violations(inside), [], 'adding');
  await inside.getByLabel('Or from an address').fill('http://169.254.169.254/latest');
  await inside.getByRole('button', { name: 'Add and start' }).click();
  await inside.locator('.hint-error').waitFor();
  assert.deepEqual(await violations(inside), [], 'a refusal');
  await inside.keyboard.press('Escape');
  await inside.getByRole('dialog').waitFor({ state: 'detached' });

  await inside.goto(`${stage.server.url}/ui/#/search?object=${object.id}`);
  await inside.locator('.hit').first().waitFor();
  assert.deepEqual(await violations(inside), [], 'hits');
  await inside.goto(`${stage.server.url}/ui/#/tune/${stage.face}`);
  await inside.getByLabel('Smallest size').fill('2000');
  await inside.locator('.outcome-lost .tile').first().waitFor();
  assert.deepEqual(await violations(inside), [], 'what is lost');
});

/** What changes from run to run, in all views and in one: pictures, times, what was counted or measured. */
const CHANGES = ['img', 'canvas', 'video', 'time', '.account-name'];

/** Of each view: its route, what is there once it is ready, and what changes in it. */
const views = () => ({
  videos: ['#/videos', '.row', ['.row-sentence', '.counts']],
  video: [`#/videos/${stage.street}?t=2`, '.card', ['.video-sub', '.stage', '.timeline', '.cards']],
  search: ['#/search', '.drop-large', []],
  people: ['#/people', '.identity', ['.strip-row']],
  tune: [`#/tune/${stage.face}`, '.balance', ['.outcomes']],
  deliveries: [`#/deliveries/${stage.street}`, '.line-delivery', ['.virtual', '.head-sub']],
  plugins: ['#/plugins', '.plugin', ['.facts dd', '.fault']],
  system: ['#/system', '.panel', ['.facts dd', '.spark', '.line-state', '.progress', '.log', '.row-inline']],
});

let opened;

for (const [size, theme] of [
  ['wide', 'light'],
  ['wide', 'dark'],
  ['narrow', 'light'],
  ['narrow', 'dark'],
]) {
  test(`all views are accessible and as they were, ${size} and ${theme}`, async (context) => {
    const references = await (opened ??= References.open(stage.browser));
    const differ = [];
    let largest = 0;
    for (const [name, [route, ready, changes]] of Object.entries(views())) {
      const page = await stage.browser.open(route, { size, theme });
      await page.locator(ready).first().waitFor();
      await page.getByText('Live', { exact: true }).first().waitFor({ state: 'attached' });
      await settled(page);
      await page.screenshot({ path: `${OUT}${name}-${size}-${theme}.png` });
      assert.deepEqual(await violations(page), [], name);
      assert.equal(
        await page.evaluate(() => document.documentElement.scrollWidth > innerWidth),
        false,
        `${name} is too wide`,
      );
      const mask = [...CHANGES, ...changes].map((selector) => page.locator(selector));
      const png = await page.screenshot({ mask, maskColor: '#808080', animations: 'disabled' });
      const look = `${name}-${size}-${theme}`;
      if (references.skipped === null) {
        const share = await references.difference(look, png);
        largest = Math.max(largest, share);
        if (share > TOLERATED) {
          await writeFile(`${OUT}${look}-compared.png`, png);
          differ.push(`${look}: ${(share * 100).toFixed(2)} % of the pixels`);
        }
      }
      await page.context().close();
    }
    const told = references.skipped ?? `at most ${(largest * 100).toFixed(3)} % of the pixels differ`;
    context.diagnostic(`comparison: ${told}`);
    assert.deepEqual(differ, [], 'look at out/…-compared.png; if it is meant, OCELLUS_BLESS=1 npm test');
  });
}
