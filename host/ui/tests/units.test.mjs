//! Covers: what of the page can be checked without a browser: places of boxes and bars, words for
//! numbers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { build } from 'esbuild';

/** A module of the sources, bundled. */
async function load(path) {
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    write: false,
    format: 'esm',
    logLevel: 'error',
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}

test('a box is interpolated between two frames, held at the ends, and absent in gaps', async () => {
  const { boxAt } = await load('src/views/video/boxes.ts');
  const boxes = [
    [1, 0, 0, 10, 10],
    [1.2, 20, 0, 30, 10],
    [9, 50, 50, 60, 60],
  ];
  assert.deepEqual(boxAt(boxes, 1, 0.02), { left: 0, top: 0, right: 10, bottom: 10 });
  assert.equal(Math.round(boxAt(boxes, 1.1, 0.02).left), 10);
  assert.equal(boxAt(boxes, 0.9, 0.02), null);
  assert.equal(boxAt(boxes, 5, 0.02), null);
  assert.equal(boxAt(boxes, 9.01, 0.02).left, 50);
  assert.equal(boxAt(boxes, 9.1, 0.02), null);
  assert.equal(boxAt([], 1, 0.02), null);
});

test('bars that overlap in time are in rows of their own, within their lane', async () => {
  const { lanes, rowTop, barAt } = await load('src/views/video/lanes.ts');
  const object = (id, type, first_time, last_time) => ({ id, type, first_time, last_time });
  const objects = [
    object('a', 'face', 0, 4),
    object('b', 'face', 2, 6),
    object('c', 'face', 5, 7),
    object('d', 'body', 1, 2),
  ];
  const [faces, bodies] = lanes(objects, ['face', 'body'], 20, 1);
  const row = (id) => faces.bars.find((bar) => bar.object.id === id).row;
  assert.notEqual(row('a'), row('b'));
  assert.equal(row('a'), row('c'));
  assert.equal(bodies.top, faces.top + faces.height);
  for (const { row } of faces.bars) {
    assert.ok(rowTop(faces, row) >= faces.top && rowTop(faces, row) + faces.barHeight <= faces.top + faces.height);
  }
  assert.equal(barAt([faces, bodies], rowTop(faces, row('b')) + 1, 3, 0).id, 'b');
  assert.equal(barAt([faces, bodies], bodies.top + 5, 1.5, 0).id, 'd');
  assert.equal(barAt([faces, bodies], bodies.top + 5, 8, 0), null);
});

test('many overlapping tracks stay within the greatest height of a lane', async () => {
  const { lanes, rowTop } = await load('src/views/video/lanes.ts');
  const objects = Array.from({ length: 30 }, (_, i) => ({
    id: `${i}`,
    type: 'car',
    first_time: i * 0.1,
    last_time: 100,
  }));
  const [lane] = lanes(objects, ['car'], 0, 1);
  assert.equal(lane.rows, 30);
  assert.ok(rowTop(lane, 29) + lane.barHeight <= lane.height + 0.001);
});

test('places, durations and sizes read as people say them', async () => {
  const { clock, duration, bytes } = await load('src/lib/format.ts');
  assert.equal(clock(3723.4), '1:02:03');
  assert.equal(clock(59.96, true), '1:00.0');
  assert.equal(clock(7.04, true), '0:07.0');
  assert.equal(duration(0.4), 'less than a second');
  assert.equal(duration(75), '75 s');
  assert.equal(duration(4800), '80 min');
  assert.equal(duration(7800), '2 h 10 min');
  assert.equal(bytes(933872), '934 kB');
  assert.equal(bytes(2641803), '2.6 MB');
});
