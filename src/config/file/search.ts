/** Which configuration file holds: one that is named, or the nearest from a directory up to the root of its repository. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import { type ConfigDocument, readDocument } from "./document.ts";

const EXTENSIONS = ["ts", "js", "mjs", "json", "yaml", "toml"];
/** Files of other tools, in which a section is ours. */
const SHARED = ["pyproject.toml", "package.json"];

/**
 * The file that is named. @param name relative to the working directory
 *
 * @throws TraceletError `usage`
 */
export async function namedDocument(name: string): Promise<ConfigDocument> {
  const file = path.resolve(name);
  if (!existsSync(file)) throw new TraceletError("usage", `there is no configuration file ${file}`);
  const document = await readDocument(file);
  if (document === undefined)
    throw new TraceletError("usage", `${file} has no section for tracelet`, {
      hint: 'it is [tool.tracelet] in pyproject.toml, and "tracelet" in package.json',
    });
  return document;
}

/**
 * The nearest file from the directory up. Outside of a repository only the directory itself is looked at: a file above it may
 * be anybody's, and can say what is executed and where logins are sent.
 *
 * @throws TraceletError `usage` if a directory has two, or the file belongs to another user
 */
export async function foundDocument(directory: string): Promise<ConfigDocument | undefined> {
  for (const each of upwards(directory)) {
    const own = EXTENSIONS.map((extension) => path.join(each, `tracelet.config.${extension}`)).filter(existsSync);
    for (const file of own) requireOwner(file);
    const shared = await Promise.all(
      SHARED.map((name) => path.join(each, name))
        .filter(existsSync)
        .map(readDocument),
    );
    const sections = shared.filter((document) => document !== undefined);
    for (const { file } of sections) requireOwner(file);
    const files = [...own, ...sections.map(({ file }) => file)];
    if (files.length > 1)
      throw new TraceletError(
        "usage",
        `${each} has several configuration files: ${files.map((file) => path.basename(file)).join(", ")}`,
        {
          hint: "keep one of them, or name one with --config <file>",
        },
      );
    if (own[0] !== undefined) return readDocument(own[0]);
    if (sections[0] !== undefined) return sections[0];
  }
  return undefined;
}

/** The directory and those above it, up to the root of its repository; itself alone where there is none. */
function upwards(directory: string): string[] {
  const all: string[] = [];
  for (let each = path.resolve(directory); ; each = path.dirname(each)) {
    all.push(each);
    if (existsSync(path.join(each, ".git"))) return all;
    if (path.dirname(each) === each) return all.slice(0, 1);
  }
}

/**
 * As git does for a repository: whoever may write to `/tmp` must not decide what is executed by those who work there.
 *
 * @see https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
 */
function requireOwner(file: string): void {
  const user = process.geteuid?.();
  const { uid } = statSync(file);
  if (user === undefined || uid === user || uid === 0) return;
  throw new TraceletError("usage", `the configuration file ${file} belongs to another user (uid ${uid})`, {
    hint: "name it with --config <file> if you trust it, or give --no-config",
  });
}
