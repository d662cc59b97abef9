/** What the HTTP client has to be told of the service that it speaks to. */
import type { Headers, HttpRequest, JsonObject } from "./request.ts";

export interface Service {
  /** With its article, for messages: this is not … */
  readonly title: string;
  readonly hints: {
    /** How to log in. */
    readonly login: string;
    /** What to check where something else answers. */
    readonly address: string;
    /** What the user calls the address: the tracking URI, the base URL. */
    readonly givenAddress: string;
    /** How to name the authority that signed the server's certificate. */
    readonly authority: string;
    /** How to give a client certificate. */
    readonly clientCertificate: string;
  };
  /** What the login is, for messages, such as "an API key was sent". */
  readonly sent?: string;
  /** What the body of an error says. */
  readError(json: JsonObject | undefined, text: string): ServiceError;
  /** What of it is of use in a message; all by default. */
  shorten?(said: string): string;
  /** What an answer that is no 2xx means, where HTTP's own rules do not tell; undefined: they do. */
  judge(answer: ErrorAnswer): Judgement | undefined;
}

/** An error in the service's own words. */
export interface ServiceError {
  /** Its code; empty where the answer has none, as one of a proxy. */
  readonly code: string;
  /** What was said. */
  readonly said: string;
}

export interface ErrorAnswer {
  readonly request: HttpRequest;
  readonly status: number;
  readonly headers: Headers;
  /** The body; empty where it is compressed. */
  readonly text: string;
  readonly error: ServiceError;
  /** The address of the server, without a login. */
  readonly base: string;
}

/** A failure that may pass, or a refusal. */
export type Judgement =
  | {
      readonly kind: "failed";
      /** The server says that it is only too busy, so that what others get through counts for this request as well. */
      readonly isBusy: boolean;
      /** It is there, and will take the request later. */
      readonly isThrottled: boolean;
      /** It has certainly not carried the request out. */
      readonly isNotDone: boolean;
    }
  | {
      readonly kind: "refused";
      readonly what: string;
      readonly hint?: string;
      /** It would be the same with every other run. */
      readonly endsAll?: boolean;
    };
