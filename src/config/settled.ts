/** Calls whose promise may never settle. Node would exit without a word once nothing else keeps it running. */

const pending = new Set<() => void>();

function giveUp(): void {
  for (const reject of pending) reject();
}

/** What a call returns. @throws what `unsettled` makes, if Node is about to exit with the call's promise still pending */
export async function settled<Result>(call: () => Result | Promise<Result>, unsettled: () => Error): Promise<Result> {
  let reject = (): void => {};
  const exit = new Promise<never>((_, fail) => {
    reject = () => fail(unsettled());
  });
  if (pending.size === 0) process.on("beforeExit", giveUp);
  pending.add(reject);
  try {
    return await Promise.race([call(), exit]);
  } finally {
    pending.delete(reject);
    if (pending.size === 0) process.off("beforeExit", giveUp);
  }
}
