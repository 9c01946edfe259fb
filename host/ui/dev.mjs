// A server for work on the page: builds it on each change, serves it at /ui/ with the headers that
// the real server sends, and passes everything else on to a running server.
//
//   node dev.mjs [http://127.0.0.1:8000] [--port 8080]

import { createServer, request } from 'node:http';
import { watch } from 'node:fs';
import { bundle } from './build.mjs';

const target = new URL(
  process.argv.slice(2).find((argument) => argument.startsWith('http')) ?? 'http://127.0.0.1:8000',
);
const at = process.argv.indexOf('--port');
const port = at > 0 ? Number(process.argv[at + 1]) : 8080;
const TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript',
  css: 'text/css',
  svg: 'image/svg+xml',
  txt: 'text/plain',
};
const POLICY = [
  "default-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "style-src 'self'",
  "script-src 'self'",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

let files = new Map();
async function rebuild() {
  try {
    const built = await bundle();
    files = built.files;
    console.log(`built: first view ${(built.size / 1000).toFixed(1)} kB gzipped`);
  } catch {
    console.error('not built: see above');
  }
}
let pending;
watch(new URL('./src', import.meta.url), { recursive: true }, () => {
  clearTimeout(pending);
  pending = setTimeout(rebuild, 100);
});
await rebuild();

createServer((incoming, outgoing) => {
  const path = incoming.url.split('?')[0];
  if (path === '/') {
    outgoing.writeHead(303, { location: 'ui/' }).end();
  } else if (path.startsWith('/ui/')) {
    const name = path.slice(4) || 'index.html';
    const bytes = files.get(name);
    if (!bytes) return void outgoing.writeHead(404).end();
    outgoing
      .writeHead(200, {
        'content-type': TYPES[name.split('.').pop()] ?? 'application/octet-stream',
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-cache',
      })
      .end(bytes);
  } else {
    const { hostname, port } = target;
    // To the server its own page speaks: it refuses writes of others.
    const headers = { ...incoming.headers, host: target.host };
    if (headers.origin) headers.origin = target.origin;
    const passed = request({ hostname, port, path: incoming.url, method: incoming.method, headers });
    passed.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => (outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end()));
    outgoing.on('close', () => passed.destroy());
    incoming.pipe(passed);
  }
}).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/ui/ in front of ${target.origin}`));
