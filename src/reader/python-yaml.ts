/**
 * Python's own tags in a YAML file, as PyYAML's `yaml.dump` writes them: which value has which. Nothing is constructed;
 * what a tag means is in python-objects.ts.
 *
 * Source: `Representer` of yaml/representer.py in PyYAML.
 */
import { type Document, isCollection, isMap, isScalar, isSeq, type Node, Scalar, visit, YAMLMap, YAMLSeq } from "yaml";

const PREFIX = "tag:yaml.org,2002:python/";

/** A scalar with a tag of Python's. */
export class PythonScalar {
  /** Without what all of them begin with: `name:torch.nn.ReLU`. */
  readonly tag: string;
  readonly text: string;

  constructor(tag: string, text: string) {
    this.tag = tag;
    this.text = text;
  }
}

/** The tag of Python's that a list or mapping has in the file, as in `PythonScalar`; undefined if it has none. */
export function pythonTagOf(value: object): string | undefined {
  return TAGS.get(value);
}

/** See to it that what `document.toJS` makes of values with a tag of Python's is known by that. */
export function keepPythonTags(document: Document.Parsed): void {
  visit(document, {
    Node(_key, node) {
      if (node instanceof TaggedSeq || node instanceof TaggedMap || node instanceof TaggedScalar) return undefined;
      if (!(isCollection(node) || isScalar(node)) || node.tag?.startsWith(PREFIX) !== true) return undefined;
      return tagged(node, document);
    },
  });
}

/** By the value itself: an alias has the same one. */
const TAGS = new WeakMap<object, string>();

type Context = Parameters<YAMLSeq["toJSON"]>[1];

class TaggedSeq extends YAMLSeq {
  override toJSON(arg?: unknown, context?: Context): unknown[] {
    const items = super.toJSON(arg, context);
    TAGS.set(items, tagIn(this));
    return items;
  }
}

class TaggedMap extends YAMLMap {
  override toJSON(arg?: unknown, context?: Context): unknown {
    const mapping = super.toJSON(arg, context) as object;
    TAGS.set(mapping, tagIn(this));
    return mapping;
  }
}

class TaggedScalar extends Scalar {
  override toJSON(): PythonScalar {
    return new PythonScalar(tagIn(this), this.source ?? "");
  }
}

function tagged(node: Node, { schema }: Document.Parsed): Node | undefined {
  let copy: TaggedSeq | TaggedMap | TaggedScalar;
  if (isSeq(node)) {
    copy = new TaggedSeq(schema);
    copy.items = node.items;
  } else if (isMap(node)) {
    copy = new TaggedMap(schema);
    copy.items = node.items;
  } else if (isScalar(node)) {
    copy = new TaggedScalar(node.value);
    copy.source = node.source ?? "";
  } else return undefined;
  if (node.tag !== undefined) copy.tag = node.tag;
  if (node.anchor !== undefined) copy.anchor = node.anchor;
  return copy;
}

function tagIn({ tag }: Node): string {
  return (tag ?? PREFIX).slice(PREFIX.length);
}
