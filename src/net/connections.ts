/** Connections to a server: kept or new, TLS, proxies. */
import { Agent, type Dispatcher, EnvHttpProxyAgent } from "undici";
import { TraceletError } from "../errors.ts";
import type { Access } from "./access.ts";

const CONNECT_TIMEOUT_MS = 30_000;

export type Connection = "kept" | "fresh";

/**
 * Which kind of connection answers faster.
 *
 * A server that leaves Nagle's algorithm on answers 40 ms late on a kept connection, and where it has several workers,
 * they share the load badly. Elsewhere kept connections are faster.
 */
export class ConnectionChoice {
  readonly #times: Readonly<Record<Connection, number[]>> = { kept: [], fresh: [] };

  /** @param random in [0, 1): now and then the other kind is tried, since servers change */
  choose(random: number): Connection {
    const { kept, fresh } = this.#times;
    if (Math.min(kept.length, fresh.length) < 5) return kept.length <= fresh.length ? "kept" : "fresh";
    return median(kept) <= 1.1 * median(fresh) === random >= 0.04 ? "kept" : "fresh";
  }

  took(connection: Connection, ms: number): void {
    const times = this.#times[connection];
    times.push(ms);
    if (times.length > 15) times.shift();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number;
}

/**
 * The connections to an address, through the proxy that the environment names for it.
 *
 * @param base the address, without login
 * @throws TraceletError `usage` if TLS material or a proxy's address cannot be used
 */
export function connect(base: string, access: Access, more: Agent.Options): Dispatcher {
  const tls = access.tlsOptions();
  const timeout = Math.min(CONNECT_TIMEOUT_MS, access.requestTimeoutMs);
  const options = { ...more, connect: { ...tls, timeout } };
  const proxy = access.proxy(base.startsWith("https:") ? "https:" : "http:");
  if (proxy === undefined) return new Agent(options);
  try {
    return new EnvHttpProxyAgent({
      ...options,
      httpProxy: proxy,
      httpsProxy: proxy,
      noProxy: access.noProxy,
      requestTls: tls,
      // As `requests` does it; many proxies refuse a tunnel to a port other than 443.
      proxyTunnel: base.startsWith("https:"),
    });
  } catch {
    throw new TraceletError("usage", "HTTP_PROXY or HTTPS_PROXY holds no valid address");
  }
}
