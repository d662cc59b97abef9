/** GraphQL over the schema: documents are checked against it, variables against their types, and answers have what was asked. */
import {
  buildSchema,
  type ExecutionResult,
  type GraphQLScalarType,
  graphql,
  isScalarType,
  Kind,
  type ValueNode,
} from "graphql";
import { parseExtended } from "./extended-json.ts";
import { Refusal } from "./refusal.ts";
import { rootsFor, SCHEMA } from "./roots.ts";
import type { Asked } from "./run-view.ts";

export interface GraphqlRequest {
  readonly query: string;
  readonly variables?: { readonly [name: string]: unknown } | null;
  readonly operationName?: string | null;
}

const schema = buildSchema(SCHEMA);
behave("JSONString", (value) => {
  if (typeof value !== "string") throw new TypeError("a JSONString is a string");
  parseExtended(value);
  return value;
});
behave("Int64", (value) => {
  if (!Number.isSafeInteger(Number(value))) throw new TypeError(`an Int64 is an integer: ${String(value)}`);
  return Number(value);
});

/** @throws Refusal */
export async function answerGraphql(
  { query, variables, operationName }: GraphqlRequest,
  asked: Asked,
  features: readonly string[],
): Promise<{ readonly status: number; readonly result: ExecutionResult }> {
  const result = await graphql({
    schema,
    source: query,
    rootValue: rootsFor(asked, features),
    variableValues: variables ?? null,
    operationName: operationName || null,
  });
  const [error] = result.errors ?? [];
  if (error === undefined) return { status: 200, result };
  // What was wrong with the document itself has no answer at all.
  const status = error.originalError instanceof Refusal ? error.originalError.status : 400;
  return { status, result };
}

/** What a scalar takes. */
function behave(name: string, take: (value: unknown) => unknown): void {
  const scalar = schema.getType(name);
  if (!isScalarType(scalar)) throw new Error(`${name} is no scalar`);
  const { parseValue, parseLiteral }: Pick<GraphQLScalarType, "parseValue" | "parseLiteral"> = {
    parseValue: take,
    parseLiteral: (node: ValueNode) =>
      take(node.kind === Kind.INT || node.kind === Kind.STRING ? node.value : undefined),
  };
  Object.assign(scalar, { parseValue, parseLiteral });
}
