/** How much of the processor this process takes, which a busy machine does not change. */

/** @returns ms of processor time from now on, whenever it is called */
export function cpuTime(): () => number {
  const start = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
}
