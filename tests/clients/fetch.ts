// The whole flow by openapi-generator's typescript-fetch: node fetch.js SERVER TOKEN RECORDING
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Configuration, ObjectsApi, ResponseError, ServerApi, VideosApi } from "./client";

const [server, token, recording] = process.argv.slice(2);
const configuration = new Configuration({ basePath: server!, apiKey: `Token ${token}` });
const [videos, objects, health] = [
  new VideosApi(configuration),
  new ObjectsApi(configuration),
  new ServerApi(configuration),
];

async function main() {
  assert.ok((await health.health()).version);
  // The sample recording is 272 pixels high.
  const streamSettings = { detectors: { face: null, car: { filterMinSize: 15, filterMinQuality: 0.1 } } };
  const videoArchiveWrite = { cameraGroup: 1, name: "generated", streamSettings };
  const video = await videos.createVideo({ videoArchiveWrite });
  assert.equal(video.sourceLen, null);
  const { id } = video;
  await videos.uploadVideoFile({ id, body: new Blob([await readFile(recording!)]) });
  await videos.processVideo({ id });

  const deadline = Date.now() + 180_000;
  let done = await videos.readVideo({ id });
  while (!done.finished) {
    assert.ok(Date.now() < deadline, JSON.stringify(done));
    await sleep(200);
    done = await videos.readVideo({ id });
  }
  assert.equal(done.healthStatus.status, "COMPLETED");
  assert.ok((await videos.listVideos({ limit: 1000 })).results.some((v) => v.id === id));

  const found = (await objects.listObjects({ id, type: ["car"] })).results;
  assert.ok(found.length > 0, "nothing was found");
  await jpeg(await objects.objectThumbnail({ id: found[0]!.id }));
  await jpeg(await objects.objectFullframe({ id: found[0]!.id }));
  await jpeg(await videos.videoScreenshot({ id, width: 100 }));

  const patched = await videos.patchVideo({ id, videoArchivePatch: { name: "patched" } });
  assert.equal(patched.name, "patched");
  assert.deepEqual(patched.streamSettings, done.streamSettings);
  await videos.deleteVideo({ id });
  await assert.rejects(
    () => videos.readVideo({ id }),
    (error: unknown) => error instanceof ResponseError && error.response.status === 404,
  );
  console.log("typescript-fetch: the whole flow");
}

async function jpeg(picture: Blob) {
  assert.deepEqual([...new Uint8Array(await picture.arrayBuffer()).slice(0, 2)], [0xff, 0xd8]);
}

main();
