// Benchmark of the page: how it copes with 100,000 videos, with a video of ten hours that has 20,000
// tracks, and with 1,000 identities; what open pages cost the server; how long a changed setting
// takes to its first picture. Prints a line for each figure; compares nothing.
//
//   npm run bench [-- VIDEOS]

import { execFile as execFileOf } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Browser } from './browser.mjs';
import { Server, STREET } from './server.mjs';

const execFile = promisify(execFileOf);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const VIDEOS = Number(process.argv[2] ?? 100_000);
const MANY = `${VIDEOS.toLocaleString('en')} videos`;
const PAGES = 10;
const IDLE_MS = 20_000;
/** Changes of a video, one a second, while pages look on. */
const CHANGES = 20;
const SCROLL_FRAMES = 300;
const SCROLL_PX = 400;
const ROUNDS = 5;
/** Seconds of the recording whose settings are changed. */
const RECORDING_S = 60;

function print(what, figure) {
  console.log(`${what.padEnd(64)} ${figure}`);
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** A data folder with many videos; the id of the long one. */
async function largeArchive(data, browser) {
  const page = await browser.blank();
  const picture = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [160, 200];
    const context = canvas.getContext('2d');
    for (let i = 0; i < 400; i++) {
      context.fillStyle = `hsl(${(i * 137) % 360} 60% 50%)`;
      context.fillRect((i * 37) % 160, (i * 53) % 200, 30, 30);
    }
    return canvas.toDataURL('image/jpeg', 0.8).split(',')[1];
  });
  await page.context().close();
  const file = join(data, 'identity.jpg');
  await writeFile(file, Buffer.from(picture, 'base64'));
  const make = ['run', '--quiet', '--release', '--example', 'large_archive', '--'];
  const [program, before] = process.env.OCELLUS_LARGE_ARCHIVE
    ? [process.env.OCELLUS_LARGE_ARCHIVE, []]
    : ['cargo', make];
  const { stdout } = await execFile(program, [...before, data, String(VIDEOS), file], { cwd: root });
  return Number(stdout.trim());
}

/** Megabytes of a page's JavaScript, after what is not used any more was collected. */
async function heap(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return `${(usedSize / 1e6).toFixed(1)} MB`;
}

/** Milliseconds to the first paint, and to when `ready` is there. */
async function paints(browser, route, ready) {
  const [first, whole] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    const page = await browser.open(route);
    await page.locator(ready).first().waitFor();
    whole.push(await page.evaluate(() => performance.now()));
    first.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN));
    await page.context().close();
  }
  return `${percentile(first, 0.5).toFixed(0)} ms, content ${percentile(whole, 0.5).toFixed(0)} ms`;
}

/** Milliseconds between frames while a page scrolls down as fast as a hand flings it. */
async function scroll(page, area) {
  const times = await page.evaluate(
    ([selector, frames, px]) =>
      new Promise((resolve) => {
        const element = document.querySelector(selector);
        const times = [];
        let last = null;
        const step = (now) => {
          if (last !== null) times.push(now - last);
          last = now;
          if (times.length === frames) return resolve(times);
          element.scrollTop += px;
          requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
      }),
    [area, SCROLL_FRAMES, SCROLL_PX],
  );
  const [p50, p95, most] = [0.5, 0.95, 1].map((share) => percentile(times, share).toFixed(1));
  return `p50 ${p50} ms, p95 ${p95} ms, longest ${most} ms`;
}

/** Seconds of CPU that a process has used. */
async function cpu(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const TICKS_PER_SECOND = 100;
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Share of a core that the server takes during some work. */
async function share(server, work) {
  const [before, from] = [await cpu(server.pid), performance.now()];
  await work();
  return ((await cpu(server.pid)) - before) / ((performance.now() - from) / 1000);
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const percent = (value) => `${(value * 100).toFixed(2)} % of a core`;

async function large(browser, server, long) {
  print(`${MANY}: first paint`, await paints(browser, '#/videos', '.row'));
  let page = await browser.open('#/videos');
  await page.locator('.row').first().waitFor();
  print(`${MANY}: heap`, await heap(page));
  print(`${MANY}: frames while scrolling`, await scroll(page, '.main'));
  print(
    `${MANY}: rows read meanwhile`,
    await page.evaluate(() => document.querySelector('.row')?.closest('li')?.getAttribute('aria-setsize')),
  );
  print(`${MANY}: heap after it`, await heap(page));
  await page.context().close();

  const ready = '.card-open';
  print('20,000 tracks: first paint', await paints(browser, `#/videos/${long}`, ready));
  page = await browser.open(`#/videos/${long}`);
  await page.locator(ready).first().waitFor();
  const from = performance.now();
  await page.getByText('All 20,000').waitFor();
  print('20,000 tracks: until all of them are there', `${(performance.now() - from).toFixed(0)} ms after the first`);
  print('20,000 tracks: heap', await heap(page));
  print('20,000 tracks: frames while scrolling', await scroll(page, '.cards-list'));
  await page.context().close();

  print('1,000 identities: first paint', await paints(browser, `#/people?type=face&video=${long}`, '.identity'));
  page = await browser.open(`#/people?type=face&video=${long}`);
  await page.locator('.identity').first().waitFor();
  print('1,000 identities: frames while scrolling', await scroll(page, '.main'));
  print('1,000 identities: heap after it', await heap(page));
  await page.context().close();
}

async function events(browser, server) {
  const change = async () => {
    for (let i = 0; i < CHANGES; i++) {
      await server.api('PATCH', '/videos/1/', { name: `changed ${i}` });
      await pause(1000);
    }
  };
  const idle = () => pause(IDLE_MS);
  const [aloneIdle, aloneChanges] = [await share(server, idle), await share(server, change)];
  const pages = await Promise.all(Array.from({ length: PAGES }, () => browser.open('#/videos')));
  for (const page of pages) await page.getByText('Live', { exact: true }).waitFor();
  const [idleShare, changeShare] = [await share(server, idle), await share(server, change)];
  for (const page of pages) await page.context().close();
  print(`${PAGES} pages open, nothing happens`, `${percent(idleShare)}, without them ${percent(aloneIdle)}`);
  print(`${PAGES} pages open, a change a second`, `${percent(changeShare)}, without them ${percent(aloneChanges)}`);
}

/** Milliseconds from a changed setting to the first picture of what is lost. */
async function tuning(browser, server, folder) {
  const file = join(folder, 'minute.mp4');
  await execFile('ffmpeg', [
    '-loglevel',
    'error',
    '-stream_loop',
    '-1',
    '-i',
    STREET,
    '-t',
    String(RECORDING_S),
    '-c',
    'copy',
    file,
  ]);
  const video = await server.processed('A minute of a street', file, ['car']);
  const took = [];
  for (let round = 0; round < ROUNDS; round++) {
    const page = await browser.open(`#/tune/${video}`);
    await page.getByText('the result is what is in the archive').waitFor();
    await page.evaluate(() => {
      window.first = new Promise((resolve) => {
        const look = () => {
          const picture = document.querySelector('.outcome-lost .tile img');
          if (picture?.complete && picture.naturalWidth > 0) resolve(performance.now() - window.changed);
          else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
      });
      document.addEventListener('input', () => (window.changed = performance.now()), { capture: true, once: true });
    });
    await page.getByLabel('Smallest size').fill('2000');
    took.push(await page.evaluate(() => window.first));
    await page.context().close();
  }
  const {
    health_status: { statistic },
  } = await server.api('GET', `/videos/${video}/`);
  print(
    `a changed setting, ${statistic.frames_processed} frames: first lost picture`,
    `p50 ${percentile(took, 0.5).toFixed(0)} ms, longest ${percentile(took, 1).toFixed(0)} ms`,
  );
}

const folder = await mkdtemp(join(tmpdir(), 'ocellus-page-bench-'));
let browser;
let server;
try {
  browser = await Browser.start(null);
  const data = await mkdtemp(join(folder, 'data-'));
  console.log(`making ${MANY}…`);
  const long = await largeArchive(data, browser);
  server = await Server.over(data);
  browser.use(server);
  print('cores', cpus().length);
  await large(browser, server, long);
  await events(browser, server);
  await tuning(browser, server, folder);
} finally {
  await browser?.stop();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
}
