// Builds the page into dist/: hashed files in assets/, and the index.html that names them.
//
//   node build.mjs            writes dist/
//   node build.mjs --verify   writes nothing; fails where dist/ is not what the sources give
//
// The same sources give the same bytes: what esbuild makes depends on its version (fixed by the
// lock file) and on paths relative to this folder only.

import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const DIGEST = 'sources.sha256';
const FIRST_VIEW_LIMIT = 80_000;

/** The files of dist/, by their path in it, and what a browser loads for the first view. */
export async function bundle() {
  const result = await build({
    absWorkingDir: here,
    entryPoints: { main: 'src/main.tsx' },
    outdir: 'dist',
    entryNames: 'assets/[name]-[hash]',
    chunkNames: 'assets/[name]-[hash]',
    assetNames: 'assets/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: ['chrome123', 'firefox120', 'safari17.5'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'warning',
  });
  const files = new Map(result.outputFiles.map((file) => [relative(dist, file.path), Buffer.from(file.contents)]));
  const outputs = Object.entries(result.metafile.outputs);
  const [entry, made] = outputs.find(([, output]) => output.entryPoint === 'src/main.tsx');
  const name = (path) => relative('dist', path);
  const first = [name(entry), name(made.cssBundle)];
  for (const path of made.imports.filter((i) => i.kind === 'import-statement')) first.push(name(path.path));

  const hashed = (path, bytes) => {
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8).toUpperCase();
    const at = path.lastIndexOf('.');
    const whole = `${path.slice(0, at)}-${hash}${path.slice(at)}`;
    files.set(whole, bytes);
    return whole;
  };
  const icon = await readFile(join(here, 'src/icon.svg'));
  const iconName = hashed('assets/icon.svg', icon);
  const licencesName = hashed('assets/licences.txt', await licences(Object.keys(result.metafile.inputs)));
  const html = (await readFile(join(here, 'src/index.html'), 'utf8'))
    .replace('%SCRIPT%', name(entry))
    .replace('%STYLE%', name(made.cssBundle))
    .replace(
      '%PRELOAD%',
      first
        .slice(2)
        .map((path) => `<link rel="modulepreload" href="${path}">`)
        .join('\n'),
    )
    .replace('%ICON%', iconName)
    .replace('%LICENCES%', licencesName);
  files.set('index.html', Buffer.from(html));
  first.push('index.html');
  const size = first.reduce((sum, path) => sum + gzipSync(files.get(path)).length, 0);
  return { files, size };
}

/** The licences of the packages that are in the page. */
async function licences(inputs) {
  const names = inputs.map((input) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]).filter(Boolean);
  const texts = [...new Set(names)].sort().map(async (name) => {
    const folder = join(here, 'node_modules', name);
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} has no licence`);
    return `${name}\n\n${(await readFile(join(folder, file), 'utf8')).trim()}\n`;
  });
  return Buffer.from((await Promise.all(texts)).join('\n----\n\n'));
}

/** SHA-256 of the sources, by which a check without Node.js sees whether dist/ was built since. */
async function digestOfSources() {
  const inSrc = await readdir(join(here, 'src'), { recursive: true, withFileTypes: true });
  const paths = inSrc
    .filter((entry) => entry.isFile())
    .map((entry) => relative(here, join(entry.parentPath, entry.name)));
  const hash = createHash('sha256');
  for (const path of [...paths, 'build.mjs', 'package-lock.json', 'tsconfig.json'].sort()) {
    hash.update(`${path}\n`).update(await readFile(join(here, path)));
  }
  return `${hash.digest('hex')}\n`;
}

export async function write(files) {
  await rm(dist, { recursive: true, force: true });
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(dist, path)), { recursive: true });
    await writeFile(join(dist, path), bytes);
  }
  await writeFile(join(here, DIGEST), await digestOfSources());
}

async function differences(files) {
  const found = [];
  const present = await readdir(dist, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of present.filter((entry) => entry.isFile())) {
    const path = relative(dist, join(entry.parentPath ?? entry.path, entry.name));
    if (!files.has(path)) found.push(`${path} is not made by the sources`);
  }
  for (const [path, bytes] of files) {
    const built = await readFile(join(dist, path)).catch(() => null);
    if (!built) found.push(`${path} is missing`);
    else if (!built.equals(bytes)) found.push(`${path} is another`);
  }
  const digest = await readFile(join(here, DIGEST), 'utf8').catch(() => '');
  if (digest !== (await digestOfSources())) found.push(`${DIGEST} is of other sources`);
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { files, size } = await bundle();
  if (process.argv.includes('--verify')) {
    const found = await differences(files);
    for (const line of found) console.error(`dist: ${line}`);
    if (found.length > 0) {
      console.error('dist is not what the sources give: run "npm run build" and commit it');
      process.exit(1);
    }
  } else {
    await write(files);
  }
  console.log(`first view: ${(size / 1000).toFixed(1)} kB gzipped, of ${FIRST_VIEW_LIMIT / 1000}`);
  if (size > FIRST_VIEW_LIMIT) process.exit(1);
}
