/**
 * Whether a server that answers HTTP 5xx to a request is away, or cannot cope with what the request holds.
 *
 * Some servers answer 500 to a text that their database's driver does not take, and 503 to whatever the driver calls
 * operational. So another request is sent that asks as much of the server and holds nothing of the kind. One answer to that may mean that
 * the server has just come back; several mean that it was there all the time.
 */
import type { Counterpart, HttpRequest } from "./request.ts";

/** How often the counterpart must be answered after the request failed. */
const ANSWERS = 3;
/** The same, if a request concerning the same was refused before. */
const ANSWERS_AGAIN = 2;
/** Requests that fail within this time count as one failure. ms. */
const TOGETHER = 250;

export type Verdict = "away" | "unclear" | "refused";

/** Judges the failures of requests that have counterparts. */
export class Counterparts {
  readonly #monotonic: () => number;
  readonly #ask: (request: HttpRequest) => Promise<boolean>;
  readonly #provoked = new Set<string>();
  readonly #rounds = new Map<string, { answers: number; at: number }>();

  /** @param ask sends a request once, and tells whether it succeeded */
  constructor(monotonic: () => number, ask: (request: HttpRequest) => Promise<boolean>) {
    this.#monotonic = monotonic;
    this.#ask = ask;
  }

  /**
   * Judge a failure of one request, which is sent again unless the verdict is `refused`.
   *
   * @param answers how often its counterpart was answered so far
   */
  async judge(counterpart: Counterpart, answers: number): Promise<Verdict> {
    if (!(await this.#ask(counterpart.request()))) return "away";
    if (answers + 1 < (this.#provoked.has(counterpart.about) ? ANSWERS_AGAIN : ANSWERS)) return "unclear";
    this.#provoked.add(counterpart.about);
    return "refused";
  }

  /** The same, where each failure ends the request, and the next one like it comes after everything was looked at again. */
  async judgeRound(counterpart: Counterpart): Promise<Verdict> {
    const { about } = counterpart;
    const round = this.#rounds.get(about) ?? { answers: 0, at: -Infinity };
    const verdict = await this.judge(counterpart, round.answers);
    const now = this.#monotonic();
    if (verdict === "away") this.#rounds.delete(about);
    else if (now - round.at > TOGETHER) this.#rounds.set(about, { answers: round.answers + 1, at: now });
    return verdict;
  }

  /** A request with this counterpart succeeded. */
  succeeded(counterpart: Counterpart): void {
    if (this.#rounds.size > 0) this.#rounds.delete(counterpart.about);
  }
}
