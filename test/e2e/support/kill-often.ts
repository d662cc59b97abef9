/** A sync that is ended with SIGKILL at random moments. */
import { tracelet } from "./tracelet.ts";

/**
 * Start and kill, again and again, until it ends by itself: at any moment of its start, or about when it has got on by one
 * or two steps, however long that takes on a busy machine.
 *
 * @param args of `tracelet sync`
 * @param progress a number that grows with each step
 * @returns how often it was killed, `kills` at most
 */
export async function killOften(args: readonly string[], kills: number, progress: () => number): Promise<number> {
  for (let killed = 0; killed < kills; killed++) {
    const kill = new AbortController();
    const before = progress();
    const steps = killed % 3;
    const look = setInterval(() => {
      if (progress() < before + steps) return;
      clearInterval(look);
      setTimeout(() => kill.abort(), Math.random() * (steps === 0 ? 500 : 50));
    }, 2);
    const { signal } = await tracelet(["sync", ...args], { kill: kill.signal });
    clearInterval(look);
    if (signal !== "SIGKILL") return killed;
  }
  return kills;
}
