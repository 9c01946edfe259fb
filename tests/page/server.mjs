// The server that the tests look at: one that is running (OCELLUS_URL and OCELLUS_TOKEN), or the
// built program with an archive of its own, which ends with the tests.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Screenshots, and the log of the server. */
export const OUT = fileURLToPath(new URL('./out/', import.meta.url));
const target = join(dirname(fileURLToPath(import.meta.url)), '../../target');
const program = process.env.OCELLUS_PROGRAM ?? join(target, 'release/ocellus');
export const media = process.env.OCELLUS_MEDIA ?? join(target, 'assets/media');
/** A street with people and cars, and one face that speaks. */
export const STREET = join(media, 'bikes.mp4');
export const FACE = join(media, 'carphone_pristine.mp4');
/** A component of tests/guests, as `cargo xtask build` made it. */
export const guest = (name) => join(media, '../guests', name);
/** Both are small pictures, with small things in them. */
const SMALL = { filter_min_size: 24, filter_min_quality: 0.3 };
const PROCESSING_MS = 10 * 60_000;

export class Server {
  /** Without its last slash. */
  url = '';
  token = '';
  #process = null;
  #data = null;

  static async start() {
    if (process.env.OCELLUS_URL) {
      const server = new Server();
      server.url = process.env.OCELLUS_URL.replace(/\/$/, '');
      server.token = process.env.OCELLUS_TOKEN ?? '';
      return server;
    }
    return Server.over(await mkdtemp(join(tmpdir(), 'ocellus-page-')));
  }

  /** The built program over a data folder, which is removed in the end. */
  static async over(data) {
    const server = new Server();
    server.#data = data;
    await mkdir(OUT, { recursive: true });
    const log = await open(join(OUT, 'server.log'), 'w');
    server.#process = spawn(program, ['serve', '--listen', '127.0.0.1:0', '--data', data], {
      stdio: ['ignore', 'pipe', log.fd],
    });
    await log.close();
    for await (const line of createInterface({ input: server.#process.stdout })) {
      if (!line.startsWith('listening on ')) continue;
      server.url = line.slice('listening on '.length);
      break;
    }
    if (!server.url) throw new Error(`${program} ended before it listened: see ${OUT}server.log`);
    server.#process.stdout.resume();
    server.token = (await readFile(join(server.#data, 'admin.token'), 'utf8')).trim();
    return server;
  }

  /** Of the program, where it was started here. */
  get pid() {
    return this.#process?.pid;
  }

  async stop() {
    if (!this.#process) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await ended;
    await rm(this.#data, { recursive: true, force: true });
  }

  async api(method, path, body, type = 'application/json') {
    const response = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Token ${this.token}`, ...(body && { 'Content-Type': type }) },
      body: body && type === 'application/json' ? JSON.stringify(body) : body,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** A video that is processed; the one of that name, where it is there. */
  async processed(name, file, types, router) {
    const there = await this.api('GET', `/videos/?name_contains=${encodeURIComponent(name)}&status=COMPLETED&limit=1`);
    if (there.results.length > 0) return there.results[0].id;
    const detectors = Object.fromEntries(
      ['face', 'body', 'car'].map((type) => [type, types.includes(type) ? SMALL : null]),
    );
    const body = { camera_group: 1, name, stream_settings: { detectors }, ...(router && { router_url: router }) };
    const { id } = await this.api('POST', '/videos/', body);
    await this.api('PUT', `/videos/${id}/upload/source_file/`, await readFile(file), 'application/octet-stream');
    // Opened first, so that the end of a short job is not missed.
    const events = await this.#events();
    await this.api('POST', `/videos/${id}/process/`);
    for await (const { event, data } of events) {
      if (event !== 'video' || data.id !== id) continue;
      if (data.error) throw new Error(data.error);
      if (data.finished) return id;
    }
    throw new Error(`the events ended before ${name} was processed`);
  }

  /** What the server sends to pages, from now on. */
  async #events() {
    const response = await fetch(`${this.url}/events/stream/`, {
      headers: { Authorization: `Token ${this.token}` },
      signal: AbortSignal.timeout(PROCESSING_MS),
    });
    if (!response.ok) throw new Error(`no events: ${response.status}`);
    return parsed(response.body.pipeThrough(new TextDecoderStream()));
  }
}

/** Events of a stream of text, with what their data say. */
async function* parsed(stream) {
  let rest = '';
  for await (const text of stream) {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split('\n').map((line) => {
          const at = line.indexOf(':');
          return [line.slice(0, at), line.slice(at + 1).trim()];
        }),
      );
      if (fields.event) yield { event: fields.event, data: JSON.parse(fields.data) };
    }
  }
}
