/** A W&B server for runs that may have been written offline here, too: an upload adds rows behind those that are there. */
import { WandbApi, type WandbApiOptions } from "../api.ts";
import type { RunAddress, StreamPart } from "../store.ts";
import type { EndedRuns } from "./ended-runs.ts";

export class OnlineApi extends WandbApi {
  readonly #offline: EndedRuns;
  /** Ids of runs to which something was added. */
  readonly #left = new Set<string>();

  /** @param offline what was written here without the network */
  constructor(options: WandbApiOptions, offline: EndedRuns) {
    super(options);
    this.#offline = offline;
  }

  override async stream(address: RunAddress, part: StreamPart): Promise<boolean> {
    if (part.history !== undefined && !this.#left.has(address.name)) {
      this.#offline.leave(address, part.history.offset);
      this.#left.add(address.name);
    }
    return super.stream(address, part);
  }
}
