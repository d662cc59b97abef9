/** What is recorded once of a run: labels, and files. */

export interface Facts {
  /** Name → text. */
  readonly tags: Readonly<Record<string, string>>;
  readonly artifacts: readonly { readonly path: string; readonly bytes: Uint8Array }[];
}
