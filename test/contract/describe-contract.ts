/** The contract that `tracelet/testing` exports, as tests of vitest. */
import { describe, test } from "vitest";
import { backendContract } from "../../src/testing/contract.ts";
import type { DestinationUnderTest } from "../../src/testing/destination-under-test.ts";

export function describeContract(name: string, make: (root: string) => DestinationUnderTest): void {
  describe(name, () => {
    for (const { name, run } of backendContract(make)) test(name, run);
  });
}
