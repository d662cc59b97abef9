/** `tracelet/testing`: what a backend has to keep, for the tests of whoever writes one. */
export { backendContract, type ContractTest } from "./contract.ts";
export type { DestinationUnderTest } from "./destination-under-test.ts";
export { fileVersion, type Point, records } from "./event-file.ts";
export { openPlugin } from "./plugin.ts";
