//! Covers: the views, each used as a person uses it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawn, firstObject, stage } from './stage.mjs';

test('log-in refuses in the words of the API, and lets in', async () => {
  const page = await stage.browser.open('', { login: false });
  await page.getByRole('radio', { name: 'Token' }).check();
  await page.getByLabel('Token', { exact: true }).last().fill('wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  const hint = page.locator('.hint-error');
  await hint.waitFor();
  assert.notEqual(await hint.innerText(), '');
  await page.getByLabel('Token', { exact: true }).last().fill(stage.server.token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('button', { name: 'Log in' }).waitFor();
});

test('a video shows boxes over its picture, and cards that lead to their second', async () => {
  const object = await firstObject(stage.street);
  const page = await stage.browser.open(`#/videos/${stage.street}?t=${object.best_time}`);
  await page.waitForFunction(
    () => document.querySelector('video')?.readyState >= 2 || document.querySelector('canvas.stage-picture'),
  );
  await page.waitForFunction(() => {
    const canvas = document.querySelector('.stage-boxes');
    return (
      canvas?.width > 0 &&
      canvas
        .getContext('2d')
        .getImageData(0, 0, canvas.width, canvas.height)
        .data.some((value) => value > 0)
    );
  });
  await page.getByRole('button', { name: 'Show boxes' }).click();
  await page.waitForFunction(() => {
    const canvas = document.querySelector('.stage-boxes');
    return canvas
      .getContext('2d')
      .getImageData(0, 0, canvas.width, canvas.height)
      .data.every((value) => value === 0);
  });
  assert.ok((await drawn(page, '.timeline-area canvas')) > 0);
  const time = page.locator('.timeline-area');
  const before = await time.getAttribute('aria-valuetext');
  await page.locator('.timeline-area').focus();
  for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowRight');
  await page.waitForFunction(
    (old) => document.querySelector('.timeline-area').getAttribute('aria-valuetext') !== old,
    before,
  );
  const card = page.locator('.card-open').last();
  await card.click();
  await page.waitForFunction(() => /\?t=/.test(location.hash));
  assert.deepEqual(page.problems, []);
});

test('a playing video asks for each of its frames once', async () => {
  const page = await stage.browser.open('#/videos');
  await page.addInitScript(() => {
    window.asked = 0;
    const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
    HTMLVideoElement.prototype.requestVideoFrameCallback = function (then) {
      window.asked++;
      return ask.call(this, then);
    };
  });
  await page.goto(`${stage.server.url}/ui/#/videos/${stage.street}`);
  await page.reload();
  await page.waitForFunction(() => document.querySelector('video')?.readyState >= 3);
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  const frames = () => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames;
  await page.waitForFunction(() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames > 40);
  const [asked, shown] = [await page.evaluate(() => window.asked), await page.evaluate(frames)];
  assert.ok(asked <= shown + 10, `${asked} callbacks for ${shown} frames`);
});

test('what a browser cannot play is shown by exact frames', async () => {
  const page = await stage.browser.open(`#/videos/${stage.face}`);
  // As where the codec is missing: the source is refused to the player.
  await page.route('**/source_file/', (route) => route.abort());
  await page.reload();
  await page.getByText('Exact frames').waitFor();
  await page.waitForFunction(() => {
    const canvas = document.querySelector('canvas.stage-picture');
    return (
      canvas?.width > 1 &&
      canvas
        .getContext('2d')
        .getImageData(0, 0, canvas.width, canvas.height)
        .data.some((value, i) => i % 4 < 3 && value > 32)
    );
  });
});

test('a search by an object finds it, and the slider counts', async () => {
  const object = await firstObject(stage.face);
  const page = await stage.browser.open(`#/search?object=${object.id}`);
  await page.locator('.hit').first().waitFor();
  assert.match(await page.locator('.hit').first().innerText(), /this one/);
  const count = page.locator('.threshold-head strong');
  const all = await page.evaluate(() => document.querySelectorAll('.hit').length);
  assert.ok(all >= 1);
  await page.getByLabel(/^At least/).fill('1');
  await page.waitForFunction(() => document.querySelector('.threshold-head strong').textContent.startsWith('0 of'));
  assert.match(await count.innerText(), /^0 of \d+/);
  await page.getByLabel(/^At least/).fill('0');
  await page.locator('.hit a').first().click();
  await page.waitForFunction(() => /^#\/videos\/\d+\?t=/.test(location.hash));
  assert.deepEqual(page.problems, []);
});

test('a changed setting shows who would be lost, and why', async () => {
  const page = await stage.browser.open(`#/tune/${stage.face}`);
  await page.getByText('the result is what is in the archive').waitFor();
  await page.getByLabel('Smallest size').fill('2000');
  await page
    .getByText(/Size: [\d.]+, below 2000/)
    .first()
    .waitFor();
  assert.ok((await page.locator('.outcome-lost .tile').count()) > 0);
  await page.getByRole('button', { name: 'Undo all' }).click();
  await page.getByText('the result is what is in the archive').waitFor();
  assert.deepEqual(page.problems, []);
});

test('what a changed setting gains is cut out of its frames', async () => {
  const page = await stage.browser.open(`#/tune/${stage.street}`);
  await page.getByText('the result is what is in the archive').waitFor();
  await page.getByRole('radio', { name: 'Vehicles' }).check();
  await page.getByLabel('Overlap').fill('0.9');
  await page.locator('.outcome-gained .tile').first().waitFor();
  await page.waitForFunction(() => document.querySelector('.outcome-gained canvas')?.width > 1);
  assert.ok((await drawn(page, '.outcome-gained canvas')) > 0);
  assert.deepEqual(page.problems, []);
});

test('deliveries tell the last answer, plugins their cost, the system its disk', async () => {
  const page = await stage.browser.open('#/deliveries');
  await page.locator('.line', { hasText: 'A street' }).first().click();
  await page.locator('.line-delivery').first().waitFor();
  await page
    .getByRole('button', { name: /^Deliver .* now/ })
    .first()
    .click();
  await page.getByRole('link', { name: 'Plugins' }).click();
  await page.getByRole('heading', { name: 'simple_iou' }).waitFor();
  await page.getByRole('link', { name: 'System' }).click();
  await page.getByText(/ of .* free/).waitFor();
  assert.deepEqual(page.problems, []);
});

test('a person who may only look is offered nothing else', async () => {
  const page = await stage.browser.open();
  await page.route('**/auth/session/', (route) =>
    route.fulfill({ json: { name: 'viewer', scopes: ['read'], expires: null } }),
  );
  await page.reload();
  await page.locator('.row').first().waitFor();
  assert.equal(await page.getByRole('button', { name: 'Add videos' }).count(), 0);
  assert.equal(await page.getByRole('button', { name: /^Delete/ }).count(), 0);
  assert.equal(await page.getByRole('checkbox').count(), 0);
});
