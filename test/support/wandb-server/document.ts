/** What a GraphQL document asks for, so that the documents of two clients can be compared. */
import { type DocumentNode, Kind, parse, print, type SelectionSetNode, visit } from "graphql";

/**
 * The fields of its operation by their paths, with the arguments that each is given and of what they are made:
 * `upsertBucket(input: id,name) > bucket > id`. Fragments are put in where they are named.
 *
 * @throws GraphQLError
 */
export function fieldsOf(document: string): string[] {
  const parsed = parse(document);
  const operation = parsed.definitions.find((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  return operation === undefined ? [] : below(operation.selectionSet, "", parsed).sort();
}

/** The variables that a document declares, with their types: `config: JSONString`. @throws GraphQLError */
export function variablesOf(document: string): string[] {
  const variables: string[] = [];
  visit(parse(document), {
    VariableDefinition({ variable, type }) {
      variables.push(`${variable.name.value}: ${print(type)}`);
    },
  });
  return variables.sort();
}

function below({ selections }: SelectionSetNode, path: string, document: DocumentNode): string[] {
  return selections.flatMap((selection) => {
    if (selection.kind === Kind.INLINE_FRAGMENT) return below(selection.selectionSet, path, document);
    if (selection.kind === Kind.FRAGMENT_SPREAD) {
      const fragment = document.definitions.find(
        (each) => each.kind === Kind.FRAGMENT_DEFINITION && each.name.value === selection.name.value,
      );
      return fragment?.kind === Kind.FRAGMENT_DEFINITION ? below(fragment.selectionSet, path, document) : [];
    }
    const given = (selection.arguments ?? []).map(({ name, value }) => {
      if (value.kind !== Kind.OBJECT) return name.value;
      return `${name.value}: ${value.fields.map((field) => field.name.value).sort()}`;
    });
    const field = `${path}${selection.name.value}${given.length > 0 ? `(${given.sort().join("; ")})` : ""}`;
    return [field, ...(selection.selectionSet ? below(selection.selectionSet, `${field} > `, document) : [])];
  });
}
