// A server that takes what an MLflow would, keeps of it only the tags, and counts requests: to bring a state about quickly
// in which all has been sent, which of 5,000 runs takes a real server minutes.
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export class CountingMlflow {
  requests = 0;
  #delayMs;
  #server;
  /** Of the one experiment; undefined before it was made. */
  #experimentTags;
  /** Tags of the runs, by their ids. */
  #runs = new Map();
  /** How far they are, by their ids. */
  #statuses = new Map();

  #answers = {
    "experiments/create": ({ tags }) => {
      this.#experimentTags = mapOf(tags);
      return { experiment_id: "1" };
    },
    "experiments/set-experiment-tag": ({ key, value }) => void this.#experimentTags.set(key, value),
    "runs/create": ({ experiment_id, tags }, n) => {
      const run_id = n.toString(16).padStart(32, "0");
      this.#runs.set(run_id, mapOf(tags));
      return { run: { info: { run_id, experiment_id, artifact_uri: "mlflow-artifacts:/1" } } };
    },
    "runs/log-batch": ({ run_id, tags }) => {
      for (const { key, value } of tags ?? []) this.#runs.get(run_id).set(key, value);
    },
    "runs/update": ({ run_id, status }) => void this.#statuses.set(run_id, status),
    "runs/search": ({ filter, run_view_type, max_results, page_token }) => {
      const from = page_token === undefined ? 0 : JSON.parse(Buffer.from(page_token, "base64").toString()).offset;
      const found = run_view_type === "DELETED_ONLY" ? [] : this.#matching(filter);
      const runs = found.slice(from, from + max_results).map(([run_id, tags]) => ({
        info: {
          run_id,
          experiment_id: "1",
          lifecycle_stage: "active",
          status: this.#statuses.get(run_id) ?? "RUNNING",
        },
        data: { tags: Array.from(tags, ([key, value]) => ({ key, value })) },
      }));
      const next = from + max_results;
      const token = Buffer.from(JSON.stringify({ offset: next })).toString("base64");
      return { runs, ...(next < found.length && { next_page_token: token }) };
    },
  };

  /** @param delayMs how long each answer takes, ms: a server that is slow though this machine is not */
  static async start(delayMs = 0) {
    const counting = new CountingMlflow();
    counting.#delayMs = delayMs;
    counting.#server = createServer((incoming, outgoing) => {
      counting.#answer(incoming, outgoing).catch(() => outgoing.destroy());
    });
    counting.#server.listen(0, "127.0.0.1");
    await once(counting.#server, "listening");
    return counting;
  }

  get uri() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(incoming, outgoing) {
    const n = ++this.requests;
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    if (this.#delayMs > 0) await sleep(this.#delayMs);
    const what = incoming.url.split("?")[0].replace("/api/2.0/mlflow/", "");
    const send = (status, body) => {
      outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    const tags = this.#experimentTags && Array.from(this.#experimentTags, ([key, value]) => ({ key, value }));
    if (what === "experiments/get-by-name" && tags === undefined)
      send(404, { error_code: "RESOURCE_DOES_NOT_EXIST", message: "none" });
    else if (what === "experiments/get-by-name")
      send(200, { experiment: { experiment_id: "1", lifecycle_stage: "active", tags } });
    else send(200, this.#answers[what]?.(JSON.parse(Buffer.concat(chunks).toString()), n) ?? {});
  }

  /** The runs that a filter of tracelet's means. */
  #matching(filter) {
    const ids = /run_id IN \((.*)\)/.exec(filter)?.[1];
    if (ids !== undefined) return [...this.#runs].filter(([id]) => ids.includes(id));
    const [, key, value] = /^tags\.`(.*)` (?:= '(.*)'|LIKE '%')$/.exec(filter);
    return [...this.#runs].filter(([, tags]) => (value === undefined ? tags.has(key) : tags.get(key) === value));
  }
}

function mapOf(tags) {
  return new Map((tags ?? []).map(({ key, value }) => [key, value]));
}
