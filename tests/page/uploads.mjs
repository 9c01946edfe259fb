//! Covers: adding recordings: dropped files, uploads that break off, pause, and go on.

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { violations } from './browser.mjs';
import { FACE } from './server.mjs';
import { stage } from './stage.mjs';

test('a dropped recording is uploaded, processed and shown without a reload', async () => {
  const page = await stage.browser.open();
  await page.getByRole('button', { name: 'Add videos' }).waitFor();
  const transfer = await page.evaluateHandle(
    (bytes) => {
      const data = new DataTransfer();
      const file = Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0));
      data.items.add(new File([file], 'carphone_pristine.mp4', { type: 'video/mp4' }));
      data.items.add(new File(['no recording'], 'notes.txt', { type: 'text/plain' }));
      return data;
    },
    (await readFile(FACE)).toString('base64'),
  );
  await page.dispatchEvent('.view', 'dragenter', { dataTransfer: transfer });
  await page.getByText('Drop recordings to add them').waitFor();
  await page.dispatchEvent('.view', 'drop', { dataTransfer: transfer });
  const dialog = page.getByRole('dialog');
  await dialog.getByText('carphone_pristine.mp4').waitFor();
  await dialog.getByRole('checkbox', { name: 'Bodies' }).uncheck();
  await dialog.getByRole('button', { name: 'Add and start' }).click();
  const row = page.locator('.row', { hasText: 'carphone_pristine' }).first();
  await row
    .getByText(/^(Looking|Starting|Waiting for its turn|Done)/)
    .first()
    .waitFor();
  await row.getByText('Done', { exact: true }).waitFor({ timeout: 300_000 });
  await page.getByPlaceholder('Name, or an object’s id').fill('carphone');
  await page.locator('.row', { hasText: 'A street' }).waitFor({ state: 'detached' });
  await row.getByRole('checkbox').check();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await row.waitFor({ state: 'detached' });
  assert.deepEqual(page.problems, []);
});

/** Chooses a file in the dialog; `start` adds it. */
async function choose(page, file) {
  await page.getByRole('button', { name: 'Add videos' }).click();
  await page.locator('input[type=file][multiple]').first().setInputFiles(file);
  return () => page.getByRole('dialog').getByRole('button', { name: 'Add and start' }).click();
}

/** A page with a file for its dialog, and the file's row once it is added. */
async function uploading(name) {
  const page = await stage.browser.open();
  // A file of the disk: the time of its last change is the same when it is chosen again.
  const file = join(await mkdtemp(join(tmpdir(), 'ocellus-upload-')), name);
  await copyFile(FACE, file);
  const start = await choose(page, file);
  const row = page.locator('.row', { hasText: name.replace('.mp4', '') }).first();
  const remove = async () => {
    await row.getByRole('button', { name: /^Delete/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await row.waitFor({ state: 'detached' });
    await rm(dirname(file), { recursive: true });
  };
  return { page, file, row, start, remove, size: (await stat(file)).size };
}

/** Passes only the first bytes of the first PATCH to the server, and then calls `end`; returns the list of the offsets of all of them. */
async function takeOnly(page, bytes, end) {
  const offsets = [];
  await page.route('**/uploads/*/', async (route) => {
    const request = route.request();
    if (request.method() !== 'PATCH') return route.continue();
    offsets.push(Number(request.headers()['upload-offset']));
    if (offsets.length > 1) return route.continue();
    const headers = { ...(await request.allHeaders()), authorization: `Token ${stage.server.token}` };
    for (const name of ['cookie', 'content-length', 'host', 'origin']) delete headers[name];
    const body = (await readFile(FACE)).subarray(0, bytes);
    const answer = await fetch(request.url(), { method: 'PATCH', headers, body });
    assert.equal(answer.status, 204);
    return end(route);
  });
  return offsets;
}

test('an upload whose connection breaks goes on by itself where it was', async () => {
  const { page, row, start, remove, size } = await uploading('broken.mp4');
  const half = Math.floor(size / 2);
  const offsets = await takeOnly(page, half, (route) => route.abort('connectionreset'));
  await start();
  await row.getByText('Done', { exact: true }).waitFor({ timeout: 300_000 });
  assert.deepEqual(offsets, [0, half]);
  await remove();
});

test('an upload is paused and resumed', async () => {
  const { page, row, start, remove } = await uploading('paused.mp4');
  let held = 0;
  await page.route('**/uploads/*/', (route) => {
    if (route.request().method() !== 'PATCH') return route.continue();
    // Nothing answers, as on a slow line.
    held++;
  });
  await start();
  await row.getByText(/^Uploading/).waitFor();
  await row.getByRole('button', { name: 'Pause', exact: true }).click();
  await row.getByText(/^Paused/).waitFor();
  assert.deepEqual(await violations(page), [], 'a paused upload');
  assert.equal(held, 1);
  await page.unroute('**/uploads/*/');
  await row.getByRole('button', { name: 'Resume' }).click();
  await row.getByText('Done', { exact: true }).waitFor({ timeout: 300_000 });
  await remove();
});

test('an upload goes on after the page was reloaded, when the same file is added again', async () => {
  const { page, file, row, start, remove, size } = await uploading('reloaded.mp4');
  const half = Math.floor(size / 2);
  let arrived = () => {};
  const halfArrived = new Promise((resolve) => (arrived = resolve));
  // Nothing is answered.
  const offsets = await takeOnly(page, half, () => arrived());
  const { count } = await stage.server.api('GET', '/videos/count/');
  await start();
  await halfArrived;
  page.on('dialog', (dialog) => dialog.accept());
  await page.reload();
  await row.getByText(/^Half uploaded: add reloaded.mp4 again/).waitFor();
  assert.deepEqual(await violations(page), [], 'half an upload');
  await (
    await choose(page, file)
  )();
  await row.getByText('Done', { exact: true }).waitFor({ timeout: 300_000 });
  assert.deepEqual(offsets, [0, half]);
  assert.equal((await stage.server.api('GET', '/videos/count/')).count, count + 1, 'one video for one file');
  await remove();
});
