/** `tracelet/testing`: what a backend has to keep, for the tests of whoever writes one. */
export { backendContract, type ContractTest, type DestinationUnderTest } from "./contract.ts";
export { fileVersion, type Point, records } from "./event-file.ts";
export { openPlugin } from "./plugin.ts";
