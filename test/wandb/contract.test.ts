import { afterAll } from "vitest";
import { describeContract } from "../contract/describe-contract.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { connect, pointsOf } from "./destination.ts";

const servers: WandbServer[] = [];

afterAll(async () => {
  for (const server of servers) await server.stop();
});

describeContract("Weights & Biases", () => {
  let started: Promise<WandbServer> | undefined;
  const server = async () => {
    started ??= WandbServer.start();
    const it = await started;
    if (!servers.includes(it)) servers.push(it);
    return it;
  };
  return {
    connect: async () => connect((await server()).uri),
    points: async () => pointsOf(await server()),
    keepsMarks: true,
  };
});
