//! Covers: people and things: identities, their names, and corrections of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { violations } from './browser.mjs';
import { stage } from './stage.mjs';

test('people are cards with all their appearances', async () => {
  const page = await stage.browser.open('#/people');
  await page.locator('.identity').first().click();
  await page.locator('.hit').first().waitFor();
  await page.getByRole('link', { name: 'Open the video' }).click();
  await page.locator('.stage').waitFor();
  assert.deepEqual(page.problems, []);
});

test('an identity is named, merged and taken apart, and each is undone in one click', async () => {
  const page = await stage.browser.open(`#/people?type=car&video=${stage.street}`);
  await page.locator('.identity').first().waitFor();
  const before = await page.locator('.identity').count();
  assert.ok(before > 1, 'one vehicle only');
  await page.locator('.identity').first().focus();
  await page.keyboard.press('Enter');
  await page.locator('.hit').first().waitFor();
  const seen = await page.locator('.hit').count();

  await page.getByRole('button', { name: 'Give a name' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('textbox', { name: 'Name' }).fill('The red van');
  assert.deepEqual(await violations(page), [], 'a name being edited');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'The red van', level: 1 }).waitFor();

  await page.getByRole('button', { name: 'Merge with…' }).click();
  await page.getByRole('dialog').locator('.identity').first().waitFor();
  assert.deepEqual(await violations(page), [], 'merging');
  await page.getByRole('dialog').locator('.identity').first().click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.waitForFunction((n) => document.querySelectorAll('.hit').length > n, seen);
  await page.getByRole('heading', { name: 'The red van', level: 1 }).waitFor();

  const merged = await page.locator('.hit').count();
  await page
    .getByRole('button', { name: /take it out$/ })
    .first()
    .click();
  await page.waitForFunction((n) => document.querySelectorAll('.hit').length < n, merged);
  await page.locator('.corrections li').nth(2).waitFor();
  assert.deepEqual(await violations(page), [], 'corrected');

  await page.locator('.notice').getByRole('button', { name: 'Undo' }).last().click();
  await page.waitForFunction((n) => document.querySelectorAll('.hit').length === n, merged);
  await page.goto(`${stage.server.url}/ui/#/people?type=car&video=${stage.street}`);
  await page.locator('.identity strong', { hasText: 'The red van' }).waitFor();
  assert.equal(await page.locator('.identity').count(), before - 1);
  await page.locator('.corrections li').nth(1).waitFor();
  for (const left of [2, 1]) {
    assert.equal(await page.locator('.corrections li').count(), left);
    await page.locator('.corrections').getByRole('button', { name: /^Undo/ }).first().click();
    await page
      .locator('.corrections li')
      .nth(left - 1)
      .waitFor({ state: 'detached' });
  }
  await page.waitForFunction((n) => document.querySelectorAll('.identity').length === n, before);
  assert.equal(await page.getByText('The red van').count(), 0);
  assert.deepEqual(page.problems, []);
});

test('a correction that is undone in the list shows the identity where it is now', async () => {
  const page = await stage.browser.open(`#/people?type=car&video=${stage.street}`);
  await page.locator('.identity').first().click();
  await page.locator('.hit').first().waitFor();
  await page.getByRole('button', { name: 'Merge with…' }).click();
  await page.getByRole('dialog').locator('.identity').first().click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.waitForFunction(() => document.querySelectorAll('.hit').length > 1);
  const merged = await page.locator('.hit').count();
  const whole = new URL(page.url()).hash;
  // The identity has the id of its first object: without that, it has another.
  const first = decodeURIComponent(whole.split('/').at(-1));
  const [, , , track] = first.split('-');
  await page.getByRole('button', { name: `vehicle ${track} is another one: take it out` }).click();
  await page.waitForFunction((before) => location.hash !== before, whole);
  await page.locator('.corrections li').nth(1).waitFor();
  await page.locator('.corrections li', { hasText: 'One taken out' }).getByRole('button', { name: /^Undo/ }).click();
  await page.waitForFunction((before) => location.hash === before, whole);
  await page.waitForFunction((n) => document.querySelectorAll('.hit').length === n, merged);
  await page.locator('.corrections').getByRole('button', { name: /^Undo/ }).click();
  await page.locator('.corrections').waitFor({ state: 'detached' });
});

test('a name is known in other videos', async () => {
  const page = await stage.browser.open(`#/people?type=face&video=${stage.face}`);
  await page.locator('.identity').first().click();
  await page.getByRole('button', { name: 'Give a name' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill('Karl');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'Karl', level: 1 }).waitFor();
  const elsewhere = page.getByRole('region', { name: 'In other videos' });
  await elsewhere.locator('.identity', { hasText: 'The same face' }).first().click();
  await page.getByText(/^Looks like Karl in A face that speaks/).waitFor();
  assert.deepEqual(await violations(page), [], 'a guess');
  await page.getByRole('button', { name: 'Name Karl' }).click();
  await page.getByRole('heading', { name: 'Karl', level: 1 }).waitFor();
  await page.getByRole('link', { name: 'Back to all' }).click();
  const named = page.getByRole('region', { name: 'With a name' });
  await named.locator('.identity', { hasText: 'Karl' }).getByText('In 2 videos').waitFor();
  assert.equal(await named.locator('.identity').count(), 1);
  assert.deepEqual(await violations(page), [], 'names');
  for (const video of [stage.face, stage.again]) await stage.server.api('DELETE', `/videos/${video}/corrections/1/`);
  await named.waitFor({ state: 'detached' });
  assert.deepEqual(page.problems, []);
});
