// Verifies a post of Ocellus with the library standardwebhooks (npm).
//
// node verify.mjs SECRET HEADERS BODY: HEADERS is a file of JSON, names in lower case; BODY a file.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

/** What the router `json` posted; throws WebhookVerificationError. */
function document(secret, headers, body) {
  return new Webhook(secret).verify(body, headers);
}

/** What the router `http` posted, by the names of the parts; throws WebhookVerificationError. */
async function parts(secret, headers, body) {
  const signed = new Webhook(secret).verify(headers["webhook-part-digests"], headers);
  const form = await new Response(body, { headers: { "content-type": headers["content-type"] } }).formData();
  const content = async (value) => Buffer.from(value instanceof Blob ? await value.arrayBuffer() : value);
  const found = new Map();
  for (const [name, value] of form) found.set(name, await content(value));
  const digests = [...found].map(([name, bytes]) => ({ name, sha256: createHash("sha256").update(bytes).digest("hex") }));
  if (JSON.stringify(digests) !== JSON.stringify(signed)) throw new Error("a part was changed");
  return found;
}

const [secret, headersFile, bodyFile] = process.argv.slice(2);
const headers = JSON.parse(readFileSync(headersFile, "utf8"));
const body = readFileSync(bodyFile);
if (headers["content-type"] === "application/json") console.log(document(secret, headers, body).type);
else console.log([...(await parts(secret, headers, body)).keys()].join(" "));
