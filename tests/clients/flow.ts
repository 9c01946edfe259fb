// The whole flow by openapi-typescript's types and openapi-fetch: node flow.js SERVER TOKEN RECORDING
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

const [server, token, recording] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: server, headers: { Authorization: `Token ${token}` } });

function some<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert.ok(answer.data !== undefined, `${answer.response.status}: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

async function main() {
  assert.ok(some(await client.GET("/health/")).version);
  // The sample recording is 272 pixels high.
  const stream_settings: components["schemas"]["StreamSettings"] = {
    detectors: { face: null, car: { filter_min_size: 15, filter_min_quality: 0.1 } },
  };
  const body = { camera_group: 1, name: "generated", stream_settings };
  const video = some(await client.POST("/videos/", { body }));
  assert.equal(video.source_len, null);
  const params = { path: { id: video.id } };

  const file = await readFile(recording!);
  const sent = await client.PUT("/videos/{id}/upload/source_file/", {
    params,
    body: "",
    bodySerializer: () => file,
    headers: { "Content-Type": "application/octet-stream" },
  });
  assert.equal(sent.response.status, 201);
  assert.equal((await client.POST("/videos/{id}/process/", { params })).response.status, 200);

  const deadline = Date.now() + 180_000;
  let done = some(await client.GET("/videos/{id}/", { params }));
  while (!done.finished) {
    assert.ok(Date.now() < deadline, JSON.stringify(done));
    await sleep(200);
    done = some(await client.GET("/videos/{id}/", { params }));
  }
  assert.equal(done.health_status.status, "COMPLETED");
  const list = some(await client.GET("/videos/", { params: { query: { limit: 1000 } } }));
  assert.ok(list.results.some((v) => v.id === video.id));

  const query = { type: ["car"] };
  const objects = some(await client.GET("/videos/{id}/objects/", { params: { ...params, query } })).results;
  assert.ok(objects.length > 0, "nothing was found");
  const object = { path: { id: objects[0]!.id } };
  for (const picture of ["/objects/{id}/thumbnail/", "/objects/{id}/fullframe/"] as const) {
    jpeg(some(await client.GET(picture, { params: object, parseAs: "arrayBuffer" })) as unknown as ArrayBuffer);
  }
  const small = { ...params, query: { width: 100 } };
  const shown = await client.GET("/videos/{id}/screenshot/", { params: small, parseAs: "arrayBuffer" });
  jpeg(some(shown) as unknown as ArrayBuffer);

  const patched = some(await client.PATCH("/videos/{id}/", { params, body: { name: "patched" } }));
  assert.equal(patched.name, "patched");
  assert.deepEqual(patched.stream_settings, done.stream_settings);
  assert.equal((await client.DELETE("/videos/{id}/", { params })).response.status, 204);
  assert.equal((await client.GET("/videos/{id}/", { params })).response.status, 404);
  console.log("openapi-typescript: the whole flow");
}

function jpeg(bytes: ArrayBuffer) {
  assert.deepEqual([...new Uint8Array(bytes).slice(0, 2)], [0xff, 0xd8]);
}

main();
