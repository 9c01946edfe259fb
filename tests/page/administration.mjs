//! Covers: what administrators do: tokens, the log, numbers of the server, plugins beside others;
//! and how videos are filtered.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { violations } from './browser.mjs';
import { guest } from './server.mjs';
import { firstObject, stage } from './stage.mjs';

/** The status of a request with a token. */
async function status(path, token) {
  return (await fetch(stage.server.url + path, { headers: { Authorization: `Token ${token}` } })).status;
}

test('a token is added, shown once, and revoked', async () => {
  const page = await stage.browser.open('#/system');
  const panel = page.getByRole('region', { name: 'Tokens' });
  await panel.getByRole('button', { name: 'Add a token' }).click();
  const dialog = page.getByRole('dialog');
  assert.deepEqual(await violations(page), [], 'adding a token');
  await dialog.getByLabel('Name').fill('12');
  await dialog.getByRole('button', { name: 'Add a token' }).click();
  await dialog.locator('.hint-error').waitFor();
  await dialog.getByLabel('Name').fill('board');
  await dialog.getByLabel('What it may do').selectOption('operate');
  await dialog.getByRole('button', { name: 'Add a token' }).click();
  await page.getByRole('heading', { name: 'The token of board' }).waitFor();
  assert.deepEqual(await violations(page), [], 'a new token');
  const secret = await dialog.getByLabel('Token', { exact: true }).inputValue();
  assert.equal(await status('/users/me/', secret), 200);
  assert.equal(await status('/tokens/', secret), 403);
  await dialog.getByRole('button', { name: 'Done' }).click();
  const row = panel.getByRole('row', { name: /board/ });
  await row.getByText('Operate').waitFor();
  assert.equal(await page.getByText(secret).count(), 0);
  await row.getByRole('button', { name: 'Revoke board' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await row.waitFor({ state: 'detached' });
  assert.equal(await status('/users/me/', secret), 401);
  // The refusal of the name above is what the console has to say.
  assert.equal(page.problems.filter((problem) => !problem.includes('400')).length, 0, page.problems.join());
});

test('the log and the numbers of the server follow what happens', async () => {
  const page = await stage.browser.open('#/system');
  const panel = page.getByRole('region', { name: 'Log' });
  await panel.getByRole('radio', { name: 'All' }).check();
  await panel.getByText('the server is ready').waitFor();
  const numbers = page.getByRole('region', { name: 'Work' });
  assert.equal(await numbers.getByRole('img').count(), 4);
  assert.deepEqual(await violations(page), [], 'the log');
  // Something happens, and is in the log without anything being pressed.
  const { id } = await stage.server.api('POST', '/videos/', {
    camera_group: 1,
    name: 'Not there',
    url: 'http://127.0.0.1:9/none.mp4',
  });
  const before = await panel.locator('.log-line').count();
  await stage.server.api('POST', `/videos/${id}/process/`);
  await page.waitForFunction((n) => document.querySelectorAll('.log-line').length > n, before);
  await panel.getByRole('radio', { name: 'Errors' }).check();
  await page.waitForFunction(() => !document.querySelector('.log-info'));
  await stage.server.api('DELETE', `/videos/${id}/`);
  assert.deepEqual(page.problems, []);
});

test('a canary is put beside a plugin, compared, and promoted', async () => {
  const page = await stage.browser.open('#/plugins');
  const card = page.locator('.plugin', { has: page.getByRole('heading', { name: 'simple_iou' }) });
  await card.locator('input[type=file]').setInputFiles(guest('forgetful.wasm'));
  const table = card.getByRole('table', { name: 'simple_iou and its canary' });
  await table.getByRole('columnheader', { name: 'In use' }).waitFor();
  assert.deepEqual(await violations(page), [], 'a canary');
  const digests = await table.getByRole('row', { name: 'SHA-256' }).getByRole('cell').allInnerTexts();
  assert.notEqual(digests[0], digests[1]);
  await card.getByRole('button', { name: 'Promote' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Promote' }).click();
  await table.waitFor({ state: 'detached' });
  await card.getByText('installed', { exact: true }).waitFor();
  const { digest } = await stage.server.api('GET', '/plugins/simple_iou/');
  assert.equal(digest.slice(0, 12), digests[1]);
  // The shipped one is back.
  await card.getByRole('button', { name: 'Take out' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Take out' }).click();
  await card.getByText('shipped', { exact: true }).waitFor();
  assert.deepEqual(page.problems, []);
});

test('videos are found by group, by router, and by the id of an object', async () => {
  const { id } = await stage.server.api('POST', '/videos/', { camera_group: -1, name: 'Of another group' });
  const page = await stage.browser.open('#/videos');
  const row = (name) => page.locator('.row', { hasText: name });
  await row('Of another group').waitFor();
  await page.getByLabel('Camera group').selectOption('-1');
  await row('A street').waitFor({ state: 'detached' });
  assert.equal(await page.locator('.row').count(), 1);
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByLabel('Router').selectOption('yes');
  await row('Of another group').waitFor({ state: 'detached' });
  await row('A street').waitFor();
  assert.match(page.url(), /router=yes/);
  await page.reload();
  await row('A street').waitFor();
  assert.equal(await page.locator('.row').count(), 1);
  await page.getByRole('button', { name: 'Clear' }).click();

  const object = await firstObject(stage.face);
  const search = page.getByPlaceholder('Name, or an object’s id');
  await search.fill(object.id);
  await row('A street').waitFor({ state: 'detached' });
  await row('A face that speaks').waitFor();
  await page.getByRole('link', { name: /^Go to face/ }).click();
  await page.waitForFunction((video) => location.hash.startsWith(`#/videos/${video}?t=`), stage.face);
  await page.goto(`${stage.server.url}/ui/#/videos`);
  await search.fill(`${stage.face}-1-face-99999-0`);
  await page.getByText('There is no object').waitFor();
  await stage.server.api('DELETE', `/videos/${id}/`);
  assert.equal(page.problems.filter((problem) => !problem.includes('404')).length, 0, page.problems.join());
});
