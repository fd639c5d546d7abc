// A Vonage secret that follows its rotation: read from Vault, and anew when Vonage refuses it.
//
// Node 18 or newer, no packages. `Credentials` and `call` are what an application copies. Run as a
// program, this is a service that shows the account's balance at /balance, and at /vonage-secret
// the id of the secret that it uses, for `rotator gate http`.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

/** The credential in Vault: kept for a while, and read anew when Vonage refuses it. */
export class Credentials {
  #url; #tokenFile; #maxAge; #pause;
  #kept; #previous; #reading; #readAt = 0; #dueAt = 0;

  /**
   * `path` is the entry's, `secret/data/vonage/sms-prod`. It is read again after `maxAge` seconds,
   * or where Vonage refuses it, but not within `pause` seconds.
   */
  constructor({ address, path, tokenFile, maxAge = 300, pause = 1 }) {
    this.#url = `${address.replace(/\/$/, "")}/v1/${path}`;
    this.#tokenFile = tokenFile;
    this.#maxAge = maxAge * 1000;
    this.#pause = pause * 1000;
  }

  /** Return the credential; while Vault cannot be read, the one that was read last. */
  async current() {
    if (!this.#kept) return this.#read();
    if (performance.now() >= this.#dueAt) {
      try {
        return await this.#read();
      } catch {
        this.#dueAt = performance.now() + this.#pause;
      }
    }
    return this.#kept;
  }

  /**
   * Return the credential that replaced a refused one; else, the one that it replaced, which Vault
   * has with rotator's `previous_field` alone; undefined where it has neither.
   */
  async insteadOf(refused) {
    // Another request may have read it meanwhile.
    const isKept = () => this.#kept.apiSecret === refused.apiSecret;
    if (isKept() && performance.now() >= this.#readAt + this.#pause) await this.#read();
    return isKept() ? this.#previous : this.#kept;
  }

  /** Read the entry; requests that want it at the same time share one reading. */
  #read() {
    this.#reading ??= this.#readNow().finally(() => { this.#reading = undefined; });
    return this.#reading;
  }

  async #readNow() {
    // The token is read afresh: an agent may have renewed it.
    const token = (await readFile(this.#tokenFile, "utf8")).trim();
    const answer = await fetch(this.#url, {
      headers: { "X-Vault-Token": token },
      redirect: "error",
      signal: AbortSignal.timeout(10_000),
    });
    if (!answer.ok) throw new Error(`Vault answered ${answer.status}`);
    const entry = (await answer.json()).data.data;
    const { api_key: apiKey, api_secret: apiSecret, rotator: note } = entry;
    const previous = entry[note.previous_field];
    this.#previous = previous && { apiKey, apiSecret: previous };
    this.#kept = { apiKey, apiSecret, secretId: note.secret_id };
    this.#readAt = performance.now();
    this.#dueAt = this.#readAt + this.#maxAge;
    return this.#kept;
  }
}

/** Return whether Vonage refused the secret. The SMS API answers 200 with a status of "4". */
function isRefusal({ status, body }) {
  if (status !== 200) return status === 401;
  try {
    return JSON.parse(body).messages[0].status === "4";
  } catch {
    return false;
  }
}

/**
 * Send a request to Vonage; if the secret is refused and Vault has another, send it again.
 * What was refused had no effect, so nothing is done twice.
 */
export async function call(credentials, send) {
  const credential = await credentials.current();
  const answer = await send(credential);
  const replacement = isRefusal(answer) && (await credentials.insteadOf(credential));
  return replacement ? send(replacement) : answer;
}

// -- A service that uses it. -----------------------------------------------------------------

const VONAGE = process.env.VONAGE_URL ?? "https://rest.nexmo.com";

async function balance({ apiKey, apiSecret }) {
  const pair = Buffer.from(`${apiKey}:${apiSecret}`).toString("base64");
  const answer = await fetch(`${VONAGE}/account/get-balance`, {
    headers: { Authorization: `Basic ${pair}` },
    redirect: "error",
    signal: AbortSignal.timeout(10_000),
  });
  return { status: answer.status, body: await answer.text() };
}

async function answer(credentials, path) {
  if (path === "/balance") return call(credentials, balance);
  if (path === "/vonage-secret") {
    const { secretId } = await credentials.current();
    return { status: 200, body: JSON.stringify({ secret_id: secretId }) };
  }
  return { status: 404, body: "" };
}

function main() {
  const { env } = process;
  const credentials = new Credentials({
    address: env.VAULT_ADDR,
    path: env.VONAGE_VAULT_PATH,
    tokenFile: env.VAULT_TOKEN_FILE,
    maxAge: Number(env.VONAGE_MAX_AGE ?? 300),
    pause: Number(env.VONAGE_PAUSE ?? 1),
  });
  const server = createServer(async (request, response) => {
    const { status, body } = await answer(credentials, request.url).catch(() => ({
      status: 503,
      body: "",
    }));
    response.writeHead(status, { "Content-Type": "application/json" }).end(body);
  });
  server.listen(Number(env.PORT ?? 8080), "127.0.0.1", () => {
    console.log(`serving at http://127.0.0.1:${server.address().port}`);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main();
