// What all tests look at: a server with three processed recordings, and a browser.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Browser } from './browser.mjs';
import { FACE, Server, STREET } from './server.mjs';

/** Filled before the first test; `street`, `face` and `again` are ids of videos. */
export const stage = { server: null, browser: null, street: 0, face: 0, again: 0 };

before(async () => {
  stage.server = await Server.start();
  // Nothing listens at the router: its deliveries wait.
  stage.street = await stage.server.processed('A street', STREET, ['body', 'car'], 'http://127.0.0.1:9/frame');
  stage.face = await stage.server.processed('A face that speaks', FACE, ['face']);
  stage.again = await stage.server.processed('The same face', FACE, ['face']);
  stage.browser = await Browser.start(stage.server);
});

after(async () => {
  await stage.browser?.stop();
  await stage.server?.stop();
});

export async function firstObject(video) {
  const { results } = await stage.server.api('GET', `/videos/${video}/objects/?limit=1`);
  assert.ok(results[0], `nothing was found in video ${video}`);
  return results[0];
}

/** The number of pixels of a canvas that are not transparent. */
export function drawn(page, selector) {
  return page.evaluate((of) => {
    const canvas = document.querySelector(of);
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let number = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i] > 0) number++;
    return number;
  }, selector);
}
