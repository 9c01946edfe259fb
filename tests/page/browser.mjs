// A browser as a person uses it: logged in, watched for errors of its console.

import { chromium } from 'playwright-core';
import { runAxe } from './axe.mjs';

const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } };
/**
 * What is waited for comes with the server's work: on a machine without a GPU that takes a while.
 */
const PATIENCE_MS = 30_000;

export class Browser {
  #browser;
  #server;

  static async start(server) {
    const it = new Browser();
    it.#server = server;
    it.#browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox'],
    });
    return it;
  }

  /** The server of the pages that are opened from now on. */
  use(server) {
    this.#server = server;
  }

  /** An empty page. */
  async blank() {
    return (await this.#browser.newContext()).newPage();
  }

  stop() {
    return this.#browser.close();
  }

  /** A page of its own: cookies, theme and size. */
  async open(route = '#/videos', { size = 'wide', theme = 'light', login = true } = {}) {
    const context = await this.#browser.newContext({
      viewport: SIZES[size],
      colorScheme: theme,
      reducedMotion: 'reduce',
    });
    context.setDefaultTimeout(PATIENCE_MS);
    if (login) {
      const url = `${this.#server.url}/auth/session/`;
      // The origin is what a browser would send.
      const headers = { origin: this.#server.url };
      const answer = await context.request.post(url, { data: { token: this.#server.token }, headers });
      if (!answer.ok()) throw new Error(`no session: ${answer.status()} ${await answer.text()}`);
    }
    const page = await context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(error.message));
    page.on('console', (message) => {
      // That canvases are read is the tests' doing.
      if (message.text().includes('willReadFrequently')) return;
      if (['error', 'warning'].includes(message.type())) page.problems.push(message.text());
    });
    await page.goto(`${this.#server.url}/ui/${route}`);
    return page;
  }
}

/** What axe-core has against a page, as lines. */
export async function violations(page) {
  const { violations } = await runAxe(page);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
}

/** Waits until all pictures in sight have come. */
export async function settled(page) {
  await page.waitForFunction(() =>
    [...document.images].every((image) => image.complete || image.getBoundingClientRect().top > innerHeight),
  );
  await page.evaluate(() => document.fonts.ready);
}
