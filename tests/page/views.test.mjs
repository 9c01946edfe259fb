//! Covers: the views of the page, each used as a person uses it, against a server with real
//! recordings.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Browser, OUT, settled, violations } from './browser.mjs';
import { FACE, Server, STREET } from './server.mjs';

let server;
let browser;
let street;
let face;
let again;

before(async () => {
  server = await Server.start();
  // Nothing listens at the router: its deliveries wait.
  street = await server.processed('A street', STREET, ['body', 'car'], 'http://127.0.0.1:9/frame');
  face = await server.processed('A face that speaks', FACE, ['face']);
  again = await server.processed('The same face', FACE, ['face']);
  browser = await Browser.start(server);
});

after(async () => {
  await browser?.stop();
  await server?.stop();
});

async function firstObject(video) {
  const { results } = await server.api('GET', `/videos/${video}/objects/?limit=1`);
  assert.ok(results[0], `nothing was found in video ${video}`);
  return results[0];
}

/** The number of pixels of a canvas that are not transparent. */
function drawn(page, selector) {
  return page.evaluate((of) => {
    const canvas = document.querySelector(of);
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let number = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i] > 0) number++;
    return number;
  }, selector);
}

test('log-in refuses in the words of the API, and lets in', async () => {
  const page = await browser.open('', { login: false });
  await page.getByRole('radio', { name: 'Token' }).check();
  await page.getByLabel('Token', { exact: true }).last().fill('wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  const hint = page.locator('.hint-error');
  await hint.waitFor();
  assert.notEqual(await hint.innerText(), '');
  await page.getByLabel('Token', { exact: true }).last().fill(server.token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('button', { name: 'Log in' }).waitFor();
});

test('a dropped recording is uploaded, processed and shown without a reload', async () => {
  const page = await browser.open();
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
  await page.getByPlaceholder('Name contains').fill('carphone');
  await page.locator('.row', { hasText: 'A street' }).waitFor({ state: 'detached' });
  await row.getByRole('checkbox').check();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await row.waitFor({ state: 'detached' });
  assert.deepEqual(page.problems, []);
});

/** A page with a file for its dialog, and the file's row once it is added. */
async function uploading(name) {
  const page = await browser.open();
  await page.getByRole('button', { name: 'Add videos' }).click();
  const file = { name, mimeType: 'video/mp4', buffer: await readFile(FACE) };
  await page.locator('input[type=file][multiple]').first().setInputFiles(file);
  const start = () => page.getByRole('dialog').getByRole('button', { name: 'Add and start' }).click();
  const row = page.locator('.row', { hasText: name.replace('.mp4', '') }).first();
  const remove = async () => {
    await row.getByRole('button', { name: /^Delete/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await row.waitFor({ state: 'detached' });
  };
  return { page, row, start, remove, size: file.buffer.length };
}

test('an upload whose connection breaks goes on by itself where it was', async () => {
  const { page, row, start, remove, size } = await uploading('broken.mp4');
  const half = Math.floor(size / 2);
  const offsets = [];
  await page.route('**/uploads/*/', async (route) => {
    const request = route.request();
    if (request.method() !== 'PATCH') return route.continue();
    offsets.push(Number(request.headers()['upload-offset']));
    if (offsets.length > 1) return route.continue();
    // Half of the file arrives, and then the connection breaks.
    const headers = { ...(await request.allHeaders()), authorization: `Token ${server.token}` };
    for (const name of ['cookie', 'content-length', 'host', 'origin']) delete headers[name];
    const body = (await readFile(FACE)).subarray(0, half);
    const answer = await fetch(request.url(), { method: 'PATCH', headers, body });
    assert.equal(answer.status, 204);
    return route.abort('connectionreset');
  });
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

test('a video shows boxes over its picture, and cards that lead to their second', async () => {
  const object = await firstObject(street);
  const page = await browser.open(`#/videos/${street}?t=${object.best_time}`);
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
  const page = await browser.open('#/videos');
  await page.addInitScript(() => {
    window.asked = 0;
    const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
    HTMLVideoElement.prototype.requestVideoFrameCallback = function (then) {
      window.asked++;
      return ask.call(this, then);
    };
  });
  await page.goto(`${server.url}/ui/#/videos/${street}`);
  await page.reload();
  await page.waitForFunction(() => document.querySelector('video')?.readyState >= 3);
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  const frames = () => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames;
  await page.waitForFunction(() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames > 40);
  const [asked, shown] = [await page.evaluate(() => window.asked), await page.evaluate(frames)];
  assert.ok(asked <= shown + 10, `${asked} callbacks for ${shown} frames`);
});

test('what a browser cannot play is shown by exact frames', async () => {
  const page = await browser.open(`#/videos/${face}`);
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
  const object = await firstObject(face);
  const page = await browser.open(`#/search?object=${object.id}`);
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

test('people are cards with all their appearances', async () => {
  const page = await browser.open('#/people');
  await page.locator('.identity').first().click();
  await page.locator('.hit').first().waitFor();
  await page.getByRole('link', { name: 'Open the video' }).click();
  await page.locator('.stage').waitFor();
  assert.deepEqual(page.problems, []);
});

test('an identity is named, merged and taken apart, and each is undone in one click', async () => {
  const page = await browser.open(`#/people?type=car&video=${street}`);
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
  await page.goto(`${server.url}/ui/#/people?type=car&video=${street}`);
  await page.locator('.identity strong', { hasText: 'The red van' }).waitFor();
  assert.equal(await page.locator('.identity').count(), before - 1);
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

test('a name is known in other videos', async () => {
  const page = await browser.open(`#/people?type=face&video=${face}`);
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
  for (const video of [face, again]) await server.api('DELETE', `/videos/${video}/corrections/1/`);
  await named.waitFor({ state: 'detached' });
  assert.deepEqual(page.problems, []);
});

test('a changed setting shows who would be lost, and why', async () => {
  const page = await browser.open(`#/tune/${face}`);
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

test('deliveries tell the last answer, plugins their cost, the system its disk', async () => {
  const page = await browser.open('#/deliveries');
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
  const page = await browser.open();
  await page.route('**/auth/session/', (route) =>
    route.fulfill({ json: { name: 'viewer', scopes: ['read'], expires: null } }),
  );
  await page.reload();
  await page.locator('.row').first().waitFor();
  assert.equal(await page.getByRole('button', { name: 'Add videos' }).count(), 0);
  assert.equal(await page.getByRole('button', { name: /^Delete/ }).count(), 0);
  assert.equal(await page.getByRole('checkbox').count(), 0);
});

test('dialogs, results and refusals are accessible', async () => {
  const object = await firstObject(face);
  const page = await browser.open('', { login: false, theme: 'dark' });
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  assert.deepEqual(await violations(page), [], 'log-in');

  const inside = await browser.open('#/videos', { theme: 'dark' });
  await inside.getByRole('button', { name: 'Add videos' }).click();
  await inside.getByRole('dialog').locator('summary').click();
  assert.deepEqual(await violations(inside), [], 'adding');
  await inside.getByLabel('Or from an address').fill('http://169.254.169.254/latest');
  await inside.getByRole('button', { name: 'Add and start' }).click();
  await inside.locator('.hint-error').waitFor();
  assert.deepEqual(await violations(inside), [], 'a refusal');
  await inside.keyboard.press('Escape');
  await inside.getByRole('dialog').waitFor({ state: 'detached' });

  await inside.goto(`${server.url}/ui/#/search?object=${object.id}`);
  await inside.locator('.hit').first().waitFor();
  assert.deepEqual(await violations(inside), [], 'hits');
  await inside.goto(`${server.url}/ui/#/tune/${face}`);
  await inside.getByLabel('Smallest size').fill('2000');
  await inside.locator('.outcome-lost .tile').first().waitFor();
  assert.deepEqual(await violations(inside), [], 'what is lost');
});

const views = () => ({
  videos: ['#/videos', '.row'],
  video: [`#/videos/${street}?t=2`, '.card'],
  search: ['#/search', '.drop-large'],
  people: ['#/people', '.identity'],
  tune: [`#/tune/${face}`, '.balance'],
  deliveries: [`#/deliveries/${street}`, '.line-delivery'],
  plugins: ['#/plugins', '.plugin'],
  system: ['#/system', '.panel'],
});

for (const [size, theme] of [
  ['wide', 'light'],
  ['wide', 'dark'],
  ['narrow', 'light'],
  ['narrow', 'dark'],
]) {
  test(`all views are accessible, ${size} and ${theme}`, async () => {
    for (const [name, [route, ready]] of Object.entries(views())) {
      const page = await browser.open(route, { size, theme });
      await page.locator(ready).first().waitFor();
      await settled(page);
      await page.screenshot({ path: `${OUT}${name}-${size}-${theme}.png` });
      assert.deepEqual(await violations(page), [], name);
      assert.equal(
        await page.evaluate(() => document.documentElement.scrollWidth > innerWidth),
        false,
        `${name} is too wide`,
      );
      await page.context().close();
    }
  });
}
