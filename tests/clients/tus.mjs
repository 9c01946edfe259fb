// Uploads a file by tus-js-client, breaks off after the first part and goes on.
//
// node tus.mjs URL TOKEN FILE

import { createReadStream, statSync } from "node:fs";
import * as tus from "tus-js-client";

const [endpoint, token, path] = process.argv.slice(2);
const options = { chunkSize: 4096, headers: { Authorization: `Token ${token}` }, uploadSize: statSync(path).size };

const uploadUrl = await new Promise((resolve, reject) => {
  const upload = new tus.Upload(createReadStream(path), {
    ...options,
    endpoint,
    metadata: { filename: path },
    onError: reject,
    onChunkComplete: () => upload.abort().then(() => resolve(upload.url)),
  });
  upload.start();
});

await new Promise((resolve, reject) => {
  const upload = new tus.Upload(createReadStream(path), { ...options, uploadUrl, onError: reject, onSuccess: resolve });
  upload.start();
});
