// Screenshots compared with those in references/: small WebP pictures, in which what changes from run
// to run is covered. A browser decodes and compares them. OCELLUS_BLESS=1 writes them anew.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('./references/', import.meta.url));
const FONTS = join(FOLDER, 'fonts.json');
const QUALITY = 0.5;
/** Of a channel, of 255: less is the loss of WebP, and the smoothing of letters. */
const DIFFERENT = 48;
/** Pixels that may differ, as a share of all. */
export const TOLERATED = 0.0005;
const bless = Boolean(process.env.OCELLUS_BLESS);

/**
 * Compares pictures on a page of its own. Letters have other widths where other fonts are installed:
 * there nothing is compared.
 */
export class References {
  #page;
  /** Why nothing is compared; `null` where it is. */
  skipped = null;

  static async open(browser) {
    const references = new References();
    references.#page = await browser.blank();
    await mkdir(FOLDER, { recursive: true });
    const fonts = await references.#page.evaluate(() => {
      const context = document.createElement('canvas').getContext('2d');
      context.font = '100px system-ui';
      return { width: Math.round(context.measureText('Ocellus 0123456789').width) };
    });
    if (bless) await writeFile(FONTS, `${JSON.stringify(fonts)}\n`);
    const { width } = JSON.parse(await readFile(FONTS, 'utf8'));
    if (width !== fonts.width) references.skipped = 'the fonts are not those of the reference pictures';
    return references;
  }

  /** The share of pixels in which a screenshot (PNG) differs from its reference. */
  async difference(name, png) {
    const file = join(FOLDER, `${name}.webp`);
    if (bless) await writeFile(file, Buffer.from(await this.#page.evaluate(toWebp, [base64(png), QUALITY]), 'base64'));
    return this.#page.evaluate(compare, [base64(png), base64(await readFile(file)), DIFFERENT]);
  }
}

const base64 = (bytes) => bytes.toString('base64');

/* What follows runs in the browser. */

async function toWebp([png, quality]) {
  const picture = new Image();
  picture.src = `data:image/png;base64,${png}`;
  await picture.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext('2d').drawImage(picture, 0, 0);
  return canvas.toDataURL('image/webp', quality).split(',')[1];
}

async function compare([png, webp, different]) {
  // At half the size: a letter that moved by a fraction of a pixel is no difference.
  const pixels = async (source, size) => {
    const picture = new Image();
    picture.src = source;
    await picture.decode();
    if (size && (picture.width !== size.width || picture.height !== size.height)) return null;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [picture.width >> 1, picture.height >> 1];
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.imageSmoothingQuality = 'high';
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return {
      width: picture.width,
      height: picture.height,
      data: context.getImageData(0, 0, canvas.width, canvas.height).data,
    };
  };
  const now = await pixels(`data:image/png;base64,${png}`);
  const reference = await pixels(`data:image/webp;base64,${webp}`, now);
  if (!reference) return 1;
  let number = 0;
  for (let i = 0; i < now.data.length; i += 4) {
    const differs = [0, 1, 2].some((c) => Math.abs(now.data[i + c] - reference.data[i + c]) > different);
    if (differs) number++;
  }
  return number / (now.data.length / 4);
}
