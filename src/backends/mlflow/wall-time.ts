/** TensorBoard's wall times, in seconds, as MLflow's, in milliseconds. */

/** Latest time, in ms, that a JavaScript page such as MLflow's can show. */
const MAX_TIME = 8.64e15;

/** Seconds → ms by floor, as MLflow's own client rounds: any other rule would make a second point of every third. */
export function milliseconds(seconds: number): number {
  return isTime(seconds) ? Math.floor(seconds * 1000) : 0;
}

export function isTime(seconds: number): boolean {
  return seconds >= 0 && seconds * 1000 <= MAX_TIME;
}
