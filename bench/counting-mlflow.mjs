// A server that takes what an MLflow would, keeps nothing of it, and counts requests: to bring a state about quickly in
// which all has been sent, which of 5,000 runs takes a real server minutes.
import { once } from "node:events";
import { createServer } from "node:http";

const ANSWERS = {
  "experiments/create": () => ({ experiment_id: "1" }),
  "runs/search": () => ({ runs: [] }),
  "runs/create": ({ experiment_id }, n) => {
    return {
      run: { info: { run_id: n.toString(16).padStart(32, "0"), experiment_id, artifact_uri: "mlflow-artifacts:/1" } },
    };
  },
};

export class CountingMlflow {
  requests = 0;
  #server;

  static async start() {
    const counting = new CountingMlflow();
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
    const what = incoming.url.split("?")[0].replace("/api/2.0/mlflow/", "");
    const send = (status, body) => {
      outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (what === "experiments/get-by-name") send(404, { error_code: "RESOURCE_DOES_NOT_EXIST", message: "none" });
    else send(200, ANSWERS[what]?.(JSON.parse(Buffer.concat(chunks).toString()), n) ?? {});
  }
}
